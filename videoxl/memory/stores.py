"""Keys and values while they are being made: in fixed buffers for inference, growing for training."""

import threading
import weakref

import torch
from torch import Tensor

Layers = tuple[tuple[Tensor, Tensor], ...]


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
        self._tail = threading.Lock()  # held by the one store that writes after the slots that several share

    @classmethod
    def from_layers(cls, layers: Layers, capacity: int) -> "BufferStore":
        """Return a store that begins with a copy of keys and values [kv_heads, n, d]."""
        store = cls(capacity)
        for layer, (keys, values) in enumerate(layers):
            store.keep(layer, keys[None], values[None])
        store.length = layers[0][0].shape[1] if layers else 0
        return store

    def share(self) -> "BufferStore | None":
        """Return a store that continues after this one's slots, in the same buffers; None if another one does already.

        This one must not be written to afterwards. The slots are free again once the returned store is gone.
        """
        if not self._tail.acquire(blocking=False):
            return None
        other = BufferStore(self.capacity)
        other.length, other._keys, other._values = self.length, self._keys, self._values
        weakref.finalize(other, self._tail.release)
        return other

    def holds(self, keys: Tensor) -> bool:
        """Return whether keys [kv_heads, n, d] are all that the first layer stores, rather than a copy or a part."""
        own = self._keys.get(0)
        return own is not None and own.data_ptr() == keys.data_ptr() and self.length == keys.shape[1]

    def copy(self) -> "BufferStore":
        """Return a store of the same capacity with a copy of what is stored."""
        layers = tuple((keys[0], values[0]) for keys, values in self.layers())
        return BufferStore.from_layers(layers, self.capacity)

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [b, kv_heads, n, d] after what is stored and return views of all."""
        self.keep(layer, keys, values)
        end = self.length + keys.shape[2]
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def keep(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Write what is kept; it counts once `advance` is called."""
        if layer not in self._keys:
            batch, heads, _, head_dim = keys.shape
            for buffers, like in ((self._keys, keys), (self._values, values)):
                buffers[layer] = like.new_empty(batch, heads, self.capacity, head_dim)
        self._keys[layer][:, :, self.length : self.length + keys.shape[2]] = keys
        self._values[layer][:, :, self.length : self.length + keys.shape[2]] = values

    def with_fixed_shape(self, position: Tensor) -> "FixedShapeStore":
        """Return a store for forwards of one token, which is written to the slot in a tensor [1].

        The free slots are set to zero: a forward reads them, masked, and they must hold numbers.
        """
        for buffer in (*self._keys.values(), *self._values.values()):
            buffer[:, :, self.length :] = 0
        return FixedShapeStore(position, self._keys, self._values)

    def advance(self, count: int) -> None:
        """Let the `count` slots that every layer has kept become part of the memory."""
        self.length += count

    def rewind(self, length: int) -> None:
        """Forget all slots but the first `length`."""
        self.length = length

    def layers(self) -> Layers:
        """Return views of each layer's keys and values so far, [b, kv_heads, length, d]."""
        return tuple(
            (self._keys[layer][:, :, : self.length], self._values[layer][:, :, : self.length])
            for layer in sorted(self._keys)
        )


class FixedShapeStore:
    """The buffers of a store, for forwards of fixed shape: one token goes to one slot, and all slots are attended to.

    The caller masks the slots after the position, and counts the slots in the store itself.
    """

    length = 0

    def __init__(self, position: Tensor, keys: dict[int, Tensor], values: dict[int, Tensor]) -> None:
        self._position, self._keys, self._values = position, keys, values

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [b, kv_heads, 1, d] to the slot and return the whole buffers."""
        return (
            self._keys[layer].index_copy_(2, self._position, keys),
            self._values[layer].index_copy_(2, self._position, values),
        )

    def keep(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Do nothing: `extend` has written them."""

    def advance(self, count: int) -> None:
        """Do nothing."""


class GrowingStore:
    """Keys and values concatenated again by every forward, for training: gradients flow through all that was kept."""

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
        """Note what is kept; it counts once `advance` is called."""
        self._pending[layer] = self.extend(layer, keys, values)

    def advance(self, count: int) -> None:
        """Let the `count` slots that every layer has kept become part of the memory."""
        self._kept, self._pending = self._pending, {}
        self.length += count

    def layers(self) -> Layers:
        """Return each layer's keys and values so far, [b, kv_heads, length, d]."""
        return tuple(self._kept[layer] for layer in sorted(self._kept))
