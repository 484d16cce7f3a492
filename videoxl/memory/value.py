"""The visual memory as a value."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..version import __version__
from .stores import BufferStore, Layers


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
        frame_times: seconds of every frame read, float64 [num_frames]; None if unknown.
        num_visual_tokens: visual tokens read.
        num_frames: frames read; 0 if unknown.
        fingerprint: identifies the model that made it.
        version: of videoxl that made it.
        buffers: what the layers are views of, if there is room for a question behind them.
    """

    layers: Layers = field(repr=False)
    prefix_ids: tuple[int, ...] = ()
    ratios: tuple[int, ...] = ()
    window_vsts: tuple[int, ...] = ()
    spans: np.ndarray | None = field(default=None, repr=False)
    frame_times: np.ndarray | None = field(default=None, repr=False)
    num_visual_tokens: int = 0
    num_frames: int = 0
    fingerprint: str = ""
    version: str = __version__
    buffers: BufferStore | None = field(default=None, repr=False)

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
        """Bytes that it holds: keys and values, and the room for a question behind them."""
        return sum(tensor.untyped_storage().nbytes() for pair in self.layers for tensor in pair)

    def workspace(self, room: int) -> BufferStore:
        """Return a store that begins with this memory and has room for more tokens. The memory stays as it is.

        The tokens are written behind the memory, in its own buffers, if these have the room and no other question is
        being answered there; otherwise behind a copy. So any number of questions may be answered at a time.
        """
        if self.buffers is not None and self._may_write_behind() and self.length + room <= self.buffers.capacity:
            shared = self.buffers.share()
            if shared is not None:
                return shared
        return BufferStore.beginning_with(self.layers, self.length + room)

    def _may_write_behind(self) -> bool:
        """Return whether the buffers are those of the layers, and torch lets us write to them here."""
        if self.buffers is None or not self.layers or torch.is_grad_enabled():  # earlier results may be needed again
            return False
        keys = self.layers[0][0]
        if keys.is_inference() and not torch.is_inference_mode_enabled():
            return False
        return self.buffers.holds(keys)

    def __getstate__(self) -> dict[str, Any]:
        # For pickle and copies: without the room behind it, which is ours alone.
        layers = tuple((keys.clone(), values.clone()) for keys, values in self.layers)
        return self.__dict__ | {"layers": layers, "buffers": None}
