"""What commands that ask about one video do first: load the model, and have the video's memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videoxl.checkpoints.hub import BUNDLED
from videoxl.errors import CacheError
from videoxl.options import AnswerOptions, WatchOptions

from . import options, render
from .options import Dtype

if TYPE_CHECKING:
    from videoxl.memory.cache import MemoryCache
    from videoxl.model import VideoXL
    from videoxl.tasks.recalling import Recalled

HINT = (
    "videoxl-nano understands cards in a video: a word, a number, a shape, their colours, whether there is one. "
    "For open questions use a published checkpoint: --model video-xl-7b"
)


def user_cache() -> "MemoryCache | None":
    """Return the user's cache; None, after a warning, if it has no place."""
    from videoxl.memory.cache import MemoryCache

    try:
        return MemoryCache.of_user()
    except CacheError as error:
        render.message(f"warning: no memory is kept for next time ({error})")
        return None


def recall(
    video: str,
    watching: WatchOptions,
    questions: Sequence[str],
    answering: AnswerOptions,
    *,
    model: str,
    device: str,
    dtype: Dtype,
    no_cache: bool,
    quiet: bool,
) -> "tuple[VideoXL, Recalled]":
    """Return the model and the memory, and say on stderr what there is to say about them.

    What can go wrong goes wrong first, and decoding begins first: torch takes seconds to import.
    """
    from videoxl.tasks.recalling import Recalling

    cache = None if no_cache else user_cache()
    folder = options.model_folder(model, quiet)
    with (
        Recalling(video, folder, watching, questions, answering, cache) as recalling,
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
    return loaded, recalled
