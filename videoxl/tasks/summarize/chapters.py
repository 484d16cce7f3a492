"""Chapter boundaries: where the content of a video changes, and stays changed.

After TextTiling (Hearst 1997) and its use on frames, SceneTiling (Wang et al. 2024, VideoLLaMB): neighbours are
compared, and a position is scored by its depth: how far the similarity there falls below the similarity on both sides.
A median over time comes first; it keeps edges but removes what is shown only briefly, such as a title. If a video is a
single scene, its deepest positions are not boundaries: there is a minimum depth, and differences that are small
compared with what all frames have in common are ignored.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ...options import ChapterOptions

_MAX_REACH = 15  # frames compared on each side: more would be slow on densely sampled videos
# Share of the squared mean feature: half of the change at a cut between rendered scenes with videoxl-nano; grain, and
# the key frames of a still picture, change a tenth of it.
_NOISE_SHARE = 0.01


@dataclass(frozen=True)
class Span:
    """A half-open range of seconds."""

    start: float
    end: float


def find_chapters(
    features: np.ndarray, times: np.ndarray, start: float, end: float, options: ChapterOptions
) -> list[Span]:
    """Return the chapters of a video, in order and without gaps; at least one.

    Args:
        features: of every frame, float [t, d].
        times: of every frame, seconds, float [t], ascending.
        start: of the first chapter, seconds.
        end: of the last chapter, seconds.
        options: lengths and thresholds.
    """
    depths = depth_scores(similarity(features, times, options))
    edges = [start, *_choose(depths, times, start, end, options), end]
    return [Span(low, high) for low, high in itertools.pairwise(edges)]


def similarity(features: np.ndarray, times: np.ndarray, options: ChapterOptions) -> np.ndarray:
    """Return the cosine similarity of the features before and after each position between two frames, float [t - 1].

    Both are means over half of the shortest chapter, with the mean over the video subtracted, because features of
    vision towers have much in common for all pictures. A small common part is added back, so that tiny differences do
    not matter.
    """
    smoothed = _smooth(features, _frames(options.brief_seconds, times, 1))
    reach = _frames(options.min_seconds / 2, times, 2)
    mean = smoothed.mean(0)
    common = _NOISE_SHARE * float(mean @ mean)
    smoothed -= mean
    cosines = []
    for position in range(1, len(smoothed)):
        before = smoothed[max(0, position - reach) : position].mean(0)
        after = smoothed[position : position + reach].mean(0)
        size = float(np.linalg.norm(before) * np.linalg.norm(after)) + common
        cosines.append((float(before @ after) + common) / size if size > 0 else 1.0)
    return np.array(cosines)


def depth_scores(similarity: np.ndarray) -> np.ndarray:
    """Return how deep each value lies in its valley: below its peak on the left plus that on the right, float [n]."""
    return _climb(similarity) + _climb(similarity[::-1])[::-1] - 2 * similarity


def _climb(values: np.ndarray) -> np.ndarray:
    """Return the peak that is reached from each value to the left without going down."""
    peaks = values.copy()
    for index in range(1, len(values)):
        if values[index - 1] >= values[index]:
            peaks[index] = peaks[index - 1]
    return peaks


def _frames(seconds: float, times: np.ndarray, min_frames: int) -> int:
    """Return how many frames there are in so many seconds, within limits."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return int(np.clip(round(seconds / step), min_frames, _MAX_REACH))


def _smooth(features: np.ndarray, reach: int) -> np.ndarray:
    """Return the median of every feature over the frames around, float32 [t, d]."""
    if len(features) < 3:
        return features.astype(np.float32)
    padded = np.pad(features, ((reach, reach), (0, 0)), mode="edge")
    windows = (padded[start : start + 2 * reach + 1] for start in range(len(features)))
    return np.stack([np.median(window.astype(np.float32), axis=0) for window in windows])


def _choose(depths: np.ndarray, times: np.ndarray, start: float, end: float, options: ChapterOptions) -> list[float]:
    """Return boundaries in order: the deepest positions above the threshold such that no chapter is too short."""
    if not len(depths):
        return []
    threshold = max(options.min_depth, depths.mean() + options.sharpness * depths.std())
    edges = [start, end]
    for position in np.argsort(-depths, kind="stable"):
        if depths[position] <= threshold or len(edges) > options.max_chapters:
            break
        second = float(times[position + 1])
        if all(abs(second - edge) >= options.min_seconds for edge in edges):
            edges.append(second)
    return sorted(edges[2:])
