"""Memories made ahead of questions, one per video: in the cache and, if requested, in a file."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import MemoryFileError
from ..memory.cache import MemoryCache
from ..memory.file import check_output
from ..options import MemoryOptions
from .memory_request import LoadedMemory, MemoryRequest

if TYPE_CHECKING:
    from ..model import Progress, VideoXL

_OUTPUT_ADVICE = "Save it to a file with --output."


@dataclass(frozen=True)
class IndexedVideo:
    """A memory that was made or found ahead of questions.

    Args:
        loaded_memory: the memory and its origin.
        path: its file.
        size: bytes of the file.
        seconds: duration, without loading the model.
    """

    loaded_memory: LoadedMemory
    path: Path
    size: int
    seconds: float


def memory_paths(videos: Sequence[str], output: Path | None) -> list[Path | None]:
    """Return the file of each video's memory besides the cache, or None for the cache only.

    Args:
        videos: paths.
        output: a file (for one video) or a folder; None for the cache only.

    Raises:
        MemoryFileError: the folder cannot be created, two memories would have one name, or one would replace a file
            that is not a memory.
    """
    if output is None:
        return [None] * len(videos)
    if len(videos) == 1 and not output.is_dir():
        check_output(output)
        return [output]
    paths = [output / f"{Path(video).stem}.vxm" for video in videos]
    for path in paths:
        if paths.count(path) > 1:
            raise MemoryFileError(f"{path}: two memories would have this name", "Give the videos one at a time.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MemoryFileError(f"{output}: cannot be created ({error.strerror})", "Give another folder.") from None
    for path in paths:
        check_output(path)
    return [*paths]


def index_video(
    video: str,
    path: Path | None,
    folder: Path,
    options: MemoryOptions,
    cache: MemoryCache | None,
    load_model: Callable[[], "VideoXL"],
    dtype: Literal["int8"] | None = None,
    on_start: Callable[[], None] | None = None,
    on_progress: Callable[["Progress"], None] | None = None,
) -> IndexedVideo:
    """Make the memory of a video, unless the cache has it.

    Args:
        video: its path.
        path: file that the memory is saved to besides the cache; None for the cache only.
        folder: of the model's checkpoint.
        options: how the memory is made.
        cache: where memories are looked up and kept; None for neither.
        load_model: called once the request is checked and decoding has started.
        dtype: of the file; see `VisualMemory.save`.
        on_start: called before the memory is made, if the cache does not have it.
        on_progress: called after every chunk of frames.

    Raises:
        VideoXLError: it cannot be made, see `MemoryRequest`; or it could not be kept anywhere.
    """

    def before_start() -> None:
        if path is None and (cache is None or cache.is_full):
            raise MemoryFileError(f"{video}: not memorized, because the cache is full", _OUTPUT_ADVICE)
        if on_start is not None:
            on_start()

    with MemoryRequest(video, folder, options, cache=cache) as request:
        model = load_model()
        began = time.perf_counter()
        loaded_memory = request.load(model, before_start, on_progress)
    if path is not None:
        loaded_memory.memory.save(path, dtype)
    kept = path or loaded_memory.path
    if kept is None:
        problem = (
            loaded_memory.warnings[-1]
            if loaded_memory.warnings
            else "another process removed the memory from the cache"
        )
        raise MemoryFileError(f"{video}: {problem}", _OUTPUT_ADVICE)
    return IndexedVideo(loaded_memory, kept, kept.stat().st_size, time.perf_counter() - began)
