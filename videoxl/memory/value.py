"""The visual memory as a value."""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ..version import __version__
from .stores import BufferStore


@dataclass(frozen=True, eq=False)
class VisualMemory:
    """All that remains of a video: keys and values of the prompt's prefix and of the VSTs, in order.

    A value: made by condensing, read by any number of questions, never changed by them. Slot i is at position i, and
    keys are stored rotated to that position.

    Args:
        layers: per layer, keys and values, each [kv_heads, slots, d], on that layer's device.
        prefix_ids: the prompt's tokens before the video.
        ratios: the ratio of every window, in order.
        window_vsts: the VSTs of every window, in order.
        spans: seconds of the first and last frame that each VST summarises, float64 [num_vst, 2]; None if unknown.
        num_visual_tokens: visual tokens read.
        num_frames: frames read; 0 if unknown.
        fingerprint: identifies the model that made it.
        version: of videoxl that made it.
        timings: seconds that making it took, by stage.
        warnings: sentences about damage in the video.
    """

    layers: tuple[tuple[Tensor, Tensor], ...] = field(repr=False)
    prefix_ids: tuple[int, ...] = ()
    ratios: tuple[int, ...] = ()
    window_vsts: tuple[int, ...] = ()
    spans: np.ndarray | None = field(default=None, repr=False)
    num_visual_tokens: int = 0
    num_frames: int = 0
    fingerprint: str = ""
    version: str = __version__
    timings: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Number of slots: tokens of the prefix and VSTs. The next token's position."""
        return len(self.prefix_ids) + self.num_vst

    @property
    def num_vst(self) -> int:
        """Number of VSTs."""
        return sum(self.window_vsts)

    @property
    def num_bytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(tensor.numel() * tensor.element_size() for pair in self.layers for tensor in pair)

    def workspace(self, room: int) -> BufferStore:
        """Return a store that begins with a copy of this memory and has room for more tokens.

        The copy is made once per question, so that every later token is written in place and the memory stays as it
        is, however many answers are being read from it.
        """
        store = BufferStore(self.length + room)
        for layer, (keys, values) in enumerate(self.layers):
            store.keep(layer, keys[None], values[None])
        store.advance(self.length)
        return store
