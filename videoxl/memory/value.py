"""The visual memory as a value."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import MemoryFileError
from ..network.devices import within_memory
from ..options import MemoryOptions
from ..planning.budget import DEFAULT_RESERVED_SLOTS
from ..version import MEMORY_REVISION, __version__
from ..video.identity import VideoRecord
from .file import REMAKE_ADVICE, MemoryFile, write_file
from .header import MemoryHeader
from .quantise import dequantise, quantise
from .section import Section, read_sections
from .stores import BufferStore, Layers


class MemoryReader(Protocol):
    """What a saved memory is loaded for: a model, or a stand-in for one."""

    @property
    def fingerprint(self) -> str:
        """Identifies the model."""

    @property
    def dtype(self) -> torch.dtype:
        """Of keys and values."""

    @property
    def layer_devices(self) -> Sequence[torch.device]:
        """Where each layer's keys and values go."""


@dataclass(frozen=True, eq=False)
class VisualMemory:
    """The condensed video: keys and values of the prompt's prefix and of the VSTs, in order.

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
        model: that model's name, for people.
        version: of videoxl that made it.
        revision: of what it means, see `version.MEMORY_REVISION`; one of another revision answers, but is not extended.
        video: the file that was read; None if it was not a file.
        options: how it was read; None if unknown.
        warnings: sentences about damage in the video.
        sections: what else is kept with it, also if this version does not know it.
        buffers: what the layers are views of, if they have reserved slots.
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
    model: str = ""
    version: str = __version__
    revision: int = MEMORY_REVISION
    video: VideoRecord | None = None
    options: MemoryOptions | None = None
    warnings: tuple[str, ...] = ()
    sections: tuple[Section, ...] = field(default=(), repr=False)
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
    def reserved_slots(self) -> int:
        """Slots for a question and its answer after it: of its buffers, or of those that a copy gets."""
        return DEFAULT_RESERVED_SLOTS if self.buffers is None else self.buffers.capacity - self.length

    @property
    def num_bytes(self) -> int:
        """Bytes that it holds: keys and values, and its reserved slots."""
        return sum(tensor.untyped_storage().nbytes() for pair in self.layers for tensor in pair)

    def section(self, name: str, version: int) -> Section | None:
        """Return a section, unless there is none or it is of a newer version than this one."""
        found = next((section for section in self.sections if section.name == name), None)
        return found if found is not None and found.version <= version else None

    def with_section(self, section: Section) -> "VisualMemory":
        """Return the memory with a section, in place of the one of that name. This one stays as it is."""
        others = tuple(each for each in self.sections if each.name != section.name)
        return replace(self, sections=(*others, section))

    def save(self, path: str | os.PathLike[str], dtype: Literal["int8"] | None = None) -> None:
        """Write it to one file, atomically; sections are written as they are.

        Args:
            path: of the file.
            dtype: None keeps the dtype that it has; "int8" takes a half of 16 bit or a quarter of 32 bit, and changes
                answers a little.

        Raises:
            MemoryFileError: the dtype is another, the folder does not exist or cannot be written to, the disk is full.
        """
        if dtype not in (None, "int8"):
            raise MemoryFileError(f"dtype {dtype!r} is not known", "Use 'int8', or None for the dtype that it has.")
        tensors: dict[str, Tensor] = {}
        for layer, pair in enumerate(self.layers):
            for index, part in _PARTS:
                if dtype is None:
                    tensors[f"{part}.{layer}"] = pair[index]
                else:
                    tensors[f"{part}.{layer}"], tensors[f"{part}_scales.{layer}"] = quantise(pair[index])
        for name in _TIMES:
            times = getattr(self, name)
            if times is not None:
                tensors[name] = torch.from_numpy(np.ascontiguousarray(times, np.float64))
        header = MemoryHeader(
            is_quantised=dtype is not None,
            num_layers=len(self.layers),
            dtype=str(self.layers[0][0].dtype).removeprefix("torch.") if self.layers else "",
            reserved_slots=self.reserved_slots,
            **{name: getattr(self, name) for name in _SHARED_FIELDS},
        )
        write_file(Path(path), tensors, header.metadata(), self.sections)

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: MemoryReader) -> "VisualMemory":
        """Return a saved memory, on the model's devices, with the reserved slots that it had.

        Every byte is verified. What the model answers from it is what it answered from the memory that was saved, to
        the bit, unless it was saved in 8 bit. A memory in 16 bit can also be read by a model in float32, which loses
        nothing; one in 8 bit by a model in any dtype.

        Raises:
            MemoryFileError: the file is missing, damaged, not a memory, of a newer format, or the model has another
                fingerprint or dtype.
            BudgetError: the device's memory ran out.
        """
        path = Path(path)
        with MemoryFile(path) as file:
            header = MemoryHeader.parse(file.metadata, path)
            _check_reader(path, header, model)
            file.verify()
            tensors = file.tensors()
            try:
                store = _stored(header, tensors, model)
                spans, frame_times = (tensors[name].numpy().copy() if name in tensors else None for name in _TIMES)
                sections = read_sections(file.sections, tensors)
            except (KeyError, ValueError, RuntimeError) as error:
                raise MemoryFileError(
                    f"{path}: its tensors do not fit its description ({error!r})", REMAKE_ADVICE
                ) from None
        return cls(
            layers=tuple((keys[0], values[0]) for keys, values in store.layers()),
            spans=spans,
            frame_times=frame_times,
            sections=sections,
            buffers=store,
            **{name: getattr(header, name) for name in _SHARED_FIELDS},
        )

    def workspace(self, reserved_slots: int) -> BufferStore:
        """Return a store that begins with this memory and has free slots. The memory stays as it is.

        Tokens are written after the memory, in its own buffers, if these have the slots and no other question is being
        answered there; otherwise after a copy. So any number of questions may be answered at a time.
        """
        if (
            self.buffers is not None
            and self._may_write_after()
            and self.length + reserved_slots <= self.buffers.capacity
        ):
            shared = self.buffers.share()
            if shared is not None:
                return shared
        return BufferStore.from_layers(self.layers, self.length + reserved_slots)

    def _may_write_after(self) -> bool:
        """Return whether the buffers are those of the layers, and torch lets us write to them here."""
        if self.buffers is None or not self.layers or torch.is_grad_enabled():  # earlier results may be needed again
            return False
        keys = self.layers[0][0]
        if keys.is_inference() and not torch.is_inference_mode_enabled():
            return False
        return self.buffers.holds(keys)

    def __getstate__(self) -> dict[str, Any]:
        # For pickle and copies: without the reserved slots, which are this object's alone.
        layers = tuple((keys.clone(), values.clone()) for keys, values in self.layers)
        return self.__dict__ | {"layers": layers, "buffers": None}


_PARTS = ((0, "keys"), (1, "values"))
_TIMES = ("spans", "frame_times")
# What a memory and the header of its file have in common.
_SHARED_FIELDS = (
    *("prefix_ids", "ratios", "window_vsts", "num_visual_tokens", "num_frames"),
    *("fingerprint", "model", "version", "revision", "video", "options", "warnings"),
)


def _check_reader(path: Path, header: MemoryHeader, model: MemoryReader) -> None:
    """Raise MemoryFileError if the model did not make the memory, or is in a dtype that would change it."""
    if header.fingerprint != model.fingerprint:
        raise MemoryFileError(
            f"{path}: was made by another model than this one ({header.model or 'its name is unknown'})",
            "Use that model, or make the memory again with this one.",
        )
    dtype = str(model.dtype).removeprefix("torch.")
    is_exact = header.num_layers and not header.is_quantised
    if is_exact and header.dtype != dtype and dtype != "float32":
        raise MemoryFileError(
            f"{path}: is in {header.dtype}, the model in {dtype}",
            "Load the model in that dtype or in float32, or make the memory again.",
        )


def _stored(header: MemoryHeader, tensors: dict[str, Tensor], model: MemoryReader) -> BufferStore:
    """Return keys and values in buffers of the model's devices and dtype.

    Raises:
        KeyError, ValueError, RuntimeError: tensors are missing, or of other shapes than the header says.
    """
    if header.num_layers not in (0, len(model.layer_devices)):
        raise ValueError(f"{header.num_layers} layers, not {len(model.layer_devices)}")
    store = BufferStore(header.length + header.reserved_slots)
    for layer, device in zip(range(header.num_layers), model.layer_devices, strict=False):
        pair = [_restored(tensors, part, layer, header.is_quantised) for _, part in _PARTS]
        if any(tensor.shape[1] != header.length for tensor in pair):
            raise ValueError(f"{pair[0].shape[1]} slots, not {header.length}")
        with within_memory(device):
            keys, values = (tensor.to(device, model.dtype)[None] for tensor in pair)
            store.keep(layer, keys, values)
    store.advance(header.length)
    return store


def _restored(tensors: dict[str, Tensor], part: str, layer: int, is_quantised: bool) -> Tensor:
    stored = tensors[f"{part}.{layer}"]
    return dequantise(stored, tensors[f"{part}_scales.{layer}"]) if is_quantised else stored
