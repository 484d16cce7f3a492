"""Files with several video streams, such as a speaker and slides: which one is read, and what is said about it."""

from pathlib import Path

import numpy as np
import pytest
from odd_pictures import make_odd_pictures
from tiny_models import video_xl

from videoxl import Video, VisualMemory
from videoxl.engine.extend import known_part
from videoxl.errors import VideoError
from videoxl.options import MemoryOptions
from videoxl.video.identity import VideoRecord

RED, BLUE = (220, 30, 30), (30, 30, 220)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stream 0 is red, 64x48, 20 pictures; stream 1 is blue, 128x72, 10 pictures."""
    return make_odd_pictures.two_streams(tmp_path_factory.mktemp("streams") / "two.mp4")


def frames(video: Video) -> tuple[np.ndarray, tuple[str, ...]]:
    reader = video.read(video.sample(1000))
    return np.concatenate([chunk.frames for chunk in reader]), reader.report.warnings


@pytest.mark.parametrize(
    ("asked", "index", "shape", "colour"),
    [(None, 0, (20, 48, 64, 3), RED), (0, 0, (20, 48, 64, 3), RED), (1, 1, (10, 72, 128, 3), BLUE)],
)
def test_the_chosen_stream_is_read(
    two: Path, asked: int | None, index: int, shape: tuple[int, ...], colour: tuple[int, ...]
) -> None:
    video = Video(two, stream=asked)
    read, warnings = frames(video)
    assert (video.stream, video.num_frames, read.shape) == (index, shape[0], shape)
    assert np.abs(read.astype(int) - colour).max() <= 4
    assert [stream.chosen for stream in video.streams] == [index == 0, index == 1]
    if asked is None:
        (warning,) = warnings
        assert "2 video streams" in warning and "0 (64x48" in warning and "1 (128x72" in warning
        assert "--video-stream" in warning and "\n" not in warning
    else:
        assert warnings == ()


def test_streams_are_listed(two: Path) -> None:
    found = [(each.index, each.width, each.height, each.fps, each.codec) for each in Video(two).streams]
    assert found == [(0, 64, 48, 10.0, "h264"), (1, 128, 72, 5.0, "h264")]


def test_a_stream_that_is_not_there_is_refused_with_those_that_are(two: Path) -> None:
    with pytest.raises(VideoError) as error:
        Video(two, stream=2)
    assert all(part in str(error.value) for part in ("two.mp4", "stream 2", "0 (64x48", "1 (128x72"))


def test_a_cover_picture_is_no_stream(tmp_path: Path) -> None:
    path = make_odd_pictures.with_cover(tmp_path / "cover.mp4")
    video = Video(path)
    assert [stream.index for stream in video.streams] == [video.stream]
    assert frames(video)[1] == ()
    with pytest.raises(VideoError, match="has no video stream 1"):
        Video(path, stream=1)


def test_decord_is_not_let_choose(two: Path) -> None:
    with pytest.raises(VideoError, match="chooses among video streams"):
        Video(two, decoder="decord")


def test_streams_of_a_real_file(media: Path) -> None:
    best, other = Video(media / "nasa_13013.mp4"), Video(media / "nasa_13013.mp4", stream=0)
    assert (best.stream, best.width, best.num_frames) == (3, 480, 390)
    assert (other.stream, other.width, other.num_frames) == (0, 320, 325)
    assert best.streams != other.streams and [each.index for each in best.streams] == [0, 3]


def test_a_memory_knows_its_stream(two: Path, tmp_path: Path) -> None:
    model = video_xl()
    memory = model.memorize(two, video_stream=1, fps=None, ratio=4)
    memory.save(tmp_path / "two.vxm")
    loaded = VisualMemory.load(tmp_path / "two.vxm", model)
    assert loaded.video == Video(two, stream=1).record and loaded.video.stream == 1
    assert loaded.options is not None and loaded.options.video_stream == 1
    again = model.plan(Video(two, stream=1), fps=None, ratio=4)
    assert known_part(again, loaded) is loaded
    assert known_part(model.plan(two, fps=None, ratio=4, max_frames=10), loaded) is None
    assert model.memorize(two, memory=model.memorize(Video(two, stream=1), ratio=4)).video.stream == 1


def test_memories_from_before_have_no_streams(two: Path) -> None:
    record = Video(two, stream=1).record
    old = {name: value for name, value in vars(record).items() if name != "streams"}
    assert (VideoRecord(**old).streams, VideoRecord(**old).stream) == ((), None)


def test_frames_of_another_stream_are_refused(two: Path) -> None:
    with pytest.raises(VideoError, match="video stream 1"):
        video_xl().plan(Video(two), options=MemoryOptions(video_stream=1))
    with pytest.raises(VideoError, match="video stream 1"):
        video_xl().plan(np.zeros((2, 8, 8, 3), np.uint8), video_stream=1)
