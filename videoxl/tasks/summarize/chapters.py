"""Where a video is cut into chapters: where what its frames show changes, and stays changed.

After TextTiling (Hearst 1997) and its use on frames, SceneTiling (Wang et al. 2024, VideoLLaMB): neighbours are
compared, and a place counts by its depth, how far their similarity falls below that on both sides. A median over time
comes first, which keeps edges where they are but takes out what is shown briefly and goes away again,
such as a title. Where all of a video is one scene its deepest places are no boundaries: a depth also has a least value,
and differences between frames that are small next to what they have in common count as none.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ...options import ChapterOptions

_MAX_REACH = 15  # frames on each side that are looked at: densely read videos would take long
# Of the square of what all frames have in common: half of what a cut between rendered scenes changes, as videoxl-nano
# sees them; grain and the key frames of a still picture change a tenth of it.
_ALIKE = 0.01


@dataclass(frozen=True)
class Span:
    """A chapter's half-open range of seconds."""

    start: float
    end: float


def find_chapters(
    features: np.ndarray, times: np.ndarray, start: float, end: float, options: ChapterOptions
) -> list[Span]:
    """Return the chapters of a video, in order, from its start to its end without gaps; at least one.

    Args:
        features: of every frame, float [t, d].
        times: of every frame, seconds, float [t], ascending.
        start: seconds, where the first chapter begins.
        end: seconds, where the last one ends.
        options: what makes a chapter.
    """
    depths = depth_scores(similarity(features, times, options))
    edges = [start, *_chosen(depths, times, start, end, options), end]
    return [Span(low, high) for low, high in itertools.pairwise(edges)]


def similarity(features: np.ndarray, times: np.ndarray, options: ChapterOptions) -> np.ndarray:
    """Return the cosine of what is before and after each place between two frames, float [t - 1].

    Both are means over half of the shortest chapter, and seen from the mean over the video: the features of vision
    towers have much in common in all pictures. They are given a small part in common, so that tiny differences do not
    matter.
    """
    steady = _steady(features, _frames(options.brief_seconds, times, 1))
    reach = _frames(options.min_seconds / 2, times, 2)
    mean = steady.mean(0)
    common = _ALIKE * float(mean @ mean)
    steady -= mean
    found = []
    for place in range(1, len(steady)):
        before = steady[max(0, place - reach) : place].mean(0)
        after = steady[place : place + reach].mean(0)
        size = float(np.linalg.norm(before) * np.linalg.norm(after)) + common
        found.append((float(before @ after) + common) / size if size > 0 else 1.0)
    return np.array(found)


def depth_scores(similarity: np.ndarray) -> np.ndarray:
    """Return how deep each value lies in its valley: below its peak on the left plus that on the right, float [n]."""
    return _climb(similarity) + _climb(similarity[::-1])[::-1] - 2 * similarity


def _climb(values: np.ndarray) -> np.ndarray:
    """Return the peak that is reached from each value to the left without going down."""
    peaks = values.copy()
    for place in range(1, len(values)):
        if values[place - 1] >= values[place]:
            peaks[place] = peaks[place - 1]
    return peaks


def _frames(seconds: float, times: np.ndarray, least: int) -> int:
    """Return how many frames there are in so many seconds, within limits."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return int(np.clip(round(seconds / step), least, _MAX_REACH))


def _steady(features: np.ndarray, reach: int) -> np.ndarray:
    """Return the median of every feature over the frames around, float32 [t, d]."""
    if len(features) < 3:
        return features.astype(np.float32)
    padded = np.pad(features, ((reach, reach), (0, 0)), mode="edge")
    windows = (padded[at : at + 2 * reach + 1] for at in range(len(features)))
    return np.stack([np.median(window.astype(np.float32), axis=0) for window in windows])


def _chosen(depths: np.ndarray, times: np.ndarray, start: float, end: float, options: ChapterOptions) -> list[float]:
    """Return boundaries in order: the deepest places above the threshold that leave no chapter too short."""
    if not len(depths):
        return []
    threshold = max(options.min_depth, depths.mean() + options.sharpness * depths.std())
    edges = [start, end]
    for place in np.argsort(-depths, kind="stable"):
        if depths[place] <= threshold or len(edges) > options.max_chapters:
            break
        second = float(times[place + 1])
        if all(abs(second - edge) >= options.min_seconds for edge in edges):
            edges.append(second)
    return sorted(edges[2:])
