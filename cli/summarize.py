"""`videoxl summarize`: many videos, unattended."""

import contextlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoxl.checkpoints.hub import BUNDLED
from videoxl.errors import QuestionError, RunError
from videoxl.options import AnswerOptions, MemoryOptions
from videoxl.timestamps import format_timestamp

from . import options, render
from .memory_request import HINT
from .options import Dtype, SamplingMode

if TYPE_CHECKING:
    from videoxl.runs.engine import RunSummary
    from videoxl.runs.state import Failure
    from videoxl.tasks.summarize.inputs import Inputs, Source

WATCH, ANSWER = MemoryOptions(), AnswerOptions()
MODE = SamplingMode(WATCH.mode)
_SHOWN = 60  # characters of a summary in the table
_NAMED = 3  # of many inputs, in a message


class Engine(StrEnum):
    """Where workers are."""

    local = "local"
    ray = "ray"


class Format(StrEnum):
    """What is written of a video."""

    jsonl = "jsonl"
    md = "md"
    vtt = "vtt"
    txt = "txt"


def summarize(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS...",
            help='Video files, folders, patterns such as "talks/*.mp4", or manifests (.jsonl, .csv).',
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", file_okay=False, help="The folder of the run.", show_default=False),
    ],
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            help="Also write each summary as Markdown, WebVTT chapters or a list of chapters; repeat it for more. "
            "results.jsonl is always written.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            "--task",
            metavar="summary|anomalies|ads|QUESTION",
            help="Describe chapters and the whole; find what is abnormal, or advertisements; or answer a question, in "
            "words or from @FILE, about every video and say where that is seen.",
        ),
    ] = "summary",
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="TEXT|@FILE",
            help="Ask this about the whole; {chapters} in a summary, else {spans}, stands for their list.",
            show_default=False,
        ),
    ] = None,
    chapter_prompt: Annotated[
        str | None,
        typer.Option(
            "--chapter-prompt",
            metavar="TEXT|@FILE",
            help="Ask this about each chapter of a summary; with anomalies and ads, about each part of a chapter, to "
            "be answered yes or no.",
            show_default=False,
        ),
    ] = None,
    span_prompt: Annotated[
        str | None,
        typer.Option(
            "--span-prompt",
            metavar="TEXT|@FILE",
            help="Ask this about each span that is found, in place of what there is to see, or of the question.",
            show_default=False,
        ),
    ] = None,
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = WATCH.max_frames,
    fps: options.Fps = WATCH.fps,
    ratio: options.Ratio = str(WATCH.ratio),
    sampling: options.Sampling = MODE,
    video_stream: options.VideoStream = WATCH.video_stream,
    device: options.Device = "auto",
    workers: options.Workers = None,
    engine: Annotated[
        Engine, typer.Option("--engine", help="Processes of this machine, or actors on a Ray cluster.")
    ] = Engine.local,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT|auto",
            help="Of the Ray cluster, on one of its nodes; without it, Ray is started on this machine.",
            show_default=False,
        ),
    ] = None,
    item_timeout: options.ItemTimeout = None,
    max_memory: options.MaxMemory = None,
    dtype: options.DtypeOption = Dtype.auto,
    max_new_tokens: options.MaxNewTokens = ANSWER.max_new_tokens,
    retries: Annotated[
        int, typer.Option("--retries", min=0, help="Try a video again so often with which a process came to its end.")
    ] = 2,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also try what failed before.")] = False,
    retry_changed: Annotated[
        bool, typer.Option("--retry-changed", help="Also summarise again videos whose file has changed since.")
    ] = False,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="At the end, put results.jsonl in the order of the inputs.")
    ] = False,
    self_contained: Annotated[
        bool,
        typer.Option("--self-contained", help="At the end, put the pictures into report.html, to send it as one file."),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Summarise videos and their chapters into DIR, or find something in them.

    The same command goes on where it was stopped. A video that fails does not stop the others: the reasons are in
    failures.jsonl, and the exit status is 1. `videoxl runs show DIR` tells how far it is. DIR/report.html shows all of
    it, with pictures, from the first video on.
    """
    with render.error_boundary(debug), contextlib.ExitStack() as opened:
        if address is not None and engine is not Engine.ray:
            raise typer.BadParameter("--address is of a Ray cluster: it needs --engine ray.")
        watching = MemoryOptions(
            max_frames, fps, options.parse_ratio(ratio), mode=sampling.value, video_stream=video_stream
        )
        from videoxl.tasks.summarize.inputs import read_inputs
        from videoxl.tasks.summarize.prompts import JUDGED, SUMMARY, check_prompts, load_prompts, read_task

        with _usage():
            task = read_task(task)
            check_prompts(task, chapter_prompt, span_prompt, prompt)
            found = read_inputs(inputs, out)
        folder = options.model_folder(model, quiet)
        from videoxl.preview import Preview
        from videoxl.runs.engine import load_results
        from videoxl.runs.folder import RESULTS
        from videoxl.runs.state import state
        from videoxl.tasks.summarize.batch import summarize as summarize_all
        from videoxl.tasks.summarize.changes import changed_sources
        from videoxl.tasks.summarize.job import SummaryJob
        from videoxl.tasks.summarize.report import REPORT

        from .run_progress import RunProgress

        name = Preview(folder).config.name
        with _usage():
            prompts = load_prompts(name, task, chapter_prompt, span_prompt, prompt)
        answering = AnswerOptions(max_new_tokens)
        job = SummaryJob(folder, model, prompts, dtype.value, watching, answering, task=task, max_memory=max_memory)
        if not quiet:
            _say_left_out(found)
        if name in BUNDLED:
            _say_limits(task, task in JUDGED and chapter_prompt is None, quiet)
        backend = None
        if engine is Engine.ray:
            from videoxl.runs.ray_backend import RayBackend

            backend = opened.enter_context(contextlib.closing(RayBackend(address, device, workers)))
        texts = {each.value for each in formats or []} - {Format.jsonl.value}
        changed = changed_sources(found.sources, out)
        _say_changed(changed, retry_changed)
        with RunProgress(not quiet, "videos") as display:
            done = summarize_all(
                found.sources,
                out,
                job,
                formats=texts,
                device=device,
                workers=workers,
                backend=backend,
                item_timeout=item_timeout,
                retries=retries,
                retry_failed=retry_failed,
                redo=changed if retry_changed else (),
                ordered=ordered,
                self_contained=self_contained,
                on_event=display,
            )
        failures = state(out).failures
        changed = changed_sources(found.sources, out)
        if json:
            render.print_json(_result(done, out, len(changed), failures))
        else:
            _show(load_results(out), failures, "chapters" if task == SUMMARY else "spans")
        if not quiet:
            verb = "summarised" if task == SUMMARY else "asked about"
            if done.failed and done.resumed == done.total:
                render.message("nothing was left to do: --retry-failed tries again what failed")
            since = f", {len(changed)} changed since" if changed else ""
            render.message(f"{done.done} of {done.total} videos {verb}{since}: see {out / REPORT} and {out / RESULTS}")
        if done.failed:
            raise typer.Exit(1)


@contextlib.contextmanager
def _usage() -> Iterator[None]:
    """ItemContext errors in what was asked for into usage errors."""
    try:
        yield
    except (RunError, QuestionError) as error:
        raise typer.BadParameter(f"{error}. {error.advice}") from None


def _say_limits(task: str, means_nothing: bool, quiet: bool) -> None:
    """Say what the bundled model is good for, and that it is not what is asked."""
    if not means_nothing:
        if not quiet:
            render.message(HINT)
    else:
        render.message(
            f"warning: videoxl-nano knows only cards: what it says about {task} means nothing. "
            "Use a published checkpoint: --model video-xl-7b"
        )


def _say_left_out(found: "Inputs") -> None:
    for what, names in (
        ("passed over, no videos", found.passed_over),
        ("passed over, cannot be read", found.unreadable),
        ("given more than once, done once", found.repeated),
    ):
        if names:
            render.message(f"{what}: {_first(names)}")


def _say_changed(changed: "Sequence[Source]", again: bool) -> None:
    if changed:
        names = _first([source.id for source in changed])
        render.message(
            f"changed since, done again: {names}"
            if again
            else f"warning: changed since: {names}: what is known is of the old files; --retry-changed does them again"
        )


def _first(names: "Sequence[str]") -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _show(rows: list[dict[str, Any]], failures: "Sequence[Failure]", counted: str) -> None:
    """Print a table of what is done, and one of what failed."""
    if rows:
        cells = [
            [row["id"], format_timestamp(row["video"]["duration"]), str(len(row[counted])), _short(row["summary"])]
            for row in rows
        ]
        render.table(["VIDEO", "LENGTH", counted.upper(), "SUMMARY"], cells)
    if rows and failures:
        typer.echo()
    if failures:
        render.failures(failures)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def _result(done: "RunSummary", out: Path, changed: int, failures: "Sequence[Failure]") -> dict[str, Any]:
    """Return what `--json` prints."""
    failed = [{"key": each.key, "id": each.name, "error": each.error, "message": each.message} for each in failures]
    counts = {"done": done.done, "failed": done.failed, "total": done.total, "resumed": done.resumed}
    counts["changed"] = changed
    return {"out": str(out), **counts, "seconds": round(done.seconds, 3), "failures": failed}
