"""`videoxl ask`: one question about one video."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoxl.checkpoints.hub import BUNDLED
from videoxl.errors import check_not_empty
from videoxl.options import AnswerOptions, WatchOptions

from . import options, render
from .options import Dtype, SamplingMode

if TYPE_CHECKING:
    from videoxl.tasks.recalling import Recalled

WATCH, ANSWER = WatchOptions(), AnswerOptions()
MODE = SamplingMode(WATCH.mode)
HINT = (
    "videoxl-nano understands cards in a video: a word, a number, a shape, their colours, whether there is one. "
    "For open questions use a published checkpoint: --model video-xl-7b"
)


def ask(
    video: options.VideoFile,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In words.", show_default=False)],
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = WATCH.max_frames,
    fps: options.Fps = WATCH.fps,
    ratio: options.Ratio = str(WATCH.ratio),
    start: options.Start = WATCH.start,
    end: options.End = WATCH.end,
    sampling: options.Sampling = MODE,
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    max_new_tokens: options.MaxNewTokens = ANSWER.max_new_tokens,
    temperature: options.Temperature = ANSWER.temperature,
    seed: options.Seed = ANSWER.seed,
    no_cache: options.NoCache = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Answer QUESTION about VIDEO, a video file or a memory from `videoxl index`.

    The answer goes to stdout; progress, hints and warnings go to stderr.
    """
    with render.error_boundary(debug):
        began = time.perf_counter()
        watching = WatchOptions(max_frames, fps, options.parse_ratio(ratio), start, end, sampling.value)
        answering = AnswerOptions(max_new_tokens, temperature, seed=seed)
        check_not_empty(question)
        # What can go wrong goes wrong now, and decoding begins now: torch takes seconds to import.
        from videoxl.memory.cache import MemoryCache
        from videoxl.tasks.recalling import Recalling

        cache = None if no_cache else MemoryCache.of_user()
        folder = options.model_folder(model, quiet)
        with (
            Recalling(video, folder, watching, [question], answering, cache) as recalling,
            render.StatusLine(enabled=not quiet) as status,
        ):
            status.stage(f"loading {model}")
            from videoxl.model import VideoXL

            loaded = VideoXL.from_pretrained(folder, device, dtype.value)
            recalled = recalling.recall(loaded, lambda: status.stage("watching"), status.frames)
        for warning in recalled.warnings:
            render.message(f"warning: {warning}")
        if not quiet:
            if recalled.origin == "cache":
                render.message(f"memory from cache, {recalled.timings['load']:.1f} s")
            if model in BUNDLED:
                render.message(HINT)

        asked = time.perf_counter()
        pieces = loaded.answer(recalled.memory, question, options=answering)
        text = "".join(pieces).strip() if json else render.stream(pieces)
        now = time.perf_counter()
        if json:
            timings = recalled.timings | {"answer": now - asked, "total": now - began}
            render.print_json(_result(text, video, recalled, timings, model))


def _result(text: str, path: str, recalled: "Recalled", timings: dict[str, float], model: str) -> dict[str, Any]:
    """Return what `--json` prints."""
    memory, video = recalled.memory, recalled.memory.video
    return {
        "answer": text,
        "video": video
        and {
            "path": video.path if recalled.origin == "file" else path,
            "duration": round(video.duration, 3),
            "fps": round(video.fps, 3),
            "width": video.width,
            "height": video.height,
        },
        "frames": memory.num_frames,
        "visual_tokens": memory.num_visual_tokens,
        "ratio": max(memory.ratios, default=None),  # of every window: a policy of one ratio
        "memory": {"from": recalled.origin, "slots": memory.length, "bytes": memory.num_bytes},
        "timings": {stage: round(seconds, 4) for stage, seconds in timings.items()},
        "model": model,
    }
