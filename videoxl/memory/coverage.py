"""Which frames the VSTs of a memory condense, and how attention to VSTs becomes attention to frames."""

from dataclasses import dataclass

import numpy as np

from .value import VisualMemory


@dataclass(frozen=True)
class Coverage:
    """Where VSTs begin and end in the frames of a video. A frame may have many VSTs, and a VST many frames.

    Offsets are counted in frames: 2.5 is in the middle of the visual tokens of the third one.

    Args:
        times: seconds of every frame, ascending, float64 [num_frames].
        edges: offset at which each VST begins and where the last one ends, ascending, float64 [num_vst + 1].
        window_ends: offset at which each window's last VST ends, float64 [windows with VSTs].
        tokens_per_frame: visual tokens of a frame.
    """

    times: np.ndarray
    edges: np.ndarray
    window_ends: np.ndarray
    tokens_per_frame: float

    def per_frame(self, shares: np.ndarray) -> np.ndarray:
        """Return each frame's part of the shares of VSTs, float64 [num_frames], from float [num_vst].

        A VST's share is divided among its frames by the visual tokens of theirs that it covers.
        """
        cumulative = np.concatenate([[0.0], np.cumsum(shares)])
        return np.diff(np.interp(np.arange(len(self.times) + 1), self.edges, cumulative))


def coverage(memory: VisualMemory) -> Coverage | None:
    """Return which frames a memory's VSTs condense; None if it has no VSTs, or has no times."""
    if memory.spans is None or not memory.num_vst:
        return None
    times = np.unique(memory.spans if memory.frame_times is None else memory.frame_times)
    first, last = np.searchsorted(times, memory.spans.T)
    tokens_per_frame = memory.num_visual_tokens / len(times)
    windows = [(ratio, count) for ratio, count in zip(memory.ratios, memory.window_vsts, strict=True) if count]
    begins = _begins(first, windows, tokens_per_frame)
    end = min(begins[-1] + windows[-1][0], (last[-1] + 1) * tokens_per_frame)
    edges = np.append(begins, end) / tokens_per_frame
    return Coverage(times, edges, edges[np.cumsum([count for _, count in windows])], tokens_per_frame)


def _begins(first: np.ndarray, windows: list[tuple[int, int]], tokens_per_frame: float) -> np.ndarray:
    """Return before which visual token of the video each VST begins, float64 [num_vst].

    Within a window they follow one another at equal distances, and windows follow one another. The frames that VSTs
    begin in correct what that leaves open, as far as they can: where a part of a memory begins, and how short the
    last VST is of windows that the ratio does not divide.

    Args:
        first: the frame in which each VST begins, int [num_vst].
        windows: ratio and number of VSTs of each.
        tokens_per_frame: visual tokens of a frame.
    """
    begins = np.empty(len(first))
    follow = np.cumsum([0, *(ratio for ratio, count in windows for _ in range(count))])[:-1]
    done, begin = 0, max(0.0, np.max(first * tokens_per_frame - follow))
    for ratio, count in windows:
        vsts, within = slice(done, done + count), np.arange(count) * ratio
        lowest = np.max(first[vsts] * tokens_per_frame - within)
        highest = np.min((first[vsts] + 1) * tokens_per_frame - 1 - within)
        begin = max(lowest, min(begin, highest))
        begins[vsts] = begin + within
        done, begin = done + count, begin + ratio * count
    return np.maximum.accumulate(begins)
