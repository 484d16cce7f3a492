"""Frames from memory, and frames put into others."""

import numpy as np
import pytest

from videoxl.errors import VideoError
from videoxl.video.sources import FrameArray, SourceWithInsertions


def numbered(count: int, size: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, *size, 3)).copy()


def read(source: object, chunk: int = 3, **options: object) -> tuple[list[int], list[float]]:
    plan = source.sample(**{"max_frames": 100, "fps": None, "start": None, "end": None, "mode": "uniform"} | options)
    with source.read(plan, chunk, None) as stream:
        chunks = list(stream)
    assert all(len(c.frames) == len(c.times) == len(c.indices) <= chunk for c in chunks)
    np.testing.assert_array_equal(np.concatenate([c.indices for c in chunks]), plan.indices)
    frames = [int(frame.flat[0]) for c in chunks for frame in c.frames]
    return frames, [float(time) for c in chunks for time in c.times]


def test_an_array_is_read_in_order() -> None:
    assert read(FrameArray(numbered(7))) == ([*range(7)], [*map(float, range(7))])
    times = np.arange(10) / 2
    assert read(FrameArray(numbered(10), times), start=1.0, end=3.0)[0] == [2, 3, 4, 5]
    assert read(FrameArray(numbered(10), times), fps=1.0) == ([0, 2, 4, 6, 9], [0.0, 1.0, 2.0, 3.0, 4.5])
    assert read(FrameArray(numbered(9)), max_frames=3)[0] == [0, 4, 8]


@pytest.mark.parametrize("chunk", [1, 2, 3, 50])
@pytest.mark.parametrize("places", [[0], [5], [2, 2, 3], [0, 1, 5, 5], []])
def test_frames_are_put_in_where_they_belong(chunk: int, places: list[int]) -> None:
    needles = [np.full((9, 9, 3), 100 + number, np.uint8) for number in range(len(places))]
    expected = [*range(5)]
    for number, place in reversed([*enumerate(places)]):
        expected.insert(place, 100 + number)
    frames, times = read(SourceWithInsertions(FrameArray(numbered(5)), needles, places), chunk)
    assert frames == expected
    assert times == sorted(times)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FrameArray(np.zeros((2, 4, 4, 3))),
        lambda: FrameArray(np.zeros((2, 4, 4), np.uint8)),
        lambda: FrameArray(numbered(2), np.zeros(3)),
        lambda: SourceWithInsertions(FrameArray(numbered(2)), [numbered(1)[0]], [0, 1]),
        lambda: SourceWithInsertions(FrameArray(numbered(2)), [*numbered(2)], [1, 0]),
        lambda: read(SourceWithInsertions(FrameArray(numbered(2)), [*numbered(1)], [3])),
        lambda: read(
            SourceWithInsertions(
                SourceWithInsertions(FrameArray(numbered(2)), [*numbered(1)], [0]), [*numbered(1)], [0]
            )
        ),
        lambda: read(FrameArray(numbered(0))),
        lambda: read(FrameArray(numbered(3)), start=9.0),
    ],
)
def test_what_does_not_fit_is_refused(make: object) -> None:
    with pytest.raises(VideoError):
        make()
