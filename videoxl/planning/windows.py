"""Which visual tokens form a window, where its VSTs are, and which position every token has.

This module alone decides it (Video-XL, arXiv 2409.14485, section 3.2), as arithmetic: nothing here needs torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import BudgetError
from .layout import VSTLayout

MIXES = ("fixed", "sequence", "step-random", "instance-random")


@dataclass(frozen=True)
class RatioPolicy:
    """Which ratio each window gets, and what happens to the tokens after a window's last VST.

    Args:
        ratios: visual tokens per VST.
        mix: "fixed" uses one ratio for every window. The others mix several, as the reference does: a window's
            candidates are the ratios that divide it; "sequence" cycles over the candidates of the first window,
            "step-random" draws one for every window, "instance-random" draws one for the first window and keeps it.
        cover: True gives a window whose tokens do not divide by the ratio one more VST at its end, so that every token
            is summarised. False is the reference: the remainder shifts the VSTs of the next window, and the tokens
            after the last VST of the video leave no trace.
        seed: of the generator for the random mixes; each video gets a fresh one.
    """

    ratios: tuple[int, ...]
    mix: str = "fixed"
    cover: bool = True
    seed: int = 42

    def __post_init__(self) -> None:
        if not self.ratios or min(self.ratios) < 1 or self.mix not in MIXES:
            raise BudgetError(
                f"ratios {list(self.ratios)} with mix {self.mix!r}", f"Give ratios of at least 1 and a mix of {MIXES}."
            )
        if self.mix == "fixed" and len(self.ratios) > 1:
            raise BudgetError(f"{len(self.ratios)} ratios, and no mix of them", f"Give one, or a mix of {MIXES[1:]}.")

    def choices(self) -> "RatioChoices":
        """Return the choices for one video."""
        return RatioChoices(self)

    def candidates(self, num_tokens: int) -> list[int]:
        """Return the ratios that divide a window of this many visual tokens."""
        candidates = [ratio for ratio in self.ratios if num_tokens >= ratio and num_tokens % ratio == 0]
        if not candidates:
            raise BudgetError(
                f"no ratio of {list(self.ratios)} divides a window of {num_tokens} visual tokens", "Give one ratio."
            )
        return candidates


class RatioChoices:
    """Chooses a ratio for each window of a video, to be called in order; a copy continues independently."""

    def __init__(self, policy: RatioPolicy) -> None:
        self._policy = policy
        self._rng = np.random.default_rng(policy.seed)
        self._chosen: list[int] = list(policy.ratios) if len(policy.ratios) == 1 else []
        self._calls = 0

    def __call__(self, num_tokens: int) -> int:
        """Return the ratio of the next window, which holds `num_tokens` visual tokens."""
        if self._policy.mix == "step-random" and len(self._policy.ratios) > 1:
            return self._draw(num_tokens)
        if not self._chosen:
            sequence = self._policy.mix == "sequence"
            self._chosen = self._policy.candidates(num_tokens) if sequence else [self._draw(num_tokens)]
        self._calls += 1
        return self._chosen[(self._calls - 1) % len(self._chosen)]

    def _draw(self, num_tokens: int) -> int:
        return int(self._rng.choice(self._policy.candidates(num_tokens)))


@dataclass(frozen=True)
class WindowPlan:
    """One window: what it holds, where its VSTs are, and the positions of all.

    Args:
        start: index in the video of its first visual token.
        num_tokens: visual tokens in it.
        ratio: visual tokens per VST.
        memory_length: slots before it, which is the position of its first token.
        carry: visual tokens since the last VST that the previous window left over (reference semantics only).
        layout: where the VSTs are; None if there are none, and then the window adds nothing and is not run.
        remainder: visual tokens after its last VST, carried into the next window.
    """

    start: int
    num_tokens: int
    ratio: int
    memory_length: int
    carry: int
    layout: VSTLayout | None
    remainder: int

    @property
    def num_vst(self) -> int:
        """VSTs that the window adds to memory."""
        return self.layout.num_vst if self.layout else 0

    @property
    def length(self) -> int:
        """Tokens that go through the language model."""
        return self.layout.length if self.layout else 0

    @property
    def positions(self) -> range:
        """Positions of the window's tokens: they follow the memory."""
        return range(self.memory_length, self.memory_length + self.length)

    @property
    def kept_positions(self) -> range:
        """Positions that the VSTs have in memory: contiguous, wherever they were in the window."""
        return range(self.memory_length, self.memory_length + self.num_vst)

    def covered(self) -> np.ndarray:
        """Return, for each VST, the half-open range of the video's visual tokens that it closes, int64 [num_vst, 2]."""
        ends = np.minimum(np.arange(1, self.num_vst + 1) * self.ratio - self.carry, self.num_tokens) + self.start
        return (
            np.stack([np.concatenate([[self.start], ends[:-1]]), ends], axis=1) if len(ends) else np.zeros((0, 2), int)
        )


class WindowPlanner:
    """Plans window after window.

    Args:
        policy: ratios.
        num_prefix: slots in memory before the first window.
    """

    def __init__(self, policy: RatioPolicy, num_prefix: int) -> None:
        self._cover = policy.cover
        self._choose = policy.choices()
        self._memory_length = num_prefix
        self._start = 0
        self._carry = 0

    def next(self, num_tokens: int) -> WindowPlan:
        """Return the plan of the next window, which holds `num_tokens` visual tokens."""
        ratio, carry = self._choose(num_tokens), self._carry
        count, remainder = divmod(num_tokens + carry, ratio)
        tail = self._cover and remainder > 0
        # The first VST follows visual token number `ratio - carry`; each of the others `ratio` tokens after the last.
        layout = VSTLayout(num_tokens, ratio - carry, ratio + 1, count, tail) if count or tail else None
        plan = WindowPlan(
            self._start, num_tokens, ratio, self._memory_length, carry, layout, 0 if self._cover else remainder
        )
        self._start += num_tokens
        self._memory_length += plan.num_vst
        self._carry = plan.remainder
        return plan


def plan_windows(num_tokens: int, window: int, policy: RatioPolicy, num_prefix: int = 0) -> Iterator[WindowPlan]:
    """Yield the plans of all windows of a video.

    Args:
        num_tokens: visual tokens of the video.
        window: visual tokens in a full window.
        policy: ratios.
        num_prefix: slots in memory before the first window.
    """
    planner = WindowPlanner(policy, num_prefix)
    for start in range(0, num_tokens, window):
        yield planner.next(min(window, num_tokens - start))


def spans(plans: Sequence[WindowPlan], times: np.ndarray) -> np.ndarray:
    """Return the seconds that each VST covers: of its first and its last visual token, float64 [num_vst, 2].

    Args:
        plans: of all windows.
        times: float64 [n], the time of each visual token's frame.
    """
    covered = np.concatenate([plan.covered() for plan in plans]) if plans else np.zeros((0, 2), int)
    return np.stack([times[covered[:, 0]], times[covered[:, 1] - 1]], axis=1)
