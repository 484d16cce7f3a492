"""Where in the video an answer comes from: the attention that its tokens pay to the slots of memory.

It is added up by frame first: how many slots a frame has depends on the model and the ratio, from a
part of one (videoxl-nano at ratio 16) to 72 (Video-XL 7B at ratio 2).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import ModelConfig
from ..memory.coverage import Coverage, coverage
from ..memory.value import VisualMemory
from ..network.qwen2 import VSTQwen2
from .generate import read
from .text import Tokenizer, encode_question

MAX_SPANS = 3
NEUTRAL_QUESTION = "Hello."
# Half of the neutral question's attention is subtracted: on videos with one thing to see it looks there too.
_NEUTRAL_SHARE = 0.5
# Of the height of a peak above what is usual in the video: neighbouring frames from this on belong to its span.
_SPAN_EDGE = 0.1
_MIN_COUNTED = 0.2  # of the best span: whether an answer found something is told by it and by others from this on
_MIN_RELATIVE_SCORE = 0.35  # of the best span: others below it are left out
# An answer that found something pays its spans at least this part of what the neutral question pays to the whole video.
# With videoxl-nano and 1 to 256 frames it does where a card is shown in 98 of 100, and where none is in 4 of 100.
_MIN_ATTENTION = 0.5
# Within a window, VSTs also hold what so many visual tokens before their own showed: in videoxl-nano, at every ratio.
_LAG_TOKENS = 8


@dataclass(frozen=True)
class Evidence:
    """A stretch of the video that an answer comes from.

    Args:
        start: seconds, of its first frame.
        end: seconds, of its last frame.
        score: share of the attention to the video that falls on it, 0 to 1.
    """

    start: float
    end: float
    score: float


class AttentionTrace:
    """Adds up the attention that the last token of every forward pays to the first slots: an `AttentionProbe`.

    Args:
        num_slots: slots of the memory.
        num_history: tokens after these of the conversation before the question.
    """

    def __init__(self, num_slots: int, num_history: int = 0) -> None:
        self._num_slots, self._num_history = num_slots, num_history
        self._sum: Tensor | None = None  # the last entry counts

    def rows(self, num_queries: int) -> slice:
        """Return the last query."""
        return slice(num_queries - 1, num_queries)

    def take(self, layer: int, weights: Tensor) -> None:
        """Add the weights, float32 [1, heads, 1, keys], averaged over heads; layers may be on several devices."""
        mean = F.pad(weights[0, :, 0, : self._num_slots + self._num_history].mean(0), (0, 1), value=1.0)
        if self._sum is None:
            self._sum = mean
        else:
            self._sum += mean.to(self._sum.device)  # in place: a forward that is replayed adds it again

    def mean(self) -> np.ndarray:
        """Return the mean over tokens, layers and heads, float64 [slots].

        It is the share of the attention to all but the earlier turns: a question in a conversation is then like any.
        """
        if self._sum is None:
            return np.zeros(self._num_slots)
        *sums, count = self._sum.cpu().numpy().astype(np.float64)
        return np.array(sums[: self._num_slots]) / (count - sum(sums[self._num_slots :]))


@torch.no_grad()
def neutral_attention(
    language: VSTQwen2, tokenizer: Tokenizer | None, config: ModelConfig, memory: VisualMemory
) -> np.ndarray:
    """Return the attention of the neutral question before any answer, float64 [slots].

    It is the same for all questions about a memory.

    Raises:
        CheckpointError: there is no tokenizer.
    """
    question_ids = encode_question(tokenizer, config.prompt, NEUTRAL_QUESTION)
    trace = AttentionTrace(memory.length)
    store = memory.workspace(len(question_ids))
    read(language, store, torch.tensor([question_ids], device=language.device), trace)
    return trace.mean()


def find_evidence(memory: VisualMemory, attention: np.ndarray, neutral: np.ndarray) -> tuple[Evidence, ...]:
    """Return the stretches that stand out, best first, at most `MAX_SPANS`; no two of them touch.

    There are none if the memory has no times, or if the answer looked at the video so much less than the neutral
    question that it found nothing there.

    Args:
        memory: what was answered from.
        attention: of the question's last token and of the answer's, float [slots].
        neutral: of the neutral question, float [slots].
    """
    where = coverage(memory)
    if where is None:
        return ()
    slots = slice(len(memory.prefix_ids), None)
    paid, usual = where.per_frame(attention[slots]), where.per_frame(neutral[slots])
    scores = np.clip(paid - _NEUTRAL_SHARE * usual, 0, None)
    ranges = _around_peaks(paid, scores)
    if sum(paid[low:high].sum() for low, high in ranges) < _MIN_ATTENTION * usual.sum():
        return ()
    ratio = max(memory.ratios)
    lag = int(_LAG_TOKENS // ratio * ratio // where.tokens_per_frame)
    found = [_evidence(where, low, high, lag, scores) for low, high in ranges]
    best = max((span.score for span in found), default=0.0)
    return tuple(
        sorted((span for span in found if span.score >= _MIN_RELATIVE_SCORE * best), key=lambda span: -span.score)
    )


def _around_peaks(paid: np.ndarray, scores: np.ndarray) -> list[tuple[int, int]]:
    """Return half-open ranges of frames around the highest scores, in order of time, of which no two touch.

    Args:
        paid: attention to each frame, float [num_frames].
        scores: what of it counts, float [num_frames].
    """
    smooth, left = _smoothed(paid), _smoothed(scores)
    found: list[tuple[int, int]] = []
    best = 0.0
    while len(found) < MAX_SPANS and left.max() > 0:
        low, high, edge = _around(smooth, int(left.argmax()))
        share = float(left[low:high].sum())
        if share < _MIN_COUNTED * best:
            break
        best = max(best, share)
        left[low:high] = 0
        # Smoothed, frames beside a high one are higher than they are.
        own = low + np.flatnonzero(paid[low:high] >= min(edge, paid[low:high].max()))
        found.append((int(own[0]), int(own[-1]) + 1))
    return _joined(found)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Return values in which a frame between two others that count is bridged."""
    return np.convolve(np.pad(values, 1), [0.25, 0.5, 0.25], mode="valid")


def _around(smooth: np.ndarray, peak: int) -> tuple[int, int, float]:
    """Return the half-open range around a peak that stands out with it, and the height from which on it does."""
    background = float(np.median(smooth))
    edge = background + _SPAN_EDGE * (float(smooth[peak]) - background)
    low, high = peak, peak + 1
    while low > 0 and smooth[low - 1] >= edge:
        low -= 1
    while high < len(smooth) and smooth[high] >= edge:
        high += 1
    return low, high, edge


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return half-open ranges in ascending order, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and joined[-1][1] >= low:
            low, _ = joined.pop()
        joined.append((low, high))
    return joined


def _evidence(where: Coverage, low: int, high: int, lag: int, scores: np.ndarray) -> Evidence:
    """Return the span of a range of frames: without the last ones, if these only hold what was before them.

    The next window's VSTs see none of this one's visual tokens. So nothing lags across the end of a window.
    """
    score = float(scores[low:high].sum() / scores.sum())
    if not np.any(where.window_ends == high):
        within = where.window_ends[where.window_ends < high]
        own = max(low, int(within[-1]) if len(within) else 0)  # the first frame that does not lag
        high = max(high - lag, _end_of_vst(where, own))
    return Evidence(float(where.times[low]), float(where.times[high - 1]), score)


def _end_of_vst(where: Coverage, frame: int) -> int:
    """Return the frame after those of the VST that the beginning of a frame belongs to."""
    return int(np.ceil(where.edges[np.searchsorted(where.edges, frame, side="right")]))
