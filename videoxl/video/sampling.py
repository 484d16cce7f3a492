"""Which frames of a video to read."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import VideoError
from ..options import Mode, check_mode
from .messages import VideoInfo

_TIME_TOLERANCE = 1e-6  # seconds; far below any frame interval, far above float64 rounding
_RATE_TOLERANCE = 0.1  # of a frame interval; Matroska rounds times to whole milliseconds


@dataclass(frozen=True, eq=False)
class SamplingPlan:
    """The frames to read, in order of display, none twice.

    Attributes:
        indices: int64 [t], numbers of the frames, counted from 0 in order of display.
        times: float64 [t], seconds at which they appear, as a player counts them.
        mode: "uniform", "keyframes" or "fixed-rate".
    """

    indices: np.ndarray
    times: np.ndarray
    mode: Mode

    def __len__(self) -> int:
        return len(self.indices)


def plan_frames(
    info: VideoInfo,
    max_frames: int = 1024,
    fps: float | None = None,
    start: float | None = None,
    end: float | None = None,
    mode: Mode = "uniform",
) -> SamplingPlan:
    """Choose frames of a file; the arguments and errors are those of `Video.sample`."""
    axis = TimeAxis(info.path, info.times, info.keyframes, info.duration)
    return choose_frames(axis, max_frames, fps, start, end, mode)


@dataclass(frozen=True, eq=False)
class TimeAxis:
    """When the frames of a source appear.

    Args:
        name: of the source, for messages.
        times: float64 [t] seconds, ascending.
        keyframes: bool [t].
        duration: seconds from 0 to the end of the last frame.
    """

    name: str
    times: np.ndarray
    keyframes: np.ndarray
    duration: float


def choose_frames(
    axis: TimeAxis, max_frames: int, fps: float | None, start: float | None, end: float | None, mode: Mode
) -> SamplingPlan:
    """Choose frames of a source; the arguments and errors are those of `Video.sample`."""
    _check_arguments(axis, max_frames, fps, start, end, mode)
    times = axis.times
    candidates = _frames_between(axis.name, times, start, end)
    if mode == "keyframes":
        candidates = candidates[axis.keyframes[candidates]]
        if not len(candidates):
            raise VideoError(
                f"{axis.name}: no key frame is shown in the chosen time range",
                "Choose a longer range, or sample uniformly.",
            )
    span = times[candidates]
    # The first one may be on screen since long before the start: moments are counted from the start.
    moments = span if start is None else np.maximum(span, start)
    if mode == "fixed-rate":
        assert fps is not None  # checked
        indices = candidates[_at_fixed_rate(moments, max_frames, fps)]
        return SamplingPlan(indices=indices, times=times[indices], mode=mode)
    count = min(max_frames, len(candidates))
    if fps is not None:
        count = min(count, math.floor((moments[-1] - moments[0]) * fps + _TIME_TOLERANCE) + 1)
    pick = _nearest(moments, count) if mode == "keyframes" else _evenly(span, count, float(moments[0]))
    indices = candidates[pick]
    return SamplingPlan(indices=indices, times=times[indices], mode=mode)


def _check_arguments(
    axis: TimeAxis, max_frames: int, fps: float | None, start: float | None, end: float | None, mode: str
) -> None:
    check_mode(mode)
    if mode == "fixed-rate" and fps is None:
        raise VideoError("fixed-rate sampling needs a rate", "Give frames per second.")
    if max_frames < 1:
        raise VideoError(f"max_frames is {max_frames}", "Ask for at least one frame.")
    if fps is not None and not 0 < fps < math.inf:
        raise VideoError(f"fps is {fps:g}", "Give a positive number of frames per second.")
    first, last = 0.0 if start is None else start, math.inf if end is None else end
    if not first >= 0:
        raise VideoError(f"start is {first:g} s", "Give seconds from the beginning of the video, 0 or more.")
    if not last > first:
        raise VideoError(f"end ({last:g} s) is not after start ({first:g} s)", "Give an end later than the start.")
    if first >= axis.duration:
        raise VideoError(
            f"{axis.name}: start ({first:g} s) is beyond the end of the video ({axis.duration:.2f} s)",
            "Give an earlier start.",
        )


def _frames_between(name: str, times: np.ndarray, start: float | None, end: float | None) -> np.ndarray:
    """Return indices of the frames on screen in [start, end): the one on screen at start, and those that follow.

    Raises:
        VideoError: the first frame appears later.
    """
    low = 0 if start is None else int(np.searchsorted(times, start + _TIME_TOLERANCE, side="right")) - 1
    high = len(times) if end is None else int(np.searchsorted(times, end - _TIME_TOLERANCE))
    if not high:
        first = f"{times[0]:.2f} s"
        raise VideoError(f"{name}: its first frame appears at {first}, not before {end:g} s", "Give a later end.")
    # Where range and tolerance are equally small, the frame on screen at start may begin at end.
    low = min(max(low, 0), high - 1)
    return np.arange(low, high, dtype=np.int64)


def _evenly(times: np.ndarray, count: int, first: float) -> np.ndarray:
    """Return the frames on screen at `count` moments evenly spaced from `first` to when the last one appears.

    At a constant rate this is `np.linspace` over the indices, as the reference samples; that is computed as such,
    because rounding of the file's time stamps would move some frames by one.
    """
    if count >= len(times):
        return np.arange(len(times))
    if _is_constant_rate(times):
        return np.linspace(0, len(times) - 1, count, dtype=np.int64)
    moments = np.linspace(first, times[-1], count) + _TIME_TOLERANCE
    return np.unique(np.searchsorted(times, moments, side="right") - 1)


def _at_fixed_rate(times: np.ndarray, max_frames: int, fps: float) -> np.ndarray:
    """Return the frames on screen at moments 1/fps apart, from the first frame on.

    Where these are too many, the rate is halved until they are not. So frames stay the same as a file grows, but for
    the few times that its length doubles.
    """
    while True:
        # The first moment at which each frame may be on screen, and the first at which it no longer is.
        appears = np.ceil((times - times[0] - _TIME_TOLERANCE) * fps)
        after_last = np.floor((times[-1] - times[0] + _TIME_TOLERANCE) * fps) + 1
        pick = np.flatnonzero(appears < np.append(appears[1:], after_last))
        if len(pick) <= max_frames:
            return pick
        fps /= 2


def _nearest(times: np.ndarray, count: int) -> np.ndarray:
    """Return the frames nearest to `count` moments evenly spaced from the first to the last."""
    if count >= len(times):
        return np.arange(len(times))
    moments = np.linspace(times[0], times[-1], count)
    after = np.clip(np.searchsorted(times, moments), 1, len(times) - 1)
    return np.unique(after - (moments - times[after - 1] < times[after] - moments))


def _is_constant_rate(times: np.ndarray) -> bool:
    even = np.linspace(times[0], times[-1], len(times))
    interval = (times[-1] - times[0]) / (len(times) - 1)
    return bool(np.abs(times - even).max() <= _RATE_TOLERANCE * interval)
