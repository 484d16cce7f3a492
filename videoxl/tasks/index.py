"""Memories made ahead: of each video one, in the cache and in a file where that is asked for."""

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

_TO_A_FILE = "Write it to a file with --output."


@dataclass(frozen=True)
class IndexedVideo:
    """A memory that is there for later.

    Args:
        loaded_memory: the memory, and where it came from.
        path: its file.
        size: bytes of the file.
        seconds: that it took, loading the model left out.
    """

    loaded_memory: LoadedMemory
    path: Path
    size: int
    seconds: float


def memory_paths(videos: Sequence[str], output: Path | None) -> list[Path | None]:
    """Return where the memory of each video is written: nowhere but the cache, to one file, or into a folder.

    Args:
        videos: paths.
        output: a file for one video, or a folder; a folder for several.

    Raises:
        MemoryFileError: the folder cannot be made, two memories would have one name, or one would take the place of
            another file that is no memory.
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
        raise MemoryFileError(f"{output}: cannot be made ({error.strerror})", "Give another folder.") from None
    for path in paths:
        check_output(path)
    return [*paths]


def index_video(
    video: str,
    path: Path | None,
    folder: Path,
    watch: MemoryOptions,
    cache: MemoryCache | None,
    load_model: Callable[[], "VideoXL"],
    dtype: Literal["int8"] | None = None,
    on_start: Callable[[], None] | None = None,
    on_progress: Callable[["Progress"], None] | None = None,
) -> IndexedVideo:
    """Make the memory of a video, unless the cache has it, or it could be kept nowhere.

    Args:
        video: its path.
        path: where the memory is written, besides the cache; None for there only.
        folder: of the model's checkpoint.
        watch: how the video is watched.
        cache: where memories are looked for and kept; None for neither.
        load_model: called once the request is checked and decoding has begun.
        dtype: of the file; see `VisualMemory.save`.
        on_start: called before the video is watched, if it has to be.
        on_progress: called after every chunk of it.

    Raises:
        VideoXLError: it cannot be made, see `MemoryRequest`; or it can be kept nowhere.
    """

    def check_use() -> None:
        if path is None and (cache is None or cache.is_full):
            problem = "it could be kept nowhere: there is no room left in the cache"
            raise MemoryFileError(f"{video}: not watched, because {problem}", _TO_A_FILE)
        if on_start is not None:
            on_start()

    with MemoryRequest(video, folder, watch, cache=cache) as request:
        model = load_model()
        began = time.perf_counter()
        loaded_memory = request.load(model, check_use, on_progress)
    if path is not None:
        loaded_memory.memory.save(path, dtype)
    kept = path or loaded_memory.path
    if kept is None:
        problem = (
            loaded_memory.warnings[-1]
            if loaded_memory.warnings
            else "another process removed the memory from the cache"
        )
        raise MemoryFileError(f"{video}: {problem}", _TO_A_FILE)
    return IndexedVideo(loaded_memory, kept, kept.stat().st_size, time.perf_counter() - began)
