"""Memories of videos that differ by their needles only, with what they share done once.

A frame of the haystack goes through the vision tower once, whatever the lengths that it is in. Up to the first needle,
all videos of one length are the same: their windows are condensed once, and each video goes on from a fork. What comes
out is what watching each video by itself gives, but for the rounding of frames that are encoded in other batches.
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

_MAX_CACHED_BYTES = 1 << 30  # visual tokens of frames beside those of the length at work, on the CPU


@dataclass
class Work:
    """Frames that went through a stage."""

    encoded: int = 0
    condensed: int = 0


@dataclass
class _Shared:
    """The beginning that the videos of one haystack and length have in common."""

    key: tuple[str, int]
    tokens: Tensor  # [t, p, hidden] of the haystack's frames
    watching: MemoryBuilder
    fed: int = 0


class HaystackMemories:
    """Makes memories; remembers visual tokens, and the beginning that the last videos shared.

    Args:
        model: watches.
        ratio: visual tokens per VST.
        reserved_slots: slots to leave for a question and its answer.
        most_needles: of a video.
    """

    def __init__(self, model: VideoXL, ratio: int, reserved_slots: int, most_needles: int = 1) -> None:
        self._model, self._ratio, self._reserved_slots, self._most = model, ratio, reserved_slots, most_needles
        self._frames: OrderedDict[tuple[str, int], Tensor] = OrderedDict()  # [p, hidden] of each
        self._needles: dict[str, Tensor] = {}
        self._shared: _Shared | None = None

    def memorize(
        self, haystack: Haystack, length: int, shown: Sequence[Needle], places: Sequence[int], work: Work
    ) -> VisualMemory:
        """Return the memory of `length` frames of a haystack and the needles.

        Cheapest if the first place is not before that of the video before.

        Args:
            haystack: where the frames come from.
            length: how many.
            shown: the needles, at most `most_needles`.
            places: for each, how many frames of the haystack stand before it; ascending.
            work: is told what had to be done.

        Raises:
            VideoError: the haystack cannot be read, or frames of it are lost.
            BudgetError: the device's memory ran out.
        """
        with cpu_threads(self._model.device), within_memory(self._model.device):
            needles = [self._needle(needle, work) for needle in shown]
            key, first = (haystack.name, length), places[0]
            # Taken out while it is changed: what fails on the way is not gone on from.
            shared, self._shared = self._shared, None
            if shared is None or shared.key != key or shared.fed > first:
                shared = None  # its memory is needed
                shared = self._begin(key, haystack, work)
            work.condensed += first - shared.fed
            self._feed(shared.watching, shared.tokens[shared.fed : first])
            shared.fed = first
            self._shared = shared
            watching, done = shared.watching.fork(), first
            for tokens, place in zip(needles, places, strict=True):
                self._feed(watching, shared.tokens[done:place])
                self._feed(watching, tokens)
                done = place
            self._feed(watching, shared.tokens[done:])
            work.condensed += length - first + len(needles)
            return watching.finish()

    def _begin(self, key: tuple[str, int], haystack: Haystack, work: Work) -> _Shared:
        _, length = key
        tokens = self._tokens(haystack, haystack.frames(length), work)
        # How many frames there are is all that a plan needs to know.
        blank = FrameArray(np.empty((length + self._most, 1, 1, 3), np.uint8))
        options = MemoryOptions(max_frames=length + self._most, fps=None, ratio=self._ratio)
        plan = self._model.plan(blank, options=options, reserved_slots=self._reserved_slots)
        return _Shared(key, tokens, self._model.memory_builder(plan))

    def _feed(self, watching: MemoryBuilder, tokens: Tensor) -> None:
        for start in range(0, len(tokens), CHUNK_FRAMES):
            watching.feed(tokens[start : start + CHUNK_FRAMES].to(self._model.device))

    def _needle(self, needle: Needle, work: Work) -> Tensor:
        if needle.name not in self._needles:
            self._needles[needle.name] = self._model.encode_frames(needle.picture()[None]).cpu()
            work.encoded += 1
        return self._needles[needle.name]

    def _tokens(self, haystack: Haystack, frames: SamplingPlan, work: Work) -> Tensor:
        """Return the visual tokens of frames [t, p, hidden], on the CPU; those that are not known yet are made."""
        keys = [(haystack.name, index) for index in frames.indices.tolist()]
        missing = np.array([at for at, key in enumerate(keys) if key not in self._frames], np.int64)
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
        """Keep the visual tokens of frames."""
        read = 0
        with haystack.source.read(frames, CHUNK_FRAMES, decode_size(self._model.config)) as stream:
            for chunk in stream:
                if not np.array_equal(chunk.indices, frames.indices[read : read + len(chunk.indices)]):
                    break
                encoded = self._model.encode_frames(chunk.frames).cpu()
                for index, tokens in zip(chunk.indices.tolist(), encoded, strict=True):
                    self._frames[haystack.name, index] = tokens.clone()  # a view would hold all of the chunk
                read += len(chunk.indices)
        work.encoded += read
        if read < len(frames):
            raise VideoError(
                f"{haystack.name}: frames of this haystack are damaged, so needles would stand elsewhere than said",
                "Use a haystack that decodes to its end.",
            )
