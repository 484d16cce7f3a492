"""All summaries of a run, in its folder."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ...checkpoints.loading import worker_devices
from ...network.devices import device_kind
from ...runs.engine import RunSummary, load_results, run
from ...runs.events import Event, ItemDone, ItemFailed
from ...runs.remote_pool import WorkerBackend
from ...runs.row_file import write_file
from ...version import MEMORY_REVISION
from .exports import FORMATS
from .inputs import Source
from .job import SummaryJob
from .live_report import LiveReport


def summarize(
    sources: Sequence[Source],
    output: Path,
    job: SummaryJob,
    *,
    formats: Collection[str] = (),
    device: str = "auto",
    workers: int | None = None,
    backend: WorkerBackend | None = None,
    item_timeout: float | None = None,
    retries: int = 2,
    retry_failed: bool = False,
    redo: Collection[Source] = (),
    ordered: bool = False,
    self_contained: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> RunSummary:
    """Summarise all videos that are not summarised yet; what is finished is kept, whatever happens.

    The settings of the run are those of the job, the kind of device, which rounds in its own way, and the revision of
    memories. Rows go to `results.jsonl` in the output folder, reasons to `failures.jsonl`. Texts are written as videos
    finish, and all of them at the end: `md/KEY.md` and so on. `report.html` is written now and then, and at the end,
    whatever ends the run.

    Args:
        sources: the videos, with an id each.
        output: the folder of the run.
        job: how they are summarised.
        formats: of texts, names of `texts.FORMATS`.
        device: see `VideoXL.from_pretrained`.
        workers: processes that share the videos; None is one for each device. See `worker_devices`.
        backend: has the workers, in place of this machine; then device and workers are its own.
        item_timeout: seconds that a video may take; None is by its length, its frames and the model.
        retries: how often a video is tried again that ended the process, or that failed with all others in a row.
        retry_failed: also try those that failed before.
        redo: those of the videos to summarise again, such as `changes.changed_sources` gives. What there is about one
            is kept until there is something else, or it has failed.
        ordered: see `runs.engine.run`.
        self_contained: at the end, put the pictures into `report.html`; see `write_report`.
        on_event: told of all that happens.

    Raises:
        RunError: see `runs.engine.run`; or a text cannot be written.
        QuestionError: a prompt is empty or too long.
    """
    job.check([source.prompt for source in sources if source.prompt is not None])

    report = LiveReport(output, self_contained)

    def told(event: Event) -> None:
        if isinstance(event, ItemDone):
            _remove_texts(output, event.item.key)
            _write(output, event.rows, formats)
        elif isinstance(event, ItemFailed) and event.final:
            _remove_texts(output, event.item.key)
        report(event)
        if on_event is not None:
            on_event(event)

    if backend is None:
        devices = worker_devices(job.folder, device, job.dtype, workers)
    else:
        devices = list(backend.devices(max(1, len(sources))))
    with report:
        summary = run(
            output,
            job.settings | {"device": device_kind(devices[0]), "memory_revision": MEMORY_REVISION},
            [source.item for source in sources],
            job,
            devices=devices,
            backend=backend,
            item_timeout=item_timeout,
            retries=retries,
            retry_failed=retry_failed,
            redo=[source.item.key for source in redo],
            ordered=ordered,
            on_event=told,
        )
        _write(output, load_results(output), formats)
    return summary


def _remove_texts(output: Path, key: str) -> None:
    """Remove what was written of a video before its file changed, whatever formats were asked for then."""
    for ending in FORMATS:
        with contextlib.suppress(OSError):
            (output / ending / f"{key}.{ending}").unlink()


def _write(output: Path, rows: list[dict[str, Any]], formats: Collection[str]) -> None:
    for ending in formats:
        for row in rows:
            # Names of files need not be Unicode.
            text = FORMATS[ending](row).encode("utf-8", "backslashreplace")
            write_file(output / ending / f"{row['key']}.{ending}", text)
