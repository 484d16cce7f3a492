"""Where in the video an answer comes from: the attention that its tokens pay to the slots of memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..memory.value import VisualMemory
from ..network.qwen2 import VSTQwen2
from .generate import read

MAX_SPANS = 3
# What a question that is about nothing looks at is half taken off: on videos with one thing to see it looks there too.
_NEUTRAL_SHARE = 0.5
# Of a peak: neighbouring slots from this on belong to its span. Smoothed, a slot that stands alone has both of its
# neighbours: what a frame showed is also told by the VST after its own.
_EDGE = 0.5
_WORTH_SAYING = 0.2  # of the best span: others below it are left out


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
    """

    def __init__(self, num_slots: int) -> None:
        self._num_slots = num_slots
        self._sum: Tensor | None = None  # the last entry counts

    def rows(self, num_queries: int) -> slice:
        """Return the last query."""
        return slice(num_queries - 1, num_queries)

    def take(self, layer: int, weights: Tensor) -> None:
        """Add the weights, float32 [1, heads, 1, keys], averaged over heads; layers may be on several devices."""
        mean = F.pad(weights[0, :, 0, : self._num_slots].mean(0), (0, 1), value=1.0)
        if self._sum is None:
            self._sum = mean
        else:
            self._sum += mean.to(self._sum.device)  # in place: a forward that is replayed adds it again

    def mean(self) -> np.ndarray:
        """Return the mean over tokens, layers and heads, float64 [slots]."""
        if self._sum is None:
            return np.zeros(self._num_slots)
        sums = self._sum.cpu().numpy().astype(np.float64)
        return sums[:-1] / sums[-1]


@torch.no_grad()
def neutral_attention(language: VSTQwen2, memory: VisualMemory, question_ids: Sequence[int]) -> np.ndarray:
    """Return what a question pays attention to before any answer, float64 [slots]."""
    trace = AttentionTrace(memory.length)
    store = memory.workspace(len(question_ids))
    read(language, store, torch.tensor([question_ids], device=language.device), trace)
    return trace.mean()


def find_evidence(memory: VisualMemory, attention: np.ndarray, neutral: np.ndarray) -> tuple[Evidence, ...]:
    """Return the stretches that stand out, best first, at most `MAX_SPANS`; none if the memory knows no times.

    They are found by their peaks, do not overlap, and may touch.

    Args:
        memory: what was answered from.
        attention: of the question's last token and of the answer's, float [slots].
        neutral: of a question that is about nothing, float [slots].
    """
    if memory.spans is None or not memory.num_vst:
        return ()
    first = len(memory.prefix_ids)
    scores = np.clip(attention[first:] - _NEUTRAL_SHARE * neutral[first:], 0, None)
    total = scores.sum()
    if total <= 0:
        return ()
    smooth = np.convolve(np.pad(scores, 1), [0.25, 0.5, 0.25], mode="valid")
    found: list[Evidence] = []
    while len(found) < MAX_SPANS and smooth.max() > 0:
        low, high = _around_peak(smooth)
        share = float(scores[low:high].sum() / total)
        if found and share < _WORTH_SAYING * found[0].score:
            break
        found.append(Evidence(float(memory.spans[low, 0]), float(memory.spans[high - 1, 1]), share))
        smooth[low:high] = 0
    return tuple(sorted(found, key=lambda span: -span.score))


def _around_peak(smooth: np.ndarray) -> tuple[int, int]:
    """Return the half-open range of slots around the highest one that are above a share of it."""
    peak = int(smooth.argmax())
    low, high, edge = peak, peak + 1, _EDGE * smooth[peak]
    while low > 0 and smooth[low - 1] >= edge:
        low -= 1
    while high < len(smooth) and smooth[high] >= edge:
        high += 1
    return low, high
