"""What commands that ask about one video do first: load the model, and have the video's memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videoxl.checkpoints.hub import BUNDLED
from videoxl.errors import CacheError
from videoxl.options import AnswerOptions, MemoryOptions

from . import options, render
from .options import Dtype

if TYPE_CHECKING:
    from videoxl.memory.cache import MemoryCache
    from videoxl.model import VideoXL
    from videoxl.tasks.memory_request import LoadedMemory

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


def load_memory(
    video: str,
    watching: MemoryOptions,
    questions: Sequence[str],
    answering: AnswerOptions,
    *,
    model: str,
    device: str,
    dtype: Dtype,
    no_cache: bool,
    quiet: bool,
) -> "tuple[VideoXL, LoadedMemory]":
    """Return the model and the memory, and say on stderr what there is to say about them.

    What can go wrong goes wrong first, and decoding begins first: torch takes seconds to import.
    """
    from videoxl.tasks.memory_request import MemoryRequest

    cache = None if no_cache else user_cache()
    folder = options.model_folder(model, quiet)
    with (
        MemoryRequest(video, folder, watching, questions, answering, cache) as request,
        render.StatusLine(enabled=not quiet) as status,
    ):
        status.stage(f"loading {model}")
        from videoxl.model import VideoXL

        loaded = VideoXL.from_pretrained(folder, device, dtype.value)
        loaded_memory = request.load(loaded, lambda: status.stage("watching"), status.frames)
    for warning in loaded_memory.warnings:
        render.message(f"warning: {warning}")
    if not quiet:
        if loaded_memory.origin == "cache":
            render.message(f"memory from cache, {loaded_memory.timings['load']:.1f} s")
        if model in BUNDLED:
            render.message(HINT)
    return loaded, loaded_memory
