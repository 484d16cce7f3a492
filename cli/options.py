"""Options that several commands share: one name, one default, one help text each."""

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.files import local_path
from videoxl.options import parse_size
from videoxl.timestamps import parse_timestamp


class SamplingMode(StrEnum):
    """How frames are chosen."""

    uniform = "uniform"
    keyframes = "keyframes"
    fixed_rate = "fixed-rate"


class Dtype(StrEnum):
    """What weights are converted to."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


def parse_seconds(text: str) -> float:
    """Return seconds from "90", "1:30" or "00:01:30.5"."""
    try:
        return parse_timestamp(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time. Give seconds, MM:SS or HH:MM:SS.") from None


def parse_limit(text: str) -> float:
    """Return seconds, which must be some."""
    seconds = parse_seconds(text)
    if seconds <= 0:
        raise typer.BadParameter(f"{text!r} leaves no time. Give seconds, MM:SS or HH:MM:SS.")
    return seconds


def size_of(text: str) -> int:
    """Return bytes from "20GB" or "500 MB"."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}. Give for example 20GB or 500MB.") from None


def check_fps(fps: float | None) -> float | None:
    """Refuse what is no rate."""
    if fps is not None and not 0 < fps < math.inf:
        raise typer.BadParameter(f"{fps:g} is not a rate. Give frames per second, more than 0.")
    return fps


def parse_ratio(text: str) -> int | Literal["auto"]:
    """Return a ratio: "auto" or a whole number."""
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a ratio. Give auto or a whole number.") from None


def _check_ratio(text: str) -> str:
    """Let typer refuse what is no ratio; an option has one type for it, so the command calls `parse_ratio` again."""
    parse_ratio(text)
    return text


def model_folder(model: str, quiet: bool) -> Path:
    """Return the checkpoint's folder; a download shows its own progress, on terminals only."""
    if quiet or not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
    return checkpoint_folder(model)


VideoFile = Annotated[
    str,
    typer.Argument(
        metavar="VIDEO",
        parser=local_path,
        help="A local video file, or a .vxm memory of one.",
        show_default=False,
    ),
]
ModelName = Annotated[
    str,
    typer.Option("--model", help="A bundled or published name (see `videoxl models list`), a folder, or a hub id."),
]
MaxFrames = Annotated[int, typer.Option("--max-frames", min=1, help="Read at most so many frames.")]
Fps = Annotated[
    float | None, typer.Option("--fps", callback=check_fps, help="Read at most so many frames per second of video.")
]
Ratio = Annotated[
    str,
    typer.Option(
        "--ratio",
        callback=_check_ratio,
        metavar="auto|N",
        help="Visual tokens that one memory slot sums up; auto is the smallest that fits.",
    ),
]
Start = Annotated[
    float | None,
    typer.Option(
        "--start",
        parser=parse_seconds,
        metavar="TIME",
        help="Leave out what is before: seconds or HH:MM:SS.",
        show_default=False,
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--end",
        parser=parse_seconds,
        metavar="TIME",
        help="Leave out what is from there on: seconds or HH:MM:SS.",
        show_default=False,
    ),
]
Sampling = Annotated[
    SamplingMode,
    typer.Option(
        "--sampling",
        help="Even spacing from the first frame to the last, key frames only (fast on long files), or a fixed rate "
        "from the first frame on, which is --fps halved until the frames are few enough.",
    ),
]
VideoStream = Annotated[
    int | None,
    typer.Option(
        "--video-stream",
        min=0,
        metavar="N",
        help="Read this video stream of a file that has several, by its index in the file (as in ffprobe).",
        show_default="the one that FFmpeg takes",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …")]
DtypeOption = Annotated[
    Dtype, typer.Option("--dtype", help="Precision; auto is float32 on the CPU and 16 bit on a GPU.")
]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Answer with at most so many tokens.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="0 gives the likeliest answer.")]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Draw the same answer again (with --temperature).", show_default=False)
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Processes that share the work; they go round over all GPUs.",
        show_default="one for each GPU, else one",
    ),
]
ItemTimeout = Annotated[
    float | None,
    typer.Option(
        "--item-timeout",
        parser=parse_limit,
        metavar="TIME",
        help="Give up a video, or a cell of a grid, that takes longer: seconds or HH:MM:SS.",
        show_default="half an hour and more, by the video's length",
    ),
]
MaxMemory = Annotated[
    int | None,
    typer.Option(
        "--max-memory",
        parser=size_of,
        metavar="SIZE",
        help="What a worker may use of its device, weights included, for example 20GB.",
        show_default=False,
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Watch the video anew, and keep no memory of it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no hints, and no times of evidence.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the libraries' own warnings.")]
