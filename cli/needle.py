"""`videoxl needle`: needles in a video haystack, and figures of what was found."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import options, render
from .options import Dtype

app = typer.Typer(help="Needles in a video haystack.", invoke_without_command=True)

_RANGE = "FIRST:LAST:STEP, or numbers with commas"


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
        raise typer.BadParameter(f"{text!r} is no range. Give FIRST:LAST:STEP, or numbers with commas.") from None


def parse_lengths(text: str) -> str:
    """Return the text, if it gives whole numbers above 0."""
    if not all(number >= 1 and number == int(number) for number in parse_range(text)):
        raise typer.BadParameter(f"{text!r} has a length that is no whole number of frames above 0.")
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
        str, typer.Option("--haystack", metavar="VIDEO|FOLDER|synthetic:SEED", help="What needles are put into.")
    ] = "synthetic:0",
    needles: Annotated[
        str, typer.Option("--needles", metavar="FILE|bundled", help="Needle file, or the set that comes along.")
    ] = "bundled",
    lengths: Annotated[
        str,
        typer.Option(
            "--lengths",
            callback=parse_lengths,
            metavar="RANGE",
            help=f"Frames of haystack: {_RANGE}.",
        ),
    ] = "128:1024:128",
    depths: Annotated[
        str,
        typer.Option("--depths", callback=parse_depths, metavar="RANGE", help=f"Per cent before the needle: {_RANGE}."),
    ] = "0:100:25",
    ratio: Annotated[int, typer.Option("--ratio", min=1, help="Visual tokens that one memory slot sums up.")] = 16,
    out: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder of the run; the same command goes on in it.")
    ] = Path("needle-run"),
    protocol: Annotated[
        Protocol, typer.Option("--protocol", help="How to ask and score; see docs/needle.md.")
    ] = Protocol.free,
    task: Annotated[Task, typer.Option("--task", help="What to ask.")] = Task.retrieval,
    per_video: Annotated[
        int, typer.Option("--needles-per-video", min=1, help="Put so many into a video and ask about each.")
    ] = 1,
    distractors: Annotated[int, typer.Option("--distractors", min=0, help="Other needles that nobody asks about.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn: further places, order of options.")] = 0,
    video_stream: options.VideoStream = None,
    model: options.ModelName = "videoxl-nano",
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    workers: options.Workers = None,
    item_timeout: options.ItemTimeout = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put needles into long videos at known depths and ask about them.

    Without options this runs the bundled needles in a synthetic haystack. Killed at any point, the same command goes
    on where it was. The summary goes to stdout, progress to stderr; `heatmap.png` and all results to the folder.
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
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of needle runs.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write OUT.png and OUT.svg (default: the run's heatmap; of several, needle-compared).",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Draw the heat map of a run again, or those of several side by side."""
    with render.error_boundary(debug):
        from videoxl.tasks.needle.run import compare

        if out is None:
            out = folders[0] / "heatmap" if len(folders) == 1 else Path("needle-compared")
        out = out.with_suffix("") if out.suffix in (".png", ".svg") else out
        compare(folders, out)
        render.message(f"drawn: {out}.png and .svg")
