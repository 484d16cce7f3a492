"""What commands that ask about one video do first: load the model, and have the video's memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videoxl.errors import CacheError
from videoxl.options import AnswerOptions, MemoryOptions

from . import options, render
from .model_hint import show_hint
from .options import Dtype

if TYPE_CHECKING:
    from videoxl.memory.cache import MemoryCache
    from videoxl.model import VideoXL
    from videoxl.tasks.memory_request import LoadedMemory


def user_cache() -> "MemoryCache | None":
    """Return the user's cache; None, after a warning, if it cannot be used."""
    from videoxl.memory.cache import MemoryCache

    try:
        return MemoryCache.of_user()
    except CacheError as error:
        render.message(f"warning: no memory is kept for next time ({error})")
        return None


def load_memory(
    video: str,
    memory_options: MemoryOptions,
    questions: Sequence[str],
    answer_options: AnswerOptions,
    *,
    model: str,
    device: str,
    dtype: Dtype,
    no_cache: bool,
    quiet: bool,
) -> "tuple[VideoXL, LoadedMemory]":
    """Return the model and the memory, and show warnings and hints about them on stderr.

    What can go wrong goes wrong first, and decoding begins first: torch takes seconds to import.
    """
    from videoxl.tasks.memory_request import MemoryRequest

    cache = None if no_cache else user_cache()
    folder = options.model_folder(model, quiet)
    with (
        MemoryRequest(video, folder, memory_options, questions, answer_options, cache) as request,
        render.StatusLine(enabled=not quiet) as status,
    ):
        status.stage(f"loading {model}")
        from videoxl.model import VideoXL

        loaded = VideoXL.from_pretrained(folder, device, dtype.value)
        loaded_memory = request.load(loaded, lambda: status.stage("reading the video"), status.frames)
    for warning in loaded_memory.warnings:
        render.message(f"warning: {warning}")
    if not quiet and loaded_memory.origin == "cache":
        render.message(f"memory from cache, {loaded_memory.timings['load']:.1f} s")
    show_hint(model, quiet)
    return loaded, loaded_memory
