"""Does a video fit, and at which ratio: positions and memory are counted before any work is done."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import ModelConfig
from ..errors import BudgetError
from .windows import RatioPolicy, plan_windows

# Slots for a question and its answer, unless the caller says otherwise.
DEFAULT_RESERVED_SLOTS = 512


@dataclass(frozen=True)
class Requirement:
    """What condensing a video takes.

    Args:
        slots: of the finished memory, prefix and VSTs.
        longest_window: tokens of the longest window, VSTs included.
        reserved_slots: slots for question and answer.
    """

    slots: int
    longest_window: int
    reserved_slots: int

    @property
    def positions(self) -> int:
        """Largest number of positions in use at any time, at most: also the slots that buffers are made for."""
        return self.slots + max(self.longest_window, self.reserved_slots)


@dataclass(frozen=True)
class Budget:
    """What a model and a device can take.

    Args:
        config: of the model: positions, window, ratios.
        num_prefix: tokens before the video.
        reserved_slots: slots for question and answer.
        free_slots: slots that fit the device's memory; None if unknown.
    """

    config: ModelConfig
    num_prefix: int
    reserved_slots: int = DEFAULT_RESERVED_SLOTS
    free_slots: int | None = None

    def requirement(self, num_tokens: int, policy: RatioPolicy, window: int | None = None) -> Requirement:
        """Return what a video of so many visual tokens takes."""
        plans = list(plan_windows(num_tokens, window or self.config.window, policy, self.num_prefix))
        longest = max((plan.length for plan in plans), default=0)
        return Requirement(self.num_prefix + sum(plan.num_vst for plan in plans), longest, self.reserved_slots)

    def fits(self, requirement: Requirement) -> bool:
        """Return whether positions and memory suffice."""
        in_memory = self.free_slots is None or requirement.positions <= self.free_slots
        return requirement.positions <= self.config.max_positions and in_memory

    def choose(self, num_tokens: int, ratio: int | str) -> RatioPolicy:
        """Return the policy for a requested ratio; "auto" is the smallest of the model's ratios that fits.

        Raises:
            BudgetError: the model has no such ratio, or the video does not fit; the advice names what would.
        """
        check_ratio(self.config, ratio)
        ratios = self.config.ratios
        fitting = self.fitting(num_tokens)
        policy = RatioPolicy((next(iter(fitting), ratios[-1]) if ratio == "auto" else int(ratio),))
        if policy.ratios[0] not in fitting:
            raise self._does_not_fit(num_tokens, policy, self.requirement(num_tokens, policy))
        return policy

    def check(self, num_tokens: int, policy: RatioPolicy, window: int) -> Requirement:
        """Return what a video takes with a caller's own policy.

        Raises:
            BudgetError: it does not fit.
        """
        requirement = self.requirement(num_tokens, policy, window)
        if not self.fits(requirement):
            raise self._does_not_fit(num_tokens, policy, requirement)
        return requirement

    def fitting(self, num_tokens: int) -> list[int]:
        """Return the model's ratios at which a video of so many visual tokens fits, the smallest first."""
        return [r for r in self.config.ratios if self.fits(self.requirement(num_tokens, RatioPolicy((r,))))]

    def _does_not_fit(self, num_tokens: int, policy: RatioPolicy, requirement: Requirement) -> BudgetError:
        fitting = self.fitting(num_tokens)
        per_frame = self.config.vision.tokens_per_frame
        asked = f"{num_tokens} visual tokens at ratio {_listed(policy.ratios)} need {requirement.positions}"
        problem = f"{asked} positions; {self.config.name} has {self.config.max_positions}"
        last_resort = "Use a shorter prompt, or a model with more positions."
        if requirement.positions <= self.config.max_positions:
            problem = f"{asked} slots of memory; what is free on the device has room for {self.free_slots}"
            last_resort = "Free some of the device's memory, or use another device."
        if fitting:
            return BudgetError(problem, f"Use ratio {_listed(fitting)}, or auto.")
        frames = self._max_frames(num_tokens // per_frame)
        if frames:
            return BudgetError(problem, f"Use at most {frames} frames, at ratio {self.config.ratios[-1]}.")
        return BudgetError(problem, last_resort)

    def _max_frames(self, num_frames: int) -> int:
        """Return the largest number of frames below this that fits at the largest ratio, by bisection."""
        low, high, policy = 0, num_frames, RatioPolicy((self.config.ratios[-1],))
        while high - low > 1:
            middle = (low + high) // 2
            if self.fits(self.requirement(middle * self.config.vision.tokens_per_frame, policy)):
                low = middle
            else:
                high = middle
        return low


def check_ratio(config: ModelConfig, ratio: int | str) -> None:
    """Raise BudgetError, with the model's ratios, if this one is not among them."""
    if ratio != "auto" and ratio not in config.ratios:
        raise BudgetError(f"ratio {ratio} is not among those of {config.name}", f"Use auto, {_listed(config.ratios)}.")


def _listed(ratios: Sequence[int]) -> str:
    return " or ".join([", ".join(map(str, ratios[:-1])), str(ratios[-1])]) if len(ratios) > 1 else str(ratios[0])
