"""Where keys and values live: the visual memory as a value, and the stores that it is built in and read from."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from . import __version__


class BufferStore:
    """Keys and values in buffers of fixed capacity, for inference: nothing is concatenated, nothing grows.

    A forward writes its tokens after what is stored and attends to one view of both; what is kept is then written over
    the start of them. Each layer's buffers are made on that layer's device when it is first used.

    Args:
        capacity: slots per layer, enough for the memory and the longest forward on top of it.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [b, kv_heads, n, d] after what is stored and return views of all."""
        self.keep(layer, keys, values)
        end = self.length + keys.shape[2]
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def keep(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Write what shall stay; it counts once `advance` is called."""
        if layer not in self._keys:
            batch, heads, _, head_dim = keys.shape
            for buffers, like in ((self._keys, keys), (self._values, values)):
                buffers[layer] = like.new_empty(batch, heads, self.capacity, head_dim)
        self._keys[layer][:, :, self.length : self.length + keys.shape[2]] = keys
        self._values[layer][:, :, self.length : self.length + keys.shape[2]] = values

    def advance(self, count: int) -> None:
        """Let the `count` slots that every layer has kept become part of the memory."""
        self.length += count

    def layers(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return views of each layer's keys and values so far, [b, kv_heads, length, d]."""
        return tuple(
            (self._keys[layer][:, :, : self.length], self._values[layer][:, :, : self.length])
            for layer in sorted(self._keys)
        )


class GrowingStore:
    """Keys and values concatenated anew by every forward, for training: gradients flow through all that was kept."""

    def __init__(self) -> None:
        self.length = 0
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._pending: dict[int, tuple[Tensor, Tensor]] = {}

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is stored followed by [b, kv_heads, n, d], and store nothing."""
        if layer not in self._kept:
            return keys, values
        stored_keys, stored_values = self._kept[layer]
        return torch.cat([stored_keys, keys], dim=2), torch.cat([stored_values, values], dim=2)

    def keep(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Note what shall stay; it counts once `advance` is called."""
        self._pending[layer] = self.extend(layer, keys, values)

    def advance(self, count: int) -> None:
        """Let the `count` slots that every layer has kept become part of the memory."""
        self._kept, self._pending = self._pending, {}
        self.length += count

    def layers(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return each layer's keys and values so far, [b, kv_heads, length, d]."""
        return tuple(self._kept[layer] for layer in sorted(self._kept))


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
