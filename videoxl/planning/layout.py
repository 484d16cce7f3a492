"""The layout of a window: where its VSTs are."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VSTLayout:
    """Where the VSTs are in a window: at a fixed stride, so that no layer needs a boolean mask.

    Args:
        num_raw: visual tokens in the window.
        first: index of the first VST, counted in the window of visual tokens and VSTs together.
        stride: distance between neighbouring VSTs (ratio + 1).
        count: VSTs at that stride.
        tail: whether one more VST closes the window.
    """

    num_raw: int
    first: int
    stride: int
    count: int
    tail: bool = False

    @property
    def num_vst(self) -> int:
        """Number of VSTs."""
        return self.count + self.tail

    @property
    def length(self) -> int:
        """Number of visual tokens and VSTs."""
        return self.num_raw + self.num_vst

    @property
    def strided(self) -> slice:
        """The indices of all VSTs but the one that closes the window."""
        end = self.first + self.stride * (self.count - 1) + 1 if self.count else self.first
        return slice(self.first, end, self.stride)

    def is_vst(self) -> np.ndarray:
        """Return a boolean array [length], true at VSTs."""
        mask = np.zeros(self.length, bool)
        mask[self.strided] = True
        mask[self.length - self.tail :] = True
        return mask

    def interleaved(self) -> np.ndarray:
        """Return the order [length] that interleaves `num_raw` visual tokens followed by `num_vst` VSTs."""
        is_vst = self.is_vst()
        return np.where(is_vst, self.num_raw + np.cumsum(is_vst) - 1, np.cumsum(~is_vst) - 1)
