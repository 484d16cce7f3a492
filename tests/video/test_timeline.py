"""Clocks that do not run on: joined recordings, leaps, wraps, pauses."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from video_clips import make_odd_videos, read_numbers

from videoxl.errors import VideoError
from videoxl.video.messages import DecodeRequest, Segment
from videoxl.video.pyav_reader import PyAVReader
from videoxl.video.sampling import SamplingPlan
from videoxl.video.timeline import ClockJumpDetector, join_clocks, jump_warning
from videoxl.video.video import Video

FPS = make_odd_videos.FPS
FIRST, SECOND = make_odd_videos.JOINED
JUMPING = ["joined.ts", "joined.mkv", "joined.mpg", "leap.ts", "back.ts"]


def write(name: str, folder: Path) -> Path:
    return make_odd_videos.KINDS[name](folder / name)


def numbers_read(video: Video, plan: SamplingPlan) -> list[int]:
    reader = video.read(plan)
    found = [number for chunk in reader for number in read_numbers(chunk.frames)]
    assert reader.report.frames_lost == 0
    return found


@pytest.fixture(scope="module", params=JUMPING)
def jumping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Video:
    return Video(write(request.param, tmp_path_factory.mktemp("jumping")))


def test_times_go_on_where_the_clock_jumps(jumping: Video) -> None:
    # FFmpeg counts the last frame of a program stream, which has no time stamp, one frame late.
    late = 1 / FPS if jumping.container == "mpeg" else 0
    plan = jumping.sample(max_frames=1000)
    np.testing.assert_allclose(plan.times[:FIRST], np.arange(FIRST) / FPS, atol=late + 5e-4)
    np.testing.assert_allclose(plan.times[FIRST:], np.arange(FIRST, FIRST + SECOND) / FPS + late, atol=5e-4)
    assert jumping.duration == pytest.approx((FIRST + SECOND) / FPS + late, abs=5e-4)
    assert jumping.record.duration == jumping.duration
    assert jumping.fps == pytest.approx(FPS, rel=0.01)


def test_every_frame_of_both_recordings_is_read(jumping: Video) -> None:
    assert numbers_read(jumping, jumping.sample(max_frames=1000)) == list(range(FIRST + SECOND))
    for options in ({"max_frames": 40}, {"max_frames": 7}, {"start": 3.0}, {"start": 1.5, "end": 2.5}):
        plan = jumping.sample(**options)
        assert numbers_read(jumping, plan) == plan.indices.tolist()
    keys = jumping.sample(mode="keyframes")
    assert FIRST in keys.indices
    assert numbers_read(jumping, keys) == keys.indices.tolist()
    rate = jumping.sample(mode="fixed-rate", fps=2.0)
    assert len(rate) in (12, 13) and numbers_read(jumping, rate) == rate.indices.tolist()


def test_a_jump_is_told_and_kept_from_decord(jumping: Video) -> None:
    (warning,) = jumping.read(jumping.sample(max_frames=2)).warnings
    assert jumping.path in warning and "clock was reset at 00:00:02;" in warning
    with pytest.raises(VideoError, match="cannot be read with decord"):
        Video(jumping.path, decoder="decord")


@pytest.mark.parametrize(
    "name, duration", [("wrapped.ts", 4.0), ("paused.ts", 22.0), ("slides.ts", 201.0), ("slides.mp4", 300.0)]
)
def test_pauses_and_wraps_are_no_jumps(tmp_path: Path, name: str, duration: float) -> None:
    video = Video(write(name, tmp_path))
    plan = video.sample(max_frames=1000)
    assert numbers_read(video, plan) == list(range(len(plan)))
    assert video.duration == pytest.approx(duration, abs=0.1)
    assert not video.read(plan).warnings


def test_a_pause_without_sound_is_kept_where_clocks_do_not_leap(tmp_path: Path) -> None:
    for name in ("paused.mkv", "paused.mp4"):
        video = Video(make_odd_videos.paused(tmp_path / name, with_sound=False))
        assert np.diff(video.sample(max_frames=1000).times).max() == pytest.approx(20, abs=0.1)


def test_a_long_gap_in_a_real_file_is_kept(media: Path) -> None:
    video = Video(media / "odd" / "friday_vfr_20s_gap.mp4")
    assert np.diff(video.sample(max_frames=1000).times).max() == pytest.approx(20, abs=0.1)


def test_a_clock_that_is_set_within_a_recording_loses_no_frame(tmp_path: Path) -> None:
    video = Video(make_odd_videos.paused(tmp_path / "set.ts", with_sound=False))
    assert numbers_read(video, video.sample(max_frames=1000)) == list(range(60))
    assert video.duration == pytest.approx(2.0, abs=0.1) and video.read(video.sample()).warnings


def test_what_is_known_of_a_recording_stays_as_it_is_joined(tmp_path: Path) -> None:
    path = write("joined.ts", tmp_path)
    content, whole = path.read_bytes(), Video(path).sample(max_frames=1000).times
    for share in (0.2, 0.35, 0.4, 0.6, 0.9):
        path.write_bytes(content[: round(share * len(content))])
        times = Video(path).sample(max_frames=1000).times[:-16]  # the last ones are not settled yet
        np.testing.assert_array_equal(times, whole[: len(times)])


def test_frames_far_behind_are_reached_without_decoding_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = Video(write("joined.ts", tmp_path))
    indices = np.array([0, 150, 179])
    decoded = []
    original = PyAVReader._decode_packet
    monkeypatch.setattr(PyAVReader, "_decode_packet", lambda self, p: decoded.append(p) or original(self, p))
    request = DecodeRequest(video._info, indices, 0, 160, 64, 8, "pyav", False, False, 1)
    pictures = [picture for _, picture, _ in PyAVReader(request, lambda: None)]
    assert read_numbers(np.stack(pictures)) == indices.tolist()
    assert len(decoded) < 100


SECONDS = Fraction(1, 1000)


def jumps(steps: list[tuple[int, list[float]]], container: str = "mpegts") -> list[int]:
    """Return the jumps in a file of key frames; each has its time in ms, and the times of other packets before it."""
    watch = ClockJumpDetector(container, SECONDS)
    for number, (stamp, others) in enumerate(steps):
        for other in others:
            watch.add_other(other)
        watch.add_frame(number, stamp, stamp, True)
    return watch.jumps


def test_what_counts_as_a_jump() -> None:
    even = [(stamp, []) for stamp in range(0, 1000, 40)]
    assert jumps(even) == []
    assert jumps([*even, (10_960, [])]) == []  # a pause of 10 s
    assert jumps([*even, (10_961, [])]) == [25]
    assert jumps([*even, (860, [])]) == []
    assert jumps([*even, (859, [])]) == [25]
    assert jumps([*even, (40_000, list(np.arange(1, 40, 0.5)))]) == []  # sound goes on
    assert jumps([*even, (40_000, [1.0, 1.5, 39.0])]) == [25]
    slow = [(stamp, []) for stamp in range(0, 200_000, 5000)]
    assert jumps([*slow, (245_000, [])]) == []
    assert jumps([*slow, (245_001, [])]) == [40]
    for container in ("matroska", "flv"):
        assert jumps([*even, (3_600_000, []), (0, []), (40, [])], container) == [26]
    assert jumps([*even, (3_600_000, []), (0, [])], "mov") == []


def test_segments_are_put_one_behind_the_other() -> None:
    # Two recordings of three frames with one that is shown out of order; the last one of the first lasts 7.
    stamps, decoding = [10, 30, 20, 3, 9, 6], [8, 12, 16, 1, 4, 7]
    timeline = join_clocks([3], range(6), stamps, decoding, [10, 7, 10, 3, 0, 3], [True, False, False] * 2)
    assert timeline.pts.tolist() == [10, 20, 30, 37, 40, 43]
    assert timeline.dts.tolist() == [8, 16, 12, 35, 41, 38]
    assert timeline.keyframes.tolist() == [True, False, False, True, False, False]
    assert timeline.segments == (Segment(0, 0, 10), Segment(3, 34, 37))
    assert join_clocks([], range(6), stamps, decoding, [1] * 6, [True] * 6).segments == ()


def test_many_jumps_are_one_sentence() -> None:
    assert "at 00:00:02, 00:01:00, 00:02:00 and 2 more times;" in jump_warning([2.0, 60.0, 120.0, 180.0, 240.0])
