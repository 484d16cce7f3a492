"""`summarize`: all videos of a run, in its folder."""

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
    """Summarise all videos that are not summarised yet; finished ones are always kept.

    The settings of the run are those of the job, the kind of device, which affects rounding, and the revision of
    memories. Rows go to `results.jsonl` in the output folder, failures to `failures.jsonl`. Texts are written as videos
    finish, and all of them at the end: `md/KEY.md` and so on. `report.html` is updated at intervals and at the end,
    also after an error.

    Args:
        sources: the videos, each with an id.
        output: the folder of the run.
        job: model, prompts and options.
        formats: of texts, keys of `exports.FORMATS`.
        device: see `VideoXL.from_pretrained`.
        workers: number of processes that share the videos; None is one per device. See `worker_devices`.
        backend: starts the workers, in place of processes on this machine; it then chooses devices and their number.
        item_timeout: seconds that a video may take; None estimates it from its length, its frames and the model.
        retries: how often a video is retried that ended its process, or failed in a row with others.
        retry_failed: also process videos that failed in earlier calls.
        redo: videos to summarise again, for example from `changes.changed_sources`. Earlier results are kept until
            there are new ones, or the video has failed.
        ordered: see `runs.engine.run`.
        self_contained: at the end, embed the pictures in `report.html`; see `write_report`.
        on_event: called with every event.

    Raises:
        RunError: see `runs.engine.run`; or a text cannot be written.
        QuestionError: a prompt is empty or too long.
    """
    job.check([source.prompt for source in sources if source.prompt is not None])

    report = LiveReport(output, self_contained)

    def handle(event: Event) -> None:
        if isinstance(event, ItemDone):
            _remove_texts(output, event.item.key)
            _write_texts(output, event.rows, formats)
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
            on_event=handle,
        )
        _write_texts(output, load_results(output), formats)
    return summary


def _remove_texts(output: Path, key: str) -> None:
    """Remove the texts of a video from before its file changed, in all formats."""
    for extension in FORMATS:
        with contextlib.suppress(OSError):
            (output / extension / f"{key}.{extension}").unlink()


def _write_texts(output: Path, rows: list[dict[str, Any]], formats: Collection[str]) -> None:
    for extension in formats:
        for row in rows:
            # File names need not be Unicode.
            text = FORMATS[extension](row).encode("utf-8", "backslashreplace")
            write_file(output / extension / f"{row['key']}.{extension}", text)
