"""Where videos are cut, on features that are made up."""

import itertools

import numpy as np
import pytest

from videoxl.options import ChapterOptions
from videoxl.tasks.summarize.chapters import Span, depth_scores, find_chapters


def film(*lengths: int, seed: int = 0, noise: float = 0.1) -> np.ndarray:
    """Return features [t, 32] of scenes of so many frames, around a direction each; all have one in common."""
    rng = np.random.default_rng(seed)
    scenes = [np.tile(rng.normal(size=32), (length, 1)) for length in lengths]
    frames = np.concatenate(scenes)
    return (frames + noise * rng.normal(size=frames.shape) + 5).astype(np.float16)


def starts(features: np.ndarray, step: float = 1.0, **options: float) -> list[float]:
    times = np.arange(len(features)) * step
    spans = find_chapters(features, times, 0.0, len(features) * step, ChapterOptions(**options))  # type: ignore[arg-type]
    assert spans[0].start == 0.0 and spans[-1].end == len(features) * step
    assert all(before.end == after.start for before, after in itertools.pairwise(spans))
    return [span.start for span in spans]


@pytest.mark.parametrize("seed", range(5))
def test_scenes_are_found_where_they_begin(seed: int) -> None:
    assert starts(film(20, 35, 12, 40, seed=seed)) == [0, 20, 55, 67]


def test_seconds_and_not_frames_count() -> None:
    assert starts(film(20, 30), step=3.5) == [0, 70]
    assert starts(film(200, 300), step=0.1) == [0, pytest.approx(20)]


def test_what_is_shown_briefly_begins_no_chapter() -> None:
    features = film(30, 30)
    features[10:13] = film(3, seed=9)
    assert starts(features) == [0, 30]
    assert starts(features, brief_seconds=1.0, min_seconds=2.0) == [0, 10, 13, 30]


def test_no_chapter_is_shorter_than_asked() -> None:
    features = film(15, 6, 6, 6, 15)
    assert starts(features, min_seconds=5.0) == [0, 15, 21, 27, 33]
    long = [*starts(features, min_seconds=10.0), 48]
    assert len(long) > 2 and min(np.diff(long)) >= 10


def test_at_most_so_many_and_the_clearest() -> None:
    features = film(20, 20, 20, 20, noise=0.01)
    features[60:] = features[40:60] + film(20, seed=5) - 5  # somewhat like the scene before
    assert starts(features) == [0, 20, 40, 60] and starts(features, max_chapters=3) == [0, 20, 40]


def test_a_higher_threshold_leaves_chapters_out() -> None:
    features = film(20, 20, 20, 20, 20, seed=3, noise=1.0)
    few, many = starts(features, sharpness=4.0), starts(features, sharpness=0.0)
    assert set(few) < set(many)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_videos_of_few_frames_are_one_chapter(length: int) -> None:
    assert starts(film(length)) == [0]


def test_a_picture_that_never_changes_is_one_chapter() -> None:
    assert starts(np.full((60, 8), 3, np.float16)) == [0]


def test_a_scene_that_goes_on_is_one_chapter() -> None:
    """Its picture moves on all the time, at a speed that changes, and nothing in it begins or ends."""
    rng = np.random.default_rng(1)
    first, last = rng.normal(size=(2, 512))
    way = np.cumsum(rng.uniform(0.2, 1.8, 200))[:, None] / 200
    pan = first * (1 - way) + last * way + 0.05 * rng.normal(size=(200, 512)) + 5
    assert starts(pan.astype(np.float16)) == [0]
    assert len(starts(pan.astype(np.float16), min_depth=0.0)) > 1


def test_a_still_picture_with_grain_and_key_frames_is_one_chapter() -> None:
    rng = np.random.default_rng(2)
    grain = 0.05 * rng.normal(size=(4, 512))  # changes only where a key frame is
    assert starts((5 + rng.normal(size=512) + np.repeat(grain, 50, axis=0)).astype(np.float16)) == [0]


def test_a_part_of_a_video_keeps_its_times() -> None:
    times = 100.0 + np.arange(50)
    spans = find_chapters(film(20, 30), times, 99.5, 150.0, ChapterOptions())
    assert spans == [Span(99.5, 120.0), Span(120.0, 150.0)]


def test_depth_is_the_height_of_both_slopes() -> None:
    values = np.array([0.5, 0.9, 0.4, 0.6, 0.6, 0.8, 0.7])
    assert depth_scores(values) == pytest.approx([0.4, 0, 0.9, 0.2 + 0, 0.2, 0, 0.1])
