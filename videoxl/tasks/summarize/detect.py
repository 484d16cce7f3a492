"""Where in a video something is, from how surely the model says yes to a question about each of its parts.

Models say yes too easily, or too rarely, and how easily depends on the question. So the parts of a video are held
against each other: where the answers differ, a part counts that is nearer to the surest yes than to the usual answer,
and in any case it must be a yes.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...options import SpanOptions
from .chapters import Span

_USUAL = 0.25  # quantile: what is looked for may fill up to three quarters of the video


@dataclass(frozen=True)
class Found:
    """Neighbouring parts that were judged yes, together.

    Args:
        span: from the first one's start to the last one's end.
        score: probability of yes against no, of the surest of them, 0 to 1.
    """

    span: Span
    score: float


def divide(chapters: Sequence[Span], times: np.ndarray, options: SpanOptions) -> list[Span]:
    """Return the parts of chapters, in order, without gaps; each has a frame.

    Args:
        chapters: from `find_chapters`.
        times: of every frame, seconds, float [t], ascending.
        options: how long a part may be.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    most = max(options.part_frames, int(options.part_seconds / step)) if step > 0 else len(times)
    parts = []
    for chapter in chapters:
        own = times[(times >= chapter.start) & (times < chapter.end)]
        pieces = np.array_split(own, max(1, math.ceil(len(own) / most)))
        edges = [chapter.start, *(float(piece[0]) for piece in pieces[1:]), chapter.end]
        parts += [Span(low, high) for low, high in itertools.pairwise(edges)]
    return parts


def is_outlier(margins: np.ndarray, options: SpanOptions) -> np.ndarray:
    """Return which parts are judged yes, bool [n].

    Args:
        margins: of every part, by how much an answer is likelier to begin with yes than with no, float [n].
        options: how far answers must lie apart to be told from each other.
    """
    usual, surest = float(np.quantile(margins, _USUAL)), float(margins.max())
    differ = surest - usual >= options.min_spread
    return margins > max(0.0, (usual + surest) / 2 if differ else 0.0)


def merge(parts: Sequence[Span], margins: np.ndarray, options: SpanOptions) -> list[Found]:
    """Return what was found, in order of time, neighbours as one; of more than `max_spans`, the surest.

    Args:
        parts: from `divide`, at least one.
        margins: see `is_outlier`.
        options: what counts.
    """
    found: list[tuple[Span, float]] = []
    for part, margin, counts in zip(parts, margins.tolist(), is_outlier(margins, options), strict=True):
        if not counts:
            continue
        if found and found[-1][0].end == part.start:
            before, best = found.pop()
            found.append((Span(before.start, part.end), max(best, margin)))
        else:
            found.append((part, margin))
    kept = sorted(found, key=lambda each: -each[1])[: options.max_spans]
    return [Found(span, 1 / (1 + math.exp(-margin))) for span, margin in sorted(kept, key=lambda each: each[0].start)]
