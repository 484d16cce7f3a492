"""Detection of spans, from the model's margin of yes over no in answer to a question about each part of a video.

Models say yes too often or too rarely, depending on the question. So the parts of a video are compared with each other:
if the margins differ, a part is detected that is nearer to the highest margin than to the usual one. Its margin must
also be positive.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...options import SpanOptions
from .chapters import Span

_USUAL = 0.25  # quantile: detections may fill up to three quarters of the video


@dataclass(frozen=True)
class Detection:
    """A run of neighbouring parts that were detected.

    Args:
        span: from the first one's start to the last one's end.
        score: the highest probability of yes against no among them, 0 to 1.
    """

    span: Span
    score: float


def divide(chapters: Sequence[Span], times: np.ndarray, options: SpanOptions) -> list[Span]:
    """Return the parts of chapters, in order and without gaps; each has at least one frame.

    Args:
        chapters: from `find_chapters`.
        times: of every frame, seconds, float [t], ascending.
        options: largest length of a part.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    max_frames = max(options.part_frames, int(options.part_seconds / step)) if step > 0 else len(times)
    parts = []
    for chapter in chapters:
        chapter_times = times[(times >= chapter.start) & (times < chapter.end)]
        pieces = np.array_split(chapter_times, max(1, math.ceil(len(chapter_times) / max_frames)))
        edges = [chapter.start, *(float(piece[0]) for piece in pieces[1:]), chapter.end]
        parts += [Span(low, high) for low, high in itertools.pairwise(edges)]
    return parts


def is_outlier(margins: np.ndarray, options: SpanOptions) -> np.ndarray:
    """Return which parts are detected, bool [n].

    Args:
        margins: of every part, how much likelier the answer begins with yes than with no, float [n].
        options: the smallest difference between margins that counts.
    """
    usual, highest = float(np.quantile(margins, _USUAL)), float(margins.max())
    differ = highest - usual >= options.min_spread
    return margins > max(0.0, (usual + highest) / 2 if differ else 0.0)


def merge(parts: Sequence[Span], margins: np.ndarray, options: SpanOptions) -> list[Detection]:
    """Return the detections in order of time, neighbours merged; at most `max_spans`, those with the highest scores.

    Args:
        parts: from `divide`, at least one.
        margins: see `is_outlier`.
        options: thresholds.
    """
    merged: list[tuple[Span, float]] = []
    for part, margin, is_detected in zip(parts, margins.tolist(), is_outlier(margins, options), strict=True):
        if not is_detected:
            continue
        if merged and merged[-1][0].end == part.start:
            before, best = merged.pop()
            merged.append((Span(before.start, part.end), max(best, margin)))
        else:
            merged.append((part, margin))
    kept = sorted(merged, key=lambda each: -each[1])[: options.max_spans]
    return [
        Detection(span, 1 / (1 + math.exp(-margin))) for span, margin in sorted(kept, key=lambda each: each[0].start)
    ]
