"""Interlaced pictures are shown at one moment each, the same wherever reading begins."""

from pathlib import Path

import av
import numpy as np
import pytest
from odd_pictures import make_odd_pictures
from video_clips import write_numbered

from videoxl import Video
from videoxl.errors import VideoError
from videoxl.video.reader import FrameChunk
from videoxl.video.sampling import SamplingPlan


@pytest.fixture(scope="module", params=["mp4", "mkv", "ts"])
def woven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pictures of a moving bar, each woven from two moments; a key frame every 8, with B-frames in mp4 and mkv."""
    path = tmp_path_factory.mktemp("woven") / f"woven.{request.param}"
    return make_odd_pictures.interlaced(path, "mpeg2video" if request.param == "ts" else "libx264")


def read(video: Video, plan: SamplingPlan) -> FrameChunk:
    chunks = list(video.read(plan))
    return FrameChunk(*(np.concatenate([getattr(each, name) for each in chunks]) for name in vars(chunks[0])))


def combing(frames: np.ndarray) -> np.ndarray:
    """Return how much lines differ from the mean of their neighbours, float [t]; woven pictures have about 10."""
    lines = frames[..., 0].astype(float)
    return np.abs(lines[:, 1:-1] - (lines[:, :-2] + lines[:, 2:]) / 2).mean(axis=(1, 2))


def in_order(path: Path) -> list[np.ndarray]:
    """Return all pictures, decoded one after the other through one filter graph."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        nodes = graph.add_buffer(template=stream), graph.add("bwdif", "mode=send_frame"), graph.add("buffersink")
        graph.link_nodes(*nodes).configure()
        pictures = []
        for frame in [*container.decode(stream), None]:
            graph.push(frame)
            while True:
                try:
                    pictures.append(graph.vpull().reformat(format="rgb24", interpolation="BICUBIC").to_ndarray())
                except (av.BlockingIOError, av.EOFError):
                    break
    return pictures


def test_every_picture_is_of_one_moment(woven: Path) -> None:
    video = Video(woven)
    every = read(video, video.sample(1000))
    assert every.indices.tolist() == list(range(40))
    np.testing.assert_allclose(np.diff(every.times), 1 / 25, atol=0.002)
    truth = np.stack([make_odd_pictures.moving_bar(2 * number) for number in range(40)])
    errors = np.abs(every.frames.astype(float) - truth).mean(axis=(1, 2, 3))
    assert errors.max() < 6 and np.median(errors) < 3, errors
    assert combing(every.frames).max() < 2.5


def test_reading_in_order_is_ffmpeg_s_filter(woven: Path) -> None:
    video = Video(woven)
    np.testing.assert_array_equal(read(video, video.sample(1000)).frames, np.stack(in_order(woven)))


@pytest.mark.parametrize("indices", [[24], [0, 39], [7, 8, 9], [1, 16, 17, 31], [15, 16, 38], [23, 32]], ids=str)
def test_a_seek_gives_what_decoding_in_order_gives(woven: Path, indices: list[int]) -> None:
    video = Video(woven)
    whole = video.sample(1000)
    plan = SamplingPlan(np.array(indices), whole.times[indices], "uniform")
    some = read(video, plan)
    assert some.indices.tolist() == indices
    np.testing.assert_array_equal(some.frames, read(video, whole).frames[indices])


def test_key_frames_alone_are_of_one_moment_too(woven: Path) -> None:
    video = Video(woven)
    keys = read(video, video.sample(1000, mode="keyframes"))
    assert len(keys.indices) >= 5 and combing(keys.frames).max() < 2.5


def test_a_single_picture_has_no_neighbours(tmp_path: Path) -> None:
    video = Video(make_odd_pictures.interlaced(tmp_path / "one.mp4", length=1))
    assert combing(read(video, video.sample(1)).frames).max() < 2.5


def test_decord_is_refused_for_interlaced_only(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="weaves"):
        Video(make_odd_pictures.interlaced(tmp_path / "woven.mp4"), decoder="decord")
    Video(write_numbered(tmp_path / "plain.mp4", 10), decoder="decord")
