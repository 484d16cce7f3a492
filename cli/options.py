"""Options that several commands share: one name, one default, one help text each, in the panels of `--help`."""

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from videoxl.checkpoints.hub import BUNDLED, PUBLISHED, checkpoint_folder
from videoxl.files import local_path
from videoxl.options import parse_size
from videoxl.timestamps import parse_timestamp

# Panels of `--help`. What most people need stands first, without a panel of its own.
FRAMES, MODEL, ANSWER, OUTPUT, RUN = "Frames", "Model", "Answer", "Output", "Run"
FLAG = ""  # the metavar of what takes no value; else typer shows a type


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
    """Return seconds, more than 0."""
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
    """Refuse what is not a rate."""
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
    """Let typer refuse what is not a ratio; an option has one type for it, so the command calls `parse_ratio` again."""
    parse_ratio(text)
    return text


def model_folder(model: str, quiet: bool) -> Path:
    """Return the checkpoint's folder; a download shows its own progress, on terminals only."""
    if quiet or not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
    return checkpoint_folder(model)


def complete_model(incomplete: str) -> list[str]:
    """Return the names of models that begin so, for the shell."""
    return [name for name in (*BUNDLED, *PUBLISHED) if name.startswith(incomplete)]


VideoFile = Annotated[
    str,
    typer.Argument(
        metavar="VIDEO", parser=local_path, help="A video file, or a saved memory of one (.vxm).", show_default=False
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|DIR|HUB-ID",
        autocompletion=complete_model,
        help="Model to use: a name from `videoxl models list`, a folder, or a Hugging Face id.",
    ),
]
MaxFrames = Annotated[
    int,
    typer.Option(
        "--max-frames", min=1, metavar="N", help="Read at most this many frames of the video.", rich_help_panel=FRAMES
    ),
]
Fps = Annotated[
    float | None,
    typer.Option(
        "--fps",
        callback=check_fps,
        metavar="RATE",
        help="Read at most this many frames per second.",
        rich_help_panel=FRAMES,
    ),
]
Ratio = Annotated[
    str,
    typer.Option(
        "--ratio",
        callback=_check_ratio,
        metavar="auto|N",
        help="Visual tokens per memory slot; auto is the smallest ratio that fits.",
        rich_help_panel=MODEL,
    ),
]
Start = Annotated[
    float | None,
    typer.Option(
        "--start",
        parser=parse_seconds,
        metavar="TIME",
        help="Start here: seconds or HH:MM:SS.",
        show_default=False,
        rich_help_panel=FRAMES,
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--end",
        parser=parse_seconds,
        metavar="TIME",
        help="Stop here: seconds or HH:MM:SS.",
        show_default=False,
        rich_help_panel=FRAMES,
    ),
]
Sampling = Annotated[
    SamplingMode,
    typer.Option(
        "--sampling",
        metavar="MODE",
        help="Which frames to read: uniform (evenly spaced), keyframes (fast on long files) or fixed-rate (--fps, "
        "halved until --max-frames is enough).",
        rich_help_panel=FRAMES,
    ),
]
VideoStream = Annotated[
    int | None,
    typer.Option(
        "--video-stream",
        min=0,
        metavar="N",
        help="Which video stream of the file to read, by its index as ffprobe shows it.",
        show_default="FFmpeg's choice",
        rich_help_panel=FRAMES,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="DEVICE", help="Where to run the model: auto, cpu, cuda, cuda:1 …", rich_help_panel=MODEL
    ),
]
DtypeOption = Annotated[
    Dtype,
    typer.Option(
        "--dtype",
        metavar="DTYPE",
        help="Precision: float32, bfloat16, float16, or auto: float32 on a CPU, 16 bit on a GPU.",
        rich_help_panel=MODEL,
    ),
]
MaxNewTokens = Annotated[
    int,
    typer.Option("--max-new-tokens", min=1, metavar="N", help="Longest answer, in tokens.", rich_help_panel=ANSWER),
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        min=0.0,
        metavar="NUMBER",
        help="0 gives the likeliest answer, more gives varied ones.",
        rich_help_panel=ANSWER,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Get the same answer again with --temperature.",
        show_default=False,
        rich_help_panel=ANSWER,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        help="Processes that share the work, spread over all GPUs.",
        show_default="one per GPU, else one",
        rich_help_panel=RUN,
    ),
]
ItemTimeout = Annotated[
    float | None,
    typer.Option(
        "--item-timeout",
        parser=parse_limit,
        metavar="TIME",
        help="Give up on a video, or on a cell of a grid, after this long: seconds or HH:MM:SS.",
        show_default="30 minutes or more, by the video's length",
        rich_help_panel=RUN,
    ),
]
MaxMemory = Annotated[
    int | None,
    typer.Option(
        "--max-memory",
        parser=size_of,
        metavar="SIZE",
        help="Device memory that a worker may use, weights included, for example 20GB.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        metavar=FLAG,
        help="Read the video again, and do not keep its memory in the cache.",
        rich_help_panel=RUN,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", metavar=FLAG, help="Show no progress, no hints and no times of evidence.", rich_help_panel=OUTPUT
    ),
]
# In commands with few options these stand in the first panel.
_JSON, _DEBUG = "Print JSON.", "Show tracebacks and the warnings of libraries."
Json = Annotated[bool, typer.Option("--json", metavar=FLAG, help=_JSON)]
Debug = Annotated[bool, typer.Option("--debug", metavar=FLAG, help=_DEBUG)]
JsonOutput = Annotated[bool, typer.Option("--json", metavar=FLAG, help=_JSON, rich_help_panel=OUTPUT)]
DebugRun = Annotated[bool, typer.Option("--debug", metavar=FLAG, help=_DEBUG, rich_help_panel=RUN)]
