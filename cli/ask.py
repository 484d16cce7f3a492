"""`videoxl ask`: one question about one video."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoxl.checkpoints.hub import BUNDLED, checkpoint_folder
from videoxl.errors import check_not_empty

from . import options, render
from .options import Dtype, SamplingMode

if TYPE_CHECKING:
    from videoxl.memory.value import VisualMemory
    from videoxl.video.video import Video

HINT = (
    "videoxl-nano understands cards in a video: a word, a number, a shape, their colours, whether there is one. "
    "For open questions use a published checkpoint: --model video-xl-7b"
)


def ask(
    video: options.VideoFile,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In words.", show_default=False)],
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = 1024,
    fps: options.Fps = 1.0,
    ratio: options.Ratio = "auto",
    start: options.Start = None,
    end: options.End = None,
    sampling: options.Sampling = SamplingMode.uniform,
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    max_new_tokens: options.MaxNewTokens = 128,
    temperature: options.Temperature = 0.0,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Answer QUESTION about VIDEO.

    The answer goes to stdout; progress, hints and warnings go to stderr.
    """
    with render.error_boundary(debug):
        began = time.perf_counter()
        wanted = options.parse_ratio(ratio)
        check_not_empty(question)
        # What can go wrong with the file goes wrong now: torch takes seconds to import, a model longer to load.
        from videoxl.video.video import Video

        source = Video(video)
        num_frames = len(source.sample(max_frames, fps, start, end, sampling.value))
        folder = _folder(model, quiet)

        with render.StatusLine(enabled=not quiet) as status:
            status.stage(f"loading {model}")
            from videoxl.model import VideoXL
            from videoxl.preflight import check_request

            room = check_request(folder, num_frames, wanted, question, max_new_tokens)

            loaded = VideoXL.from_pretrained(folder, device, dtype.value)
            status.stage("watching")
            memory = loaded.watch(
                source, max_frames, fps, wanted, start, end, sampling.value, room, on_progress=status.frames
            )
        for warning in memory.warnings:
            render.message(f"warning: {warning}")
        if model in BUNDLED and not quiet:
            render.message(HINT)

        answering = time.perf_counter()
        pieces = loaded.answer(memory, question, max_new_tokens, temperature, seed=seed)
        text = "".join(pieces).strip() if json else render.stream(pieces)
        now = time.perf_counter()
        if json:
            timings = memory.timings | {"answer": now - answering, "total": now - began}
            render.print_json(_result(text, source, memory, timings, model))


def _folder(model: str, quiet: bool) -> Path:
    """Return the checkpoint's folder; a download shows its own progress, on terminals only."""
    if quiet or not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
    return checkpoint_folder(model)


def _result(text: str, video: "Video", memory: "VisualMemory", timings: dict[str, float], model: str) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "answer": text,
        "video": {
            "path": video.path,
            "duration": round(video.duration, 3),
            "fps": round(video.fps, 3),
            "width": video.width,
            "height": video.height,
        },
        "frames": memory.num_frames,
        "visual_tokens": memory.num_visual_tokens,
        "ratio": max(memory.ratios),  # of every window: a policy of one ratio
        "memory": {"slots": memory.length, "bytes": memory.num_bytes},
        "timings": {stage: round(seconds, 4) for stage, seconds in timings.items()},
        "model": model,
    }
