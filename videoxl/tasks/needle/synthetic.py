"""The synthetic haystack: an endless video without cards, rendered as it is read, that needs no file."""

from collections.abc import Iterator

import numpy as np

from ...errors import VideoError
from ...options import Mode, check_mode
from ...video.reader import FrameChunk
from ...video.sampling import SamplingPlan
from ...video.sources import ChunkStream, FrameStream
from .scenes import RENDER_HEIGHT, scene

_SCENE = 32  # frames, at one per second: scenes change about as often as a slow film cuts
_SIZE = (256, RENDER_HEIGHT)


class Synthetic:
    """Rendered scenes, one after the other, at one frame per second. The same seed gives the same frames everywhere.

    Args:
        seed: of the scenes.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def sample(
        self, max_frames: int, fps: float | None, start: float | None, end: float | None, mode: Mode
    ) -> SamplingPlan:
        """Return the first `max_frames` frames; the video is endless.

        Raises:
            VideoError: a start, an end or a rate below one frame per second is given, or there is no such mode.
        """
        check_mode(mode)
        if start is not None or end is not None or (fps is not None and fps < 1.0):
            raise VideoError(
                "a synthetic haystack is read from its start, at one frame per second", "Leave out start, end and fps."
            )
        indices = np.arange(max_frames)
        return SamplingPlan(indices, indices.astype(np.float64), mode)

    def read(self, plan: SamplingPlan, chunk: int = 32, size: int | None = None) -> FrameStream:
        """Return the planned frames in chunks, always rendered at the same size."""
        return ChunkStream(self._chunks(plan, chunk))

    def _chunks(self, plan: SamplingPlan, chunk: int) -> Iterator[FrameChunk]:
        number, frames = -1, np.empty(0)
        for at in np.split(np.arange(len(plan)), range(chunk, len(plan), chunk)):
            pictures = []
            for index in plan.indices[at].tolist():
                if index // _SCENE != number:
                    number = index // _SCENE
                    rng = np.random.default_rng((self.seed, number))
                    frames = np.stack([np.asarray(picture) for picture in scene(rng, _SCENE, _SIZE)])
                pictures.append(frames[index % _SCENE])
            yield FrameChunk(np.stack(pictures), plan.times[at], plan.indices[at])
