"""`videoxl summarize`: many videos, unattended."""

import contextlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoxl.errors import QuestionError, RunError
from videoxl.options import AnswerOptions, MemoryOptions
from videoxl.timestamps import format_timestamp

from . import options, render
from .model_hint import show_hint, warn_meaningless
from .options import Dtype, SamplingMode

if TYPE_CHECKING:
    from videoxl.runs.engine import RunSummary
    from videoxl.runs.state import Failure
    from videoxl.tasks.summarize.inputs import Inputs, Source

MEMORY, ANSWER = MemoryOptions(), AnswerOptions()
MODE = SamplingMode(MEMORY.mode)
_SUMMARY_WIDTH = 60  # characters of a summary in the table
_MAX_NAMES = 3  # of many inputs, in a message


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
            metavar="INPUT",
            help='Video files, folders, patterns such as "talks/*.mp4", or lists of videos (.jsonl, .csv).',
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            file_okay=False,
            help="Folder of the run: results, report, state.",
            show_default=False,
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            "--task",
            metavar="summary|anomalies|ads|QUESTION|@FILE",
            help="Summarise each video and its chapters; find anomalies, or ads; or answer a question about each video "
            "and find where that is seen.",
        ),
    ] = "summary",
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = MEMORY.max_frames,
    fps: options.Fps = MEMORY.fps,
    sampling: options.Sampling = MODE,
    video_stream: options.VideoStream = MEMORY.video_stream,
    ratio: options.Ratio = str(MEMORY.ratio),
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    max_memory: options.MaxMemory = None,
    max_new_tokens: options.MaxNewTokens = ANSWER.max_new_tokens,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="TEXT|@FILE",
            help="Prompt for the whole video. {chapters} stands for the list of chapters in a summary, {spans} for "
            "what was found in the other tasks.",
            show_default=False,
            rich_help_panel=options.ANSWER,
        ),
    ] = None,
    chapter_prompt: Annotated[
        str | None,
        typer.Option(
            "--chapter-prompt",
            metavar="TEXT|@FILE",
            help="Prompt for each chapter of a summary; with anomalies and ads a yes-or-no question about each part "
            "of a chapter.",
            show_default=False,
            rich_help_panel=options.ANSWER,
        ),
    ] = None,
    span_prompt: Annotated[
        str | None,
        typer.Option(
            "--span-prompt",
            metavar="TEXT|@FILE",
            help="Prompt for each span that is found, instead of a description of it, or of the question.",
            show_default=False,
            rich_help_panel=options.ANSWER,
        ),
    ] = None,
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            metavar="|".join(Format),
            help="Also write each summary as Markdown, WebVTT chapters or a list of chapters; give it again for more "
            "formats. results.jsonl is always written.",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    ordered: Annotated[
        bool,
        typer.Option(
            "--ordered",
            metavar=options.FLAG,
            help="At the end, sort results.jsonl by the order of the inputs.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    self_contained: Annotated[
        bool,
        typer.Option(
            "--self-contained",
            metavar=options.FLAG,
            help="At the end, put the pictures into report.html, so that it can be sent as one file.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    json: options.JsonOutput = False,
    quiet: options.Quiet = False,
    workers: options.Workers = None,
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine",
            metavar="|".join(Engine),
            help="Run workers as processes on this machine, or as actors on a Ray cluster.",
            rich_help_panel=options.RUN,
        ),
    ] = Engine.local,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT|auto",
            help="Address of the Ray cluster; without it, Ray starts on this machine.",
            show_default=False,
            rich_help_panel=options.RUN,
        ),
    ] = None,
    item_timeout: options.ItemTimeout = None,
    retries: Annotated[
        int,
        typer.Option(
            "--retries",
            min=0,
            metavar="N",
            help="Try a video again this often when its process dies.",
            rich_help_panel=options.RUN,
        ),
    ] = 2,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            metavar=options.FLAG,
            help="Also try again what failed before.",
            rich_help_panel=options.RUN,
        ),
    ] = False,
    retry_changed: Annotated[
        bool,
        typer.Option(
            "--retry-changed",
            metavar=options.FLAG,
            help="Also do videos again whose file has changed since.",
            rich_help_panel=options.RUN,
        ),
    ] = False,
    debug: options.DebugRun = False,
) -> None:
    """Summarise videos and their chapters into DIR, or find something in them.

    DIR/report.html shows the results with pictures, from the first video on. A run that was stopped resumes with the
    same command, and `videoxl runs show DIR` shows how far it is. A video that fails does not stop the others: the
    reasons are in DIR/failures.jsonl, and the exit status is 1.
    """
    with render.error_boundary(debug), contextlib.ExitStack() as opened:
        if address is not None and engine is not Engine.ray:
            raise typer.BadParameter("--address is the address of a Ray cluster: it needs --engine ray.")
        memory_options = MemoryOptions(
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
        answer_options = AnswerOptions(max_new_tokens)
        job = SummaryJob(
            folder, model, prompts, dtype.value, memory_options, answer_options, task=task, max_memory=max_memory
        )
        if not quiet:
            _show_skipped(found)
        if task in JUDGED and chapter_prompt is None:
            warn_meaningless(name, task)
        else:
            show_hint(name, quiet)
        backend = None
        if engine is Engine.ray:
            from videoxl.runs.ray_backend import RayBackend

            backend = opened.enter_context(contextlib.closing(RayBackend(address, device, workers)))
        texts = {each.value for each in formats or []} - {Format.jsonl.value}
        changed = changed_sources(found.sources, out)
        _show_changed(changed, retry_changed)
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
    """Turn errors in what was asked for into usage errors."""
    try:
        yield
    except (RunError, QuestionError) as error:
        raise typer.BadParameter(f"{error}. {error.advice}") from None


def _show_skipped(found: "Inputs") -> None:
    for what, names in (
        ("skipped, not a video", found.passed_over),
        ("skipped, cannot be read", found.unreadable),
        ("given more than once, done once", found.repeated),
    ):
        if names:
            render.message(f"{what}: {_first(names)}")


def _show_changed(changed: "Sequence[Source]", again: bool) -> None:
    if changed:
        names = _first([source.id for source in changed])
        render.message(
            f"changed since, done again: {names}"
            if again
            else f"warning: changed since: {names}: what is known is of the old files; --retry-changed does them again"
        )


def _first(names: "Sequence[str]") -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


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
    return line if len(line) <= _SUMMARY_WIDTH else f"{line[: _SUMMARY_WIDTH - 1]}…"


def _result(done: "RunSummary", out: Path, changed: int, failures: "Sequence[Failure]") -> dict[str, Any]:
    """Return what `--json` prints."""
    failed = [{"key": each.key, "id": each.name, "error": each.error, "message": each.message} for each in failures]
    counts = {"done": done.done, "failed": done.failed, "total": done.total, "resumed": done.resumed}
    counts["changed"] = changed
    return {"out": str(out), **counts, "seconds": round(done.seconds, 3), "failures": failed}
