"""Confidence intervals of shares."""

import math

_Z = 1.959963984540054  # 95 % of the normal distribution lie within this many standard deviations


def wilson(right: int, num_trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval (1927) of a share, which is sound for few trials and at 0 and 1.

    Args:
        right: number of successes, from 0 to `num_trials`.
        num_trials: number of trials; for 0, the interval is 0 to 1.
    """
    if not num_trials:
        return 0.0, 1.0
    share, weight = right / num_trials, _Z * _Z / num_trials
    centre = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / num_trials + weight / (4 * num_trials)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)
