"""The memory that questions are answered from: from a saved file, from the cache, or made from the video.

What needs no torch, which takes seconds to import, is done first: the request is checked, and decoding starts unless a
memory exists already.

The cache may have several memories for a request, one per ratio: the ratio "auto" depends on the question and on the
device's free memory. The memory with the smallest ratio that fits together with the question is used, whatever ratio
would be chosen now. So other users of the device do not change answers while a memory that was made before fits.
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
    """A memory and its origin.

    Args:
        memory: of the video.
        origin: "video" if it was made now, "cache" or "file" if it was loaded.
        timings: seconds of "decode", "encode" and "condense" (made now) and of "load" (loaded).
        warnings: sentences about damage in the video, and about the cache.
        path: the file that holds the memory; None if there is none.
    """

    memory: "VisualMemory"
    origin: Origin
    timings: dict[str, float]
    warnings: tuple[str, ...]
    path: Path | None


class MemoryRequest:
    """A checked request for a memory; a context manager that stops the decoding of the video.

    Args:
        path: of a video or a saved memory.
        folder: of the model's checkpoint.
        options: how the memory is made; for a saved memory, only start and end can be chosen.
        questions: that will be asked.
        answer_options: how they will be answered.
        cache: where memories of videos are looked up and kept; None for neither.

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
        options: MemoryOptions,
        questions: Sequence[str] = (),
        answer_options: AnswerOptions | None = None,
        cache: MemoryCache | None = None,
    ) -> None:
        self._path = Path(local_path(path))
        self._preview = Preview(folder)
        self._options = options
        self._cache = cache
        self._stream: FrameStream | None = None
        self._is_file = is_memory_file(self._path)
        num_before = _check_memory(self._path, options) if self._is_file else None
        self._reserved_slots = self._preview.reserved_slots(questions, answer_options or AnswerOptions(), num_before)
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
            on_start: called before the memory is made, if it must be made.
            on_progress: called after every chunk of frames.

        Raises:
            VideoError: the video cannot be read.
            MemoryFileError: the saved memory is damaged, or of another model.
            BudgetError: the video does not fit the device's free memory, or memory ran out.
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
                path, memory = self._find_cached(request, model)
            except MemoryFileError as error:
                warnings.append(f"{error}; it is made again from the video")
        if memory is not None:
            timings = {"decode": 0.0, "encode": 0.0, "condense": 0.0, "load": time.perf_counter() - began}
            origin: Origin = "file" if self._is_file else "cache"
            return LoadedMemory(memory, origin, timings, (*warnings, *memory.warnings), path)
        if on_start is not None:
            on_start()
        if self._stream is None:
            self._open()
        result = model.memorize_plan(self._plan, on_progress, self._stream)
        path, problem = (None, None) if self._cache is None else self._cache_memory(request, result.memory)
        warnings += [*result.warnings, *([problem] if problem else [])]
        return LoadedMemory(result.memory, "video", result.timings | {"load": 0.0}, tuple(warnings), path)

    @property
    def _key(self) -> str:
        """A digest of all that determines a memory except the model: content, options, and revision of the code."""
        parts = [self._digest, asdict(self._options), MEMORY_REVISION]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def _open(self) -> None:
        """Plan the memory, which checks the request, and start decoding."""
        self._plan = self._preview.plan(
            Video(self._path, stream=self._options.video_stream), self._options, self._reserved_slots
        )
        self._stream = self._plan.open()

    def _may_be_cached(self) -> bool:
        try:
            return self._cache is not None and bool(self._cache.keys(self._key))
        except CacheError:  # `load` meets it again, and reports it
            return False

    def _find_cached(self, request: str, model: "VideoXL") -> "tuple[Path | None, VisualMemory | None]":
        """Return file and memory from the cache for a request, or None for both.

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
        """Return a memory if it fits, with the questions, the model's positions and the device's free memory."""
        from ..memory.value import VisualMemory

        needed, free = read_header(path).length + self._reserved_slots, model.free_slots()
        fits = needed <= model.config.max_positions and (free is None or needed <= free)
        return VisualMemory.load(path, model) if fits else None

    def _cache_memory(self, request: str, memory: "VisualMemory") -> tuple[Path | None, str | None]:
        """Save a memory to the cache, and return its file, or why it was not saved, which must not prevent the answer.

        A full cache is reported once, for the first memory that does not fit.
        """
        assert self._cache is not None
        if self._cache.is_full:
            return None, None
        try:
            if content_digest(self._path) != self._digest:
                return None, f"{self._path}: changed while it was read; its memory is not kept for next time"
            key = f"{request}-{max(memory.ratios, default=0)}"
            self._cache.put(key, memory.save)
            return self._cache.path(key), None
        except Exception as error:  # saving copies it, so the device or the process may run out of memory
            consequence = "the memory is not kept for next time"
            if self._cache.is_full:
                consequence = "this memory and those that follow are not kept for next time"
            return None, f"{consequence} ({str(error) or type(error).__name__})"


def _check_memory(path: Path, options: MemoryOptions) -> int:
    """Return the number of slots of a saved memory, after checking what needs no tensors.

    Raises:
        MemoryFileError: it is damaged, or options are given that only apply to making a memory.
    """
    header = read_header(path)
    if options != MemoryOptions(start=options.start, end=options.end):
        raise MemoryFileError(
            f"{path}: is a memory already; how it was made cannot be changed",
            "Leave out --max-frames, --fps, --ratio, --sampling and --video-stream, or give the video.",
        )
    return header.length
