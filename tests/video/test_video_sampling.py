"""Which frames are chosen, on made-up frame times."""

from fractions import Fraction

import numpy as np
import pytest

from videoxl.errors import VideoError
from videoxl.video.messages import VideoInfo
from videoxl.video.sampling import plan_frames


def info(times_ms: np.ndarray, keyframes: np.ndarray | None = None, first_ms: int = 0) -> VideoInfo:
    pts = np.asarray(times_ms, dtype=np.int64) + first_ms
    duration = (pts[-1] - first_ms + 40) / 1000
    keys = np.arange(len(pts)) % 50 == 0 if keyframes is None else keyframes
    return VideoInfo(
        path="video.mp4", location="/video.mp4", container="mov", codec="h264", width=64, height=48, rotation=0,
        fps=25.0, duration=duration, start=first_ms / 1000, time_base=Fraction(1, 1000), pts=pts, dts=pts,
        keyframes=keys, frames_missing=0, warnings=(), decord_problem=None, decord_installed=True,
    )  # fmt: skip


@pytest.mark.parametrize("fps", [10, 23.976, 24, 25, 29.97, 30, 60])
def test_uniform_equals_linspace_at_constant_rate(fps: float) -> None:
    for n in (2, 3, 97, 300, 4001):
        video = info(np.round(np.arange(n) * 1000 / fps), first_ms=1467)
        for count in (1, 2, 5, 16, 64, 100, n - 1, n):
            if 1 <= count <= n:
                plan = plan_frames(video, max_frames=count)
                np.testing.assert_array_equal(plan.indices, np.linspace(0, n - 1, count, dtype=int))
                np.testing.assert_allclose(plan.times, np.round(plan.indices * 1000 / fps) / 1000, atol=1e-9)


def test_short_video_gives_each_frame_once() -> None:
    plan = plan_frames(info(np.arange(7) * 40), max_frames=1024)
    assert plan.indices.tolist() == list(range(7))


def test_variable_rate_takes_what_is_on_screen() -> None:
    rng = np.random.default_rng(3)
    times = np.concatenate([[0], np.cumsum(rng.integers(10, 400, 500))])
    video = info(times)
    for count in (2, 10, 77, 300):
        plan = plan_frames(video, max_frames=count)
        moments = np.linspace(times[0], times[-1], count)
        on_screen = {int(np.flatnonzero(times <= moment + 1e-3)[-1]) for moment in moments}
        assert plan.indices.tolist() == sorted(on_screen)
        assert plan.indices[0] == 0 and plan.indices[-1] == 500


def test_fps_caps_the_rate() -> None:
    video = info(np.arange(251) * 40)  # 10 s from the first frame to the last
    assert len(plan_frames(video, fps=1)) == 11
    assert len(plan_frames(video, fps=0.5)) == 6
    assert len(plan_frames(video, fps=1, max_frames=4)) == 4
    assert len(plan_frames(video, fps=100)) == 251
    assert np.diff(plan_frames(video, fps=3).times).min() >= 1 / 3 - 0.04
    assert len(plan_frames(video, fps=0.01)) == 1


def test_range_is_half_open() -> None:
    video = info(np.arange(100) * 40)
    plan = plan_frames(video, start=1.0, end=2.0)
    assert plan.indices.tolist() == list(range(25, 50))
    assert plan_frames(video, start=1.001, end=1.05).indices.tolist() == [25, 26]
    assert plan_frames(video, start=3.96).indices.tolist() == [99]
    assert plan_frames(video, start=3, end=1000).indices.tolist() == list(range(75, 100))
    # Nothing new appears in the range: what is on screen.
    assert plan_frames(video, start=1.01, end=1.02).indices.tolist() == [25]
    assert plan_frames(video, start=3.97, end=3.99).indices.tolist() == [99]


def test_what_is_on_screen_at_the_start_is_read() -> None:
    slides = info(np.array([0, 100_000, 200_000]), np.ones(3, bool))
    for mode in ("uniform", "keyframes"):
        assert plan_frames(slides, start=50, mode=mode).times.tolist() == [0, 100, 200]
        assert plan_frames(slides, start=150, mode=mode).times.tolist() == [100, 200]
        assert plan_frames(slides, start=50, end=100, mode=mode).times.tolist() == [0]
    # Moments are counted from the start, not from when the slide appeared: 50, 60, 70 ...
    assert plan_frames(slides, start=50, end=130, mode="fixed-rate", fps=0.1).times.tolist() == [0, 100]
    assert plan_frames(slides, start=50, fps=0.01).times.tolist() == [0, 200]
    late = info(np.array([5000, 6000]))
    with pytest.raises(VideoError, match=r"first frame appears at 5.00 s, not before 5 s"):
        plan_frames(late, end=5)


def test_keyframes() -> None:
    video = info(np.arange(1000) * 40)
    plan = plan_frames(video, mode="keyframes")
    assert plan.indices.tolist() == list(range(0, 1000, 50)) and plan.mode == "keyframes"
    assert plan_frames(video, mode="keyframes", start=3, end=8).indices.tolist() == [100, 150]
    # Uneven key frames: even in time, not in number.
    keys = np.isin(np.arange(1000), [0, 10, 20, 30, 40, 50, 500, 990])
    few = plan_frames(info(np.arange(1000) * 40, keys), mode="keyframes", max_frames=3)
    assert few.indices.tolist() == [0, 500, 990]
    with pytest.raises(VideoError, match="no key frame"):
        plan_frames(video, mode="keyframes", start=0.1, end=0.5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"start": 5.0, "end": 2.0}, r"end \(2 s\) is not after start \(5 s\)"),
        ({"start": 2.0, "end": 2.0}, "is not after"),
        ({"end": 0.0}, "is not after"),
        ({"start": 4.0}, r"start \(4 s\) is beyond the end of the video \(4.00 s\)"),
        ({"start": -1.0}, "start is -1"),
        ({"start": float("nan")}, "start is nan"),
        ({"fps": 0.0}, "fps is 0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"max_frames": 0}, "max_frames is 0"),
        ({"mode": "random"}, "sampling mode 'random' is not known"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        plan_frames(info(np.arange(100) * 40), **arguments)


@pytest.mark.parametrize("fps", [0.3, 1, 4, 100, 1e12])
def test_steady_frames_stay_the_same_as_a_file_grows(fps: float) -> None:
    rng = np.random.default_rng(3)
    times = np.concatenate([[0], np.cumsum(rng.integers(10, 400, 500))])
    whole = plan_frames(info(times), fps=fps, mode="fixed-rate").indices.tolist()
    moments = np.arange(0, times[-1] + 1e-3, 1000 / min(fps, 1e4))
    assert whole == sorted({int(np.flatnonzero(times <= moment + 1e-3)[-1]) for moment in moments})
    for length in (1, 2, 3, 70, 333):
        early = plan_frames(info(times[:length]), fps=fps, mode="fixed-rate").indices.tolist()
        assert early == whole[: len(early)] and len(early) >= np.searchsorted(whole, length - 1)


def test_steady_frames_that_are_too_many_are_halved() -> None:
    video = info(np.arange(1001) * 40)  # 40 s from the first frame to the last
    for most, seconds in ((41, 1), (40, 2), (21, 2), (20, 4), (1, 64)):
        times = plan_frames(video, max_frames=most, fps=1, mode="fixed-rate", start=0).times
        np.testing.assert_allclose(times, np.arange(0, 40.01, seconds))
    assert plan_frames(video, fps=1, mode="fixed-rate", start=3, end=6).times.tolist() == [3, 4, 5]
    with pytest.raises(VideoError, match="fixed-rate"):
        plan_frames(video, mode="fixed-rate")
