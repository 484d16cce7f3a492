"""A memory of a part of the video, made from the memory of more of it."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..errors import MemoryFileError
from ..network.rotary import inverse, rotary_tables, rotate
from ..timestamps import format_timestamp
from .stores import BufferStore
from .value import VisualMemory


def slice_memory(memory: VisualMemory, start: float | None, end: float | None, theta: float) -> VisualMemory:
    """Return the memory of the VSTs that cover some times, after the same prompt; the whole one stays as it is.

    The VSTs move up to the prompt: their keys are rotated back and to their new positions, so that they are what they
    had been if these had been their positions from the start. They still hold what came before them in the video.
    Sections are left out: they are of the whole.

    Args:
        memory: with times.
        start: seconds; VSTs that only cover the part before are left out.
        end: seconds; VSTs that only cover the part from there on are left out. If no VST covers any of the range, and
            it begins between two, the last that begins before it stays: that of the frame on screen then.
        theta: the base of the model's rotary positions.

    Raises:
        MemoryFileError: the memory has no times, or none of it is in the range.
    """
    if memory.spans is None:
        raise MemoryFileError("this memory has no times", "Ask without a start and an end.")
    covers = memory.spans[:, 1] >= (-np.inf if start is None else start)
    covers &= memory.spans[:, 0] < (np.inf if end is None else end)
    if not covers.any():
        covers = _on_screen(memory.spans, start, end)
    kept = np.flatnonzero(covers)
    if not len(kept):
        asked = f"from {format_timestamp(start or 0)} to {'the end' if end is None else format_timestamp(end)}"
        whole = (
            f"{format_timestamp(memory.spans[0, 0])} to {format_timestamp(memory.spans[-1, 1])}"
            if memory.num_vst
            else "nothing"
        )
        raise MemoryFileError(f"nothing in this memory is {asked}", f"It covers {whole}.")
    low, high = int(kept[0]), int(kept[-1]) + 1  # spans ascend: what covers a range of times has no gaps
    spans = memory.spans[low:high]
    frame_times = memory.frame_times
    if frame_times is not None:
        frame_times = frame_times[(frame_times >= spans[0, 0]) & (frame_times <= spans[-1, 1])]
    windows = _windows(memory, low, high)
    num_frames = 0 if frame_times is None else len(frame_times)
    per_frame = memory.num_visual_tokens / memory.num_frames if memory.num_frames else 0
    store = _moved(memory, low, high, theta)
    return replace(
        memory,
        layers=tuple((keys[0], values[0]) for keys, values in store.layers()),
        ratios=tuple(ratio for ratio, count in windows if count),
        window_vsts=tuple(count for _, count in windows if count),
        spans=spans,
        frame_times=frame_times,
        num_visual_tokens=round(num_frames * per_frame),
        num_frames=num_frames,
        sections=(),
        buffers=store,
    )


def first_windows(memory: VisualMemory, num_windows: int, num_frames: int, num_visual_tokens: int) -> VisualMemory:
    """Return the memory as it was after its first windows; nothing is copied, and no slots are reserved after it.

    Sections are left out.

    Args:
        memory: the whole one, which stays as it is.
        num_windows: windows that are kept, all of them full.
        num_frames: frames in these.
        num_visual_tokens: visual tokens in these.
    """
    num_vst = sum(memory.window_vsts[:num_windows])
    slots = len(memory.prefix_ids) + num_vst
    return replace(
        memory,
        layers=tuple((keys[:, :slots], values[:, :slots]) for keys, values in memory.layers),
        ratios=memory.ratios[:num_windows],
        window_vsts=memory.window_vsts[:num_windows],
        spans=None if memory.spans is None else memory.spans[:num_vst],
        frame_times=None if memory.frame_times is None else memory.frame_times[:num_frames],
        num_visual_tokens=num_visual_tokens,
        num_frames=num_frames,
        sections=(),
        buffers=None,
    )


def _on_screen(spans: np.ndarray, start: float | None, end: float | None) -> np.ndarray:
    """Return which VSTs are the last that begin at `start` or before: bool [n], from spans [n, 2] in seconds.

    None if `start` is outside of all, or the range is empty.
    """
    if start is None or (end is not None and end <= start) or not len(spans) or start > spans[-1, 1]:
        return np.zeros(len(spans), bool)
    begins = spans[:, 0]
    return begins == begins[begins <= start].max(initial=-np.inf)


def _windows(memory: VisualMemory, low: int, high: int) -> list[tuple[int, int]]:
    """Return the ratio of every window, and how many of its VSTs are in a half-open range."""
    ends = np.cumsum(memory.window_vsts)
    counts = np.minimum(ends, high) - np.maximum(ends - memory.window_vsts, low)
    return [(ratio, max(0, int(count))) for ratio, count in zip(memory.ratios, counts, strict=True)]


@torch.no_grad()
def _moved(memory: VisualMemory, low: int, high: int, theta: float) -> BufferStore:
    """Return a store of the prompt and a half-open range of VSTs, at the positions that they have there."""
    prefix = len(memory.prefix_ids)
    length = prefix + high - low
    store = BufferStore(length + memory.reserved_slots)
    for layer, (keys, values) in enumerate(memory.layers):
        vsts = slice(prefix + low, prefix + high)
        moved = _rotated(keys[:, vsts], range(vsts.start, vsts.stop), range(prefix, length), theta)
        store.keep(
            layer,
            torch.cat([keys[:, :prefix], moved], dim=1)[None],
            torch.cat([values[:, :prefix], values[:, vsts]], dim=1)[None],
        )
    store.advance(length)
    return store


def _rotated(keys: Tensor, old: range, new: range, theta: float) -> Tensor:
    """Return keys [kv_heads, n, d] rotated from their old positions to new ones, computed in float32.

    With the tables of both rather than of their difference: angles in float32 are rounded, and so the old rounding is
    taken off and the new one put on.
    """
    before, after = (
        rotary_tables(torch.arange(positions.start, positions.stop, device=keys.device), keys.shape[-1], theta)
        for positions in (old, new)
    )
    return rotate(rotate(keys[None].float(), inverse(before)), after)[0].to(keys.dtype)
