"""What can be seen through is white, in every format that has transparency."""

from pathlib import Path

import numpy as np
import pytest
from odd_pictures import make_odd_pictures

from videoxl import Video
from videoxl.errors import VideoError

FORMATS = ["png.mov", "qtrle.mov", "vp8.webm", "vp9.webm"]


def frames(video: Video, **options: int) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in video.read(video.sample(1000), **options)])


@pytest.mark.parametrize("name", FORMATS)
def test_transparent_parts_are_white(tmp_path: Path, name: str) -> None:
    video = Video(make_odd_pictures.KINDS[name](tmp_path / name))
    every = frames(video)
    assert every.shape == (6, 48, 96, 3)
    seen = every[:, 24, [16, 48, 80]].astype(int)
    assert np.abs(seen - [(200, 40, 40), (227, 147, 147), (255, 255, 255)]).max() <= 4


@pytest.mark.parametrize("name", FORMATS)
def test_no_hidden_black_is_mixed_in_by_scaling(tmp_path: Path, name: str) -> None:
    video = Video(make_odd_pictures.KINDS[name](tmp_path / name))
    assert frames(video, size=11)[..., 0].min() >= 190  # red is 200 and more everywhere


@pytest.mark.parametrize("mode", ["uniform", "keyframes"])
def test_seeking_sees_through_too(tmp_path: Path, mode: str) -> None:
    video = Video(make_odd_pictures.KINDS["vp9.webm"](tmp_path / "vp9.webm"))
    (chunk,) = video.read(video.sample(2, mode=mode))
    assert chunk.frames[:, 24, 80].min() >= 250


def test_gif(tmp_path: Path) -> None:
    every = frames(Video(make_odd_pictures.transparent_gif(tmp_path / "transparent.gif")))
    assert len(every) == 3 and every[:, 24, 80].min() == 255
    assert np.abs(every[:, 24, 16].astype(int) - (201, 40, 40)).max() <= 2


def test_decord_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="transparency"):
        Video(make_odd_pictures.transparent(tmp_path / "png.mov"), decoder="decord")
