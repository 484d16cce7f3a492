"""Memories of videos that differ only by their needles; shared frames are processed once.

A frame of the haystack is encoded once, for all lengths. Up to the first needle, all videos of one length are the same:
their windows are condensed once, and each video continues from a fork. The memories equal those of videos that are
memorized separately, except for the rounding of frames that are encoded in other batches.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...engine.memory_builder import MemoryBuilder
from ...errors import VideoError
from ...memory.value import VisualMemory
from ...model import VideoXL
from ...network.devices import cpu_threads, within_memory
from ...options import MemoryOptions
from ...planning.memory_plan import CHUNK_FRAMES, decode_size
from ...video.sampling import SamplingPlan
from ...video.sources import FrameArray
from .haystacks import Haystack
from .needles import Needle

_MAX_CACHED_BYTES = 1 << 30  # visual tokens on the CPU, besides those of the present length


@dataclass
class Work:
    """Numbers of frames that were encoded and condensed."""

    encoded: int = 0
    condensed: int = 0


@dataclass
class _SharedPart:
    """The beginning that videos of one haystack and length have in common."""

    key: tuple[str, int]
    tokens: Tensor  # [t, p, hidden] of the haystack's frames
    builder: MemoryBuilder
    num_fed: int = 0


class HaystackMemories:
    """Makes memories; keeps visual tokens, and the beginning that the last videos shared.

    Args:
        model: makes the memories.
        ratio: visual tokens per VST.
        reserved_slots: slots to keep free for a question and its answer.
        max_needles: largest number of needles in a video.
    """

    def __init__(self, model: VideoXL, ratio: int, reserved_slots: int, max_needles: int = 1) -> None:
        self._model, self._ratio, self._reserved_slots, self._max_needles = model, ratio, reserved_slots, max_needles
        self._frames: OrderedDict[tuple[str, int], Tensor] = OrderedDict()  # [p, hidden] of each
        self._needles: dict[str, Tensor] = {}
        self._shared: _SharedPart | None = None

    def memorize(
        self, haystack: Haystack, length: int, shown: Sequence[Needle], positions: Sequence[int], work: Work
    ) -> VisualMemory:
        """Return the memory of `length` frames of a haystack and the needles.

        Cheapest if the first position is not before that of the previous video.

        Args:
            haystack: where the frames come from.
            length: how many.
            shown: the needles, at most `max_needles`.
            positions: for each, the number of frames of the haystack before it; ascending.
            work: the frames that had to be processed are added to it.

        Raises:
            VideoError: the haystack cannot be read completely.
            BudgetError: the device's memory ran out.
        """
        with cpu_threads(self._model.device), within_memory(self._model.device):
            needles = [self._needle(needle, work) for needle in shown]
            key, first = (haystack.name, length), positions[0]
            # Removed while it is changed, so that it is not reused after a failure.
            shared, self._shared = self._shared, None
            if shared is None or shared.key != key or shared.num_fed > first:
                shared = None  # frees its memory
                shared = self._begin(key, haystack, work)
            work.condensed += first - shared.num_fed
            self._feed(shared.builder, shared.tokens[shared.num_fed : first])
            shared.num_fed = first
            self._shared = shared
            builder, done = shared.builder.fork(), first
            for tokens, position in zip(needles, positions, strict=True):
                self._feed(builder, shared.tokens[done:position])
                self._feed(builder, tokens)
                done = position
            self._feed(builder, shared.tokens[done:])
            work.condensed += length - first + len(needles)
            return builder.finish()

    def _begin(self, key: tuple[str, int], haystack: Haystack, work: Work) -> _SharedPart:
        _, length = key
        tokens = self._tokens(haystack, haystack.frames(length), work)
        # Only the number of frames matters to the plan.
        blank = FrameArray(np.empty((length + self._max_needles, 1, 1, 3), np.uint8))
        options = MemoryOptions(max_frames=length + self._max_needles, fps=None, ratio=self._ratio)
        plan = self._model.plan(blank, options=options, reserved_slots=self._reserved_slots)
        return _SharedPart(key, tokens, self._model.memory_builder(plan))

    def _feed(self, builder: MemoryBuilder, tokens: Tensor) -> None:
        for start in range(0, len(tokens), CHUNK_FRAMES):
            builder.feed(tokens[start : start + CHUNK_FRAMES].to(self._model.device))

    def _needle(self, needle: Needle, work: Work) -> Tensor:
        if needle.name not in self._needles:
            self._needles[needle.name] = self._model.encode_frames(needle.picture()[None]).cpu()
            work.encoded += 1
        return self._needles[needle.name]

    def _tokens(self, haystack: Haystack, frames: SamplingPlan, work: Work) -> Tensor:
        """Return the visual tokens of frames [t, p, hidden], on the CPU; missing ones are encoded."""
        keys = [(haystack.name, index) for index in frames.indices.tolist()]
        missing = np.array([position for position, key in enumerate(keys) if key not in self._frames], np.int64)
        if len(missing):
            self._encode(haystack, replace(frames, indices=frames.indices[missing], times=frames.times[missing]), work)
        tokens = torch.stack([self._frames[key] for key in keys])
        for key in keys:
            self._frames.move_to_end(key)
        kept = sum(frame.nbytes for frame in self._frames.values()) - tokens.nbytes
        while kept > _MAX_CACHED_BYTES and len(self._frames) > len(keys):
            kept -= self._frames.popitem(last=False)[1].nbytes
        return tokens

    def _encode(self, haystack: Haystack, frames: SamplingPlan, work: Work) -> None:
        """Encode frames, and keep their visual tokens."""
        num_read = 0
        with haystack.source.read(frames, CHUNK_FRAMES, decode_size(self._model.config)) as stream:
            for chunk in stream:
                if not np.array_equal(chunk.indices, frames.indices[num_read : num_read + len(chunk.indices)]):
                    break
                encoded = self._model.encode_frames(chunk.frames).cpu()
                for index, tokens in zip(chunk.indices.tolist(), encoded, strict=True):
                    self._frames[haystack.name, index] = tokens.clone()  # a view would keep the whole chunk
                num_read += len(chunk.indices)
        work.encoded += num_read
        if num_read < len(frames):
            raise VideoError(
                f"{haystack.name}: frames are damaged, so needles would be at other depths",
                "Use a haystack that can be decoded completely.",
            )
