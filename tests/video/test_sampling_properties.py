"""What holds for every choice of frames: of constant and variable rates, in all modes, for any start, end and rate."""

import math

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from videoxl.errors import VideoError
from videoxl.video.sampling import SamplingPlan, TimeAxis, choose_frames

MS = 1000  # all times are whole milliseconds: far from each other compared with rounding


@st.composite
def axes(draw: st.DrawFn) -> TimeAxis:
    """Videos of 1 to 40 frames, some of which begin late."""
    length = draw(st.integers(1, 40))
    if draw(st.booleans()):
        stamps = np.round(np.arange(length) * MS / draw(st.sampled_from([0.5, 1, 8, 23.976, 25, 29.97, 60])))
    else:
        steps = st.integers(1, 80) | st.integers(1000, 300_000)
        stamps = np.cumsum([0, *draw(st.lists(steps, min_size=length - 1, max_size=length - 1))])
    stamps = stamps + draw(st.sampled_from([0, 33, 1467]))
    keys = np.array(draw(st.lists(st.booleans(), min_size=length, max_size=length)))
    keys[0] = True
    return TimeAxis("video", stamps / MS, keys, float(stamps[-1] + draw(st.integers(1, 5000))) / MS)


@st.composite
def ranges(draw: st.DrawFn, axis: TimeAxis) -> tuple[float | None, float | None]:
    """A start within the video and an end behind it, often where a frame appears."""
    moments = st.integers(0, round(axis.duration * MS) - 1) | st.sampled_from(np.rint(axis.times * MS).astype(int))
    start = draw(st.none() | moments)
    end = draw(st.none() | moments.filter(lambda end: end > (start or 0)) | st.just((start or 0) + 1))
    return None if start is None else int(start) / MS, None if end is None else int(end) / MS


def shown(axis: TimeAxis, start: float | None, end: float | None) -> list[int]:
    """Return the frames that a player shows at any moment of the range."""
    disappears = [*axis.times[1:], math.inf]
    return [
        index
        for index, (begin, over) in enumerate(zip(axis.times, disappears, strict=True))
        if over > (start or 0) and (end is None or begin < end)
    ]


def planned(data: st.DataObject, mode: str, fps: float | None) -> tuple[TimeAxis, list[int], float, int, SamplingPlan]:
    """Return a video, the frames to choose from, when the range begins, the most frames, and the plan."""
    axis = data.draw(axes())
    start, end = data.draw(ranges(axis))
    max_frames = data.draw(st.integers(1, 50))
    candidates = [index for index in shown(axis, start, end) if mode != "keyframes" or axis.keyframes[index]]
    if not candidates:
        event("nothing is shown")
        with pytest.raises(VideoError):
            choose_frames(axis, max_frames, fps, start, end, mode)
        candidates, start, end = [i for i in range(len(axis.times)) if axis.keyframes[i]], None, None
        if mode != "keyframes":
            candidates = list(range(len(axis.times)))
    plan = choose_frames(axis, max_frames, fps, start, end, mode)
    return axis, candidates, max(axis.times[candidates[0]], start or 0), max_frames, plan


RATES = st.floats(1e-3, 1e3)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(["uniform", "keyframes", "fixed-rate"]), RATES)
def test_frames_are_sorted_shown_and_not_too_many(data: st.DataObject, mode: str, fps: float) -> None:
    rate = fps if mode == "fixed-rate" else data.draw(st.sampled_from([None, fps]))
    axis, candidates, begin, max_frames, plan = planned(data, mode, rate)
    indices = plan.indices.tolist()
    assert plan.mode == mode
    assert indices == sorted(set(indices)) and set(indices) <= set(candidates)
    assert plan.times.tolist() == axis.times[indices].tolist()
    assert indices[0] == candidates[0]  # on screen at the start
    assert 1 <= len(indices) <= max_frames
    if rate is not None:
        assert len(indices) <= (max(plan.times[-1], begin) - begin) * rate + 1 + 1e-3


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["uniform", "keyframes"]))
def test_few_frames_are_all_read(data: st.DataObject, mode: str) -> None:
    _, candidates, _, max_frames, plan = planned(data, mode, None)
    if len(candidates) <= max_frames:
        assert plan.indices.tolist() == candidates
    elif max_frames > 1:
        assert plan.indices[-1] == candidates[-1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_uniform_frames_are_on_screen_at_even_moments(data: st.DataObject) -> None:
    axis, candidates, begin, max_frames, plan = planned(data, "uniform", None)
    times = axis.times[candidates]
    steps = np.diff(times)
    if len(candidates) <= max_frames or (len(steps) and np.ptp(steps) <= 2 / MS):
        return  # all of them; or even in number, which is the same but for rounding
    if np.abs(times - np.linspace(times[0], times[-1], len(times))).max() < 0.11 * steps.mean():
        return
    moments = np.linspace(begin, times[-1], max_frames) + 1e-6
    assert set(plan.indices) == {candidates[int(np.flatnonzero(times <= moment)[-1])] for moment in moments}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 60_000))
def test_steady_frames_are_on_screen_at_every_step(data: st.DataObject, step: int) -> None:
    axis, candidates, begin, max_frames, plan = planned(data, "fixed-rate", MS / step)
    times = axis.times[candidates]
    while True:
        moments = np.arange(round(begin * MS), round(max(times[-1], begin) * MS) + 1, step) / MS + 1e-6
        expected = sorted({candidates[int(at) - 1] for at in np.searchsorted(times, moments, side="right")})
        if len(expected) <= max_frames:
            break
        step *= 2
    assert plan.indices.tolist() == expected
