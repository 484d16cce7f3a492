"""What frames the VSTs of a memory condense, in the geometries of several models, in parts and across windows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import video_xl

from videoxl.memory.coverage import coverage
from videoxl.memory.value import VisualMemory
from videoxl.planning.windows import RatioPolicy, plan_windows, spans


def memory(num_frames: int, per_frame: int, ratio: int, window: int) -> VisualMemory:
    """A memory of frames that are two seconds apart, without keys and values."""
    plans = list(plan_windows(num_frames * per_frame, window, RatioPolicy((ratio,)), 3))
    times = np.arange(num_frames) * 2.0
    return VisualMemory(
        (),
        (1, 2, 3),
        tuple(plan.ratio for plan in plans),
        tuple(plan.num_vst for plan in plans),
        spans(plans, np.repeat(times, per_frame)),
        times,
        num_frames * per_frame,
        num_frames,
    )


def expected(num_frames: int, per_frame: int, ratio: int, window: int, shares: np.ndarray) -> np.ndarray:
    """Give every visual token its part of its VST's share, and add up those of each frame."""
    found = np.zeros(num_frames)
    covered = [plan.covered() for plan in plan_windows(num_frames * per_frame, window, RatioPolicy((ratio,)), 3)]
    for (begin, end), share in zip(np.concatenate(covered), shares, strict=True):
        for token in range(begin, end):
            found[token // per_frame] += share / (end - begin)
    return found


@pytest.mark.parametrize(
    "num_frames, per_frame, ratio, window",
    [
        *((25, 144, ratio, 1440) for ratio in (2, 4, 8, 16, 32)),  # Video-XL 7B
        *((37, 4, ratio, 64) for ratio in (2, 4, 8, 16)),  # videoxl-nano
        (20, 9, 4, 32),  # windows that end within a frame
        (7, 9, 4, 72),  # a last VST that is shorter
        (3, 4, 16, 64),  # one VST for all
    ],
)
def test_a_share_is_divided_by_the_visual_tokens_that_it_covers(
    num_frames: int, per_frame: int, ratio: int, window: int
) -> None:
    seen = memory(num_frames, per_frame, ratio, window)
    where = coverage(seen)
    assert where is not None and where.times.tolist() == seen.frame_times.tolist()
    shares = np.random.default_rng(0).exponential(size=seen.num_vst)
    np.testing.assert_allclose(
        where.per_frame(shares), expected(num_frames, per_frame, ratio, window, shares), atol=1e-9
    )


def test_windows_end_where_their_last_vst_does() -> None:
    where = coverage(memory(37, 4, 8, 64))
    assert where is not None and where.window_ends.tolist() == [16, 32, 37]


def test_a_part_divides_as_the_whole_does() -> None:
    model = video_xl()
    whole = model.condense(torch.randn(20, 9, 32), ratio=4, times=np.arange(20.0))
    part = model.slice(whole, 5, 12)
    where, where_part = coverage(whole), coverage(part)
    assert where is not None and where_part is not None
    (low,) = np.flatnonzero((whole.spans == part.spans[0]).all(axis=1))
    for vst in range(part.num_vst):
        alone, alone_part = np.zeros(whole.num_vst), np.zeros(part.num_vst)
        alone[low + vst] = alone_part[vst] = 1
        frames = np.isin(where.times, where_part.times)
        np.testing.assert_allclose(where_part.per_frame(alone_part), where.per_frame(alone)[frames], atol=1e-9)


def test_without_times_of_frames_those_of_vsts_serve() -> None:
    seen = replace(memory(12, 4, 16, 64), frame_times=None)
    where = coverage(seen)
    assert where is not None and where.times.tolist() == [0, 6, 8, 14, 16, 22]
    assert where.per_frame(np.array([0.0, 1, 0])).tolist() == [0, 0, 0.5, 0.5, 0, 0]


def test_there_is_none_without_times_or_vsts() -> None:
    seen = memory(12, 4, 16, 64)
    assert coverage(replace(seen, spans=None)) is None
    assert coverage(replace(seen, window_vsts=(), ratios=(), spans=np.zeros((0, 2)))) is None
