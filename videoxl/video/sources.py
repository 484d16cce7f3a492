"""Where frames can come from: a file, an array, and either of them with frames inserted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from ..errors import VideoError
from ..options import Mode
from .reader import FrameChunk
from .sampling import SamplingPlan, TimeAxis, choose_frames


class FrameStream(Protocol):
    """Frames in chunks, in order; a context manager that ends the reading."""

    def __iter__(self) -> Iterator[FrameChunk]: ...

    def __next__(self) -> FrameChunk: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    @property
    def is_ahead(self) -> bool:
        """Whether the next chunk is there already, or none is to come: decoding is not what is waited for."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about damage so far."""


class FrameSource(Protocol):
    """Where frames come from. `Video` is one."""

    def sample(
        self, max_frames: int, fps: float | None, start: float | None, end: float | None, mode: Mode
    ) -> SamplingPlan:
        """Return which frames to read; see `Video.sample`."""

    def read(self, plan: SamplingPlan, chunk: int, size: int | None) -> FrameStream:
        """Return the planned frames; see `Video.read`."""


@dataclass(frozen=True, eq=False)
class FrameArray:
    """Frames that are in memory already.

    Args:
        frames: uint8 RGB [t, h, w, 3].
        times: float [t], seconds, ascending; one frame per second from 0 on if None.

    Raises:
        VideoError: shape or dtype is another, or there are not as many times as frames.
    """

    frames: np.ndarray
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[-1] != 3:
            shape = f"{self.frames.dtype} {list(self.frames.shape)}"
            raise VideoError(f"frames are {shape}, not uint8 [t, h, w, 3]", "Give RGB frames of 8 bits.")
        if self.times is not None and len(self.times) != len(self.frames):
            raise VideoError(f"{len(self.times)} times for {len(self.frames)} frames", "Give one time for each frame.")

    def sample(
        self,
        max_frames: int = 1024,
        fps: float | None = None,
        start: float | None = None,
        end: float | None = None,
        mode: Mode = "uniform",
    ) -> SamplingPlan:
        """Return which frames to read; every frame counts as a key frame.

        Raises:
            VideoError: a value is out of range, or no frame is in the range.
        """
        count = len(self.frames)
        times = np.arange(count, dtype=np.float64) if self.times is None else np.asarray(self.times, np.float64)
        if not count:
            raise VideoError("there are no frames", "Give at least one.")
        last = times[-1] - times[-2] if count > 1 else 1.0
        axis = TimeAxis("the frames", times, np.ones(count, bool), float(times[-1] + last))
        return choose_frames(axis, max_frames, fps, start, end, mode)

    def read(self, plan: SamplingPlan, chunk: int = 32, size: int | None = None) -> FrameStream:
        """Return the planned frames in chunks, at the size that they have."""
        pieces = np.split(np.arange(len(plan)), range(chunk, len(plan), chunk)) if len(plan) else []
        chunks = (FrameChunk(self.frames[plan.indices[at]], plan.times[at], plan.indices[at]) for at in pieces)
        return ChunkStream(chunks)


@dataclass(frozen=True, eq=False)
class SourceWithInsertions:
    """A source with frames inserted after sampling: a video and the needles in it.

    Args:
        source: the haystack.
        frames: uint8 RGB [h, w, 3] each, of any size.
        positions: for each frame, how many of the sampled frames are before it; not descending.

    Raises:
        VideoError: there are not as many positions as frames, or they descend.
    """

    source: FrameSource
    frames: Sequence[np.ndarray]
    positions: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.positions) or list(self.positions) != sorted(self.positions):
            problem = f"{len(self.frames)} frames at positions {list(self.positions)}"
            raise VideoError(problem, "Give one position for each frame, in ascending order.")

    def sample(
        self, max_frames: int, fps: float | None, start: float | None, end: float | None, mode: Mode
    ) -> SamplingPlan:
        """Return the source's frames and the inserted ones, which have the time of the frame before and the index -1.

        Raises:
            VideoError: the source's, or a position is beyond its sampled frames.
        """
        plan = self.source.sample(max_frames, fps, start, end, mode)
        if (plan.indices < 0).any():
            raise VideoError("frames were inserted into this source already", "Insert all of them at once.")
        if not all(0 <= position <= len(plan) for position in self.positions):
            raise VideoError(
                f"positions {list(self.positions)} are not all among the {len(plan)} sampled frames",
                "Sample more frames.",
            )
        times = plan.times[np.maximum(np.array(self.positions, int) - 1, 0)] if self.positions else []
        return SamplingPlan(
            np.insert(plan.indices, self.positions, -1), np.insert(plan.times, self.positions, times), plan.mode
        )

    def read(self, plan: SamplingPlan, chunk: int = 32, size: int | None = None) -> FrameStream:
        """Return the planned frames; an inserted one is a chunk of its own, at its own size."""
        own = plan.indices >= 0
        inner = replace(plan, indices=plan.indices[own], times=plan.times[own])
        return _StreamWithInsertions(self.source.read(inner, chunk, size), plan, self.frames)


class ChunkStream:
    """A stream of chunks that need no decoding."""

    def __init__(self, chunks: Iterator[FrameChunk]) -> None:
        self._chunks = chunks

    is_ahead = True
    warnings: tuple[str, ...] = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FrameChunk:
        return next(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass


class _StreamWithInsertions(ChunkStream):
    """A stream with frames inserted where the plan has the index -1."""

    def __init__(self, inner: FrameStream, plan: SamplingPlan, frames: Sequence[np.ndarray]) -> None:
        super().__init__(self._merged(inner, plan, frames))
        self._inner = inner

    @staticmethod
    def _merged(inner: FrameStream, plan: SamplingPlan, frames: Sequence[np.ndarray]) -> Iterator[FrameChunk]:
        inserted = np.flatnonzero(plan.indices < 0).tolist()
        waiting: list[tuple[int, np.ndarray]] = list(zip(inserted, frames, strict=True))
        positions = {int(index): position for position, index in enumerate(plan.indices) if index >= 0}
        for chunk in inner:
            done = 0
            for offset, index in enumerate(chunk.indices):
                while waiting and waiting[0][0] < positions[int(index)]:
                    if offset > done:
                        yield _part(chunk, done, offset)
                        done = offset
                    yield _single(plan, *waiting.pop(0))
            yield _part(chunk, done, len(chunk.indices))
        for position, frame in waiting:
            yield _single(plan, position, frame)

    @property
    def is_ahead(self) -> bool:  # type: ignore[override]
        return self._inner.is_ahead

    @property
    def warnings(self) -> tuple[str, ...]:  # type: ignore[override]
        return self._inner.warnings

    def __exit__(self, *exc_info: object) -> None:
        self._inner.__exit__(*exc_info)


def _part(chunk: FrameChunk, start: int, stop: int) -> FrameChunk:
    return FrameChunk(chunk.frames[start:stop], chunk.times[start:stop], chunk.indices[start:stop])


def _single(plan: SamplingPlan, position: int, frame: np.ndarray) -> FrameChunk:
    at = slice(position, position + 1)
    return FrameChunk(frame[None], plan.times[at], plan.indices[at])
