"""How far a share that was counted may be from the true one."""

import math

_Z = 1.959963984540054  # of the normal distribution, 95 % lie within so many deviations


def wilson(right: int, asked: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, by Wilson's score (1927): it is sound for few trials and at 0 and 1.

    Args:
        right: successes, from 0 to `asked`.
        asked: trials; with none the interval is all there is, 0 to 1.
    """
    if not asked:
        return 0.0, 1.0
    share, weight = right / asked, _Z * _Z / asked
    centre = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / asked + weight / (4 * asked)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)
