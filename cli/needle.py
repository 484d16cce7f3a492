"""`videoxl needle`: needles in a video haystack, and figures of what was found."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import options, render
from .options import Dtype

app = typer.Typer(invoke_without_command=True)

_RANGE = "FIRST:LAST:STEP|N,N…"


class Protocol(StrEnum):
    """How questions are put and scored."""

    free = "free"
    likelihood = "likelihood"
    video_xl = "video-xl"
    longva = "longva"


class Task(StrEnum):
    """What is asked."""

    retrieval = "retrieval"
    ordering = "ordering"
    counting = "counting"


def parse_range(text: str) -> tuple[float, ...]:
    """Return numbers from "128,256" or from "FIRST:LAST:STEP", the last included."""
    try:
        numbers = [float(part) for part in text.split(":" if ":" in text else ",")]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        if ":" not in text:
            return tuple(numbers)
        first, last, step = numbers
        if step <= 0 or last < first or (last - first) / step > 10_000:
            raise ValueError
        return tuple(first + step * number for number in range(int((last - first) / step + 1e-9) + 1))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a range. Give FIRST:LAST:STEP, or numbers with commas.") from None


def parse_lengths(text: str) -> str:
    """Return the text, if it gives whole numbers above 0."""
    if not all(number >= 1 and number == int(number) for number in parse_range(text)):
        raise typer.BadParameter(f"{text!r} has a length that is not a whole number of frames above 0.")
    return text


def parse_depths(text: str) -> str:
    """Return the text, if it gives per cents."""
    if not all(0 <= number <= 100 for number in parse_range(text)):
        raise typer.BadParameter(f"{text!r} has a depth that is not between 0 and 100 per cent.")
    return text


@app.callback()
def needle(
    context: typer.Context,
    haystack: Annotated[
        str,
        typer.Option(
            "--haystack",
            metavar="VIDEO|DIR|synthetic:SEED",
            help="The long videos: a file, a folder, or synthetic scenes.",
        ),
    ] = "synthetic:0",
    needles: Annotated[
        str, typer.Option("--needles", metavar="FILE|bundled", help="The pictures to insert, with their questions.")
    ] = "bundled",
    lengths: Annotated[
        str,
        typer.Option(
            "--lengths",
            callback=parse_lengths,
            metavar=_RANGE,
            help="Lengths of the haystack, in frames.",
        ),
    ] = "128:1024:128",
    depths: Annotated[
        str,
        typer.Option(
            "--depths",
            callback=parse_depths,
            metavar=_RANGE,
            help="Depths of the needle: per cent of the haystack before it.",
        ),
    ] = "0:100:25",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Folder of the run.")] = Path(
        "needle-run"
    ),
    model: options.ModelName = "videoxl-nano",
    per_video: Annotated[
        int,
        typer.Option(
            "--needles-per-video",
            min=1,
            metavar="N",
            help="Insert this many needles into a video, and ask about each.",
            rich_help_panel=options.FRAMES,
        ),
    ] = 1,
    distractors: Annotated[
        int,
        typer.Option(
            "--distractors",
            min=0,
            metavar="N",
            help="Also insert this many needles that no question is about.",
            rich_help_panel=options.FRAMES,
        ),
    ] = 0,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            metavar="N",
            help="Seed of what is drawn: where further needles go, the order of options.",
            rich_help_panel=options.FRAMES,
        ),
    ] = 0,
    video_stream: options.VideoStream = None,
    ratio: Annotated[
        int,
        typer.Option(
            "--ratio", min=1, metavar="N", help="Visual tokens per memory slot.", rich_help_panel=options.MODEL
        ),
    ] = 16,
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    task: Annotated[
        Task,
        typer.Option(
            "--task",
            metavar="|".join(Task),
            help="What to ask: what a needle shows, in which order needles come, or how many there are.",
            rich_help_panel=options.ANSWER,
        ),
    ] = Task.retrieval,
    protocol: Annotated[
        Protocol,
        typer.Option(
            "--protocol",
            metavar="PROTOCOL",
            help="How to ask and score: free (by the answer's text), likelihood (of each option), video-xl or longva "
            "(as their authors do).",
            rich_help_panel=options.ANSWER,
        ),
    ] = Protocol.free,
    json: options.JsonOutput = False,
    quiet: options.Quiet = False,
    workers: options.Workers = None,
    item_timeout: options.ItemTimeout = None,
    debug: options.DebugRun = False,
) -> None:
    """Measure what a model finds in long videos: insert pictures at known depths and ask about them.

    Without options this runs the bundled needles in a synthetic haystack. A run that was stopped resumes with the same
    command. The summary goes to stdout, progress to stderr; `heatmap.png` and all results to the folder of the run.
    """
    if context.invoked_subcommand is not None:
        return
    with render.error_boundary(debug):
        from videoxl.tasks.needle.settings import NeedleSettings

        settings = NeedleSettings(
            model=model,
            haystack=haystack,
            needles=needles,
            lengths=tuple(int(length) for length in parse_range(lengths)),
            depths=parse_range(depths),
            ratio=ratio,
            protocol=protocol.value,
            task=task.value,
            per_video=per_video,
            distractors=distractors,
            seed=seed,
            dtype=dtype.value,
            video_stream=video_stream,
        )
        from videoxl.checkpoints.loading import worker_devices
        from videoxl.tasks.needle.run import run_needles

        from .needle_progress import NeedleProgress

        with NeedleProgress(settings, out, enabled=not quiet) as display:
            devices = worker_devices(model, device, dtype.value, workers)
            summary = run_needles(out, settings, devices, item_timeout, display.on_event)
        _show(out, json)
        if not quiet:
            if summary.resumed == summary.total:
                render.message("nothing was left to do: all cells have results from before")
            render.message(f"results, summary and heat map are in {out}")
        if summary.failed:
            render.message(f"error: {summary.failed} of {summary.total} cells failed; see {out / 'failures.jsonl'}")
            raise typer.Exit(1)


def _show(folder: Path, json: bool) -> None:
    from videoxl.tasks.needle.run import read_summary

    text, content = read_summary(folder)
    if json:
        render.print_json(content)
    else:
        typer.echo(text.rstrip())


@app.command()
def plot(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Folders of needle runs.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PATH",
            help="Write PATH.png and PATH.svg.",
            show_default="heatmap in the folder of the run; of several runs, needle-compared here",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Draw the heat map of a run again, or those of several runs side by side."""
    with render.error_boundary(debug):
        from videoxl.tasks.needle.run import compare

        if out is None:
            out = folders[0] / "heatmap" if len(folders) == 1 else Path("needle-compared")
        out = out.with_suffix("") if out.suffix in (".png", ".svg") else out
        compare(folders, out)
        render.message(f"drawn: {out}.png and .svg")
