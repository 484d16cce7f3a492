"""The memory that questions are answered from: a saved one, the cache's, or one that is made by watching the video.

What can be done without torch, which takes seconds to import, is done first: a request is checked, and decoding begins,
unless there is a memory already.

In the cache, a request may have several memories, one of each ratio that it came out at: "auto" depends on the question
and on the device's free memory. The one of the smallest ratio serves that fits with the question, whatever would be
chosen now; so what else uses the device changes no answer as long as a memory that was made fits.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import CacheError, MemoryFileError
from ..files import local_path
from ..memory.cache import MemoryCache
from ..memory.file import is_memory_file
from ..memory.header import read_header
from ..options import AnswerOptions, MemoryOptions
from ..preview import Preview
from ..version import MEMORY_REVISION
from ..video.identity import content_digest
from ..video.sources import FrameStream
from ..video.video import Video

if TYPE_CHECKING:
    from ..memory.value import VisualMemory
    from ..model import Progress, VideoXL

Origin = Literal["video", "cache", "file"]


@dataclass(frozen=True)
class LoadedMemory:
    """A memory and where it came from.

    Args:
        memory: of the video.
        origin: "video" was watched, "cache" and "file" were read.
        timings: seconds; "decode", "encode" and "condense" of watching, "load" of reading.
        warnings: sentences about damage in the video, and about the cache.
        path: the file that the memory is kept in; None if it is not.
    """

    memory: "VisualMemory"
    origin: Origin
    timings: dict[str, float]
    warnings: tuple[str, ...]
    path: Path | None


class MemoryRequest:
    """A request for a memory, checked; a context manager that ends the reading of the video.

    Args:
        path: of a video or a saved memory.
        folder: of the model's checkpoint.
        watch: how a video is watched; of a saved memory, only the part of it can be chosen.
        questions: that will be asked.
        answer: how they will be answered.
        cache: where memories of videos are looked for and kept; None for neither.

    Raises:
        VideoError, MemoryFileError: the file cannot be read, or the options choose no frame.
        BudgetError: the model lacks the ratio, or the video does not fit its positions.
        QuestionError: a question is empty or too long.
        CheckpointError: the folder holds no checkpoint.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        folder: Path,
        watch: MemoryOptions,
        questions: Sequence[str] = (),
        answer: AnswerOptions | None = None,
        cache: MemoryCache | None = None,
    ) -> None:
        self._path = Path(local_path(path))
        self._preview = Preview(folder)
        self._options = watch
        self._cache = cache
        self._stream: FrameStream | None = None
        self._is_file = is_memory_file(self._path)
        num_before = _check_memory(self._path, watch) if self._is_file else None
        self._reserved_slots = self._preview.reserved_slots(questions, answer or AnswerOptions(), num_before)
        if self._is_file:
            return
        self._digest = content_digest(path)
        if not self._may_be_cached():
            self._open()

    def __enter__(self) -> "MemoryRequest":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._stream is not None:
            self._stream.__exit__(*exc_info)

    def load(
        self,
        model: "VideoXL",
        on_start: Callable[[], None] | None = None,
        on_progress: Callable[["Progress"], None] | None = None,
    ) -> LoadedMemory:
        """Return the memory; one that had to be made is kept in the cache.

        Args:
            model: loaded from the folder.
            on_start: called before the video is watched, if it has to be.
            on_progress: called after every chunk of it.

        Raises:
            VideoError: the video cannot be read.
            MemoryFileError: the saved memory is damaged, or another model's.
            BudgetError: the video does not fit the device's free memory, or that ran out.
        """
        from ..memory.value import VisualMemory

        began = time.perf_counter()
        warnings: list[str] = []
        memory: VisualMemory | None = None
        path: Path | None = None
        request = "" if self._is_file else f"{self._key}-{model.fingerprint}-{str(model.dtype).removeprefix('torch.')}"
        if self._is_file:
            path, memory = self._path, VisualMemory.load(self._path, model)
            if self._options != MemoryOptions():
                memory = model.slice(memory, self._options.start, self._options.end)
        elif self._cache is not None:
            try:
                path, memory = self._kept(request, model)
            except MemoryFileError as error:
                warnings.append(f"{error}; the video is watched again")
        if memory is not None:
            timings = {"decode": 0.0, "encode": 0.0, "condense": 0.0, "load": time.perf_counter() - began}
            origin: Origin = "file" if self._is_file else "cache"
            return LoadedMemory(memory, origin, timings, (*warnings, *memory.warnings), path)
        if on_start is not None:
            on_start()
        if self._stream is None:
            self._open()
        watched = model.memorize_plan(self._plan, on_progress, self._stream)
        path, problem = (None, None) if self._cache is None else self._keep(request, watched.memory)
        warnings += [*watched.warnings, *([problem] if problem else [])]
        return LoadedMemory(watched.memory, "video", watched.timings | {"load": 0.0}, tuple(warnings), path)

    @property
    def _key(self) -> str:
        """All that decides a memory but the model: content, options, and what the code makes of them."""
        said = [self._digest, asdict(self._options), MEMORY_REVISION]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]

    def _open(self) -> None:
        """Begin to decode, after checking what can go wrong."""
        self._plan = self._preview.plan(
            Video(self._path, stream=self._options.video_stream), self._options, self._reserved_slots
        )
        self._stream = self._plan.open()

    def _may_be_cached(self) -> bool:
        try:
            return self._cache is not None and bool(self._cache.keys(self._key))
        except CacheError:  # `recall` meets it again, and tells of it
            return False

    def _kept(self, request: str, model: "VideoXL") -> "tuple[Path | None, VisualMemory | None]":
        """Return the file and the memory that the cache has for a request, or neither.

        Raises:
            MemoryFileError: it cannot be read, or the cache cannot.
        """
        assert self._cache is not None
        ratios = [key.removeprefix(f"{request}-") for key in self._cache.keys(f"{request}-")]
        for ratio in sorted(int(ratio) for ratio in ratios if ratio.isdecimal()):
            key = f"{request}-{ratio}"
            memory = self._cache.get(key, lambda path: self._load_if_fitting(path, model))
            if memory is not None:
                return self._cache.path(key), memory
        return None, None

    def _load_if_fitting(self, path: Path, model: "VideoXL") -> "VisualMemory | None":
        """Return a memory if it and the questions fit the model's positions and the device's free memory."""
        from ..memory.value import VisualMemory

        needed, free = read_header(path).length + self._reserved_slots, model.free_slots()
        fits = needed <= model.config.max_positions and (free is None or needed <= free)
        return VisualMemory.load(path, model) if fits else None

    def _keep(self, request: str, memory: "VisualMemory") -> tuple[Path | None, str | None]:
        """Put a memory into the cache, and return its file or what prevented it; the answer shall come whatever it is.

        That the cache is full is said once, of the first memory that it has no room for.
        """
        assert self._cache is not None
        if self._cache.is_full:
            return None, None
        try:
            if content_digest(self._path) != self._digest:
                return None, f"{self._path}: changed while it was watched; its memory is not kept for next time"
            key = f"{request}-{max(memory.ratios, default=0)}"
            self._cache.put(key, memory.save)
            return self._cache.path(key), None
        except Exception as error:  # to write it, it is copied: also memory may run out, the device's or ours
            these = "the memory is not kept for next time"
            if self._cache.is_full:
                these = "this memory and those that follow are not kept for next time"
            return None, f"{these} ({str(error) or type(error).__name__})"


def _check_memory(path: Path, watch: MemoryOptions) -> int:
    """Return the slots of a saved memory, after checking what can be checked without its tensors.

    Raises:
        MemoryFileError: it is damaged, or it is asked to be watched in another way than it was.
    """
    header = read_header(path)
    if watch != MemoryOptions(start=watch.start, end=watch.end):
        raise MemoryFileError(
            f"{path}: is a memory already; how it is watched cannot be chosen any more",
            "Leave out --max-frames, --fps, --ratio, --sampling and --video-stream, or give the video.",
        )
    return header.length
