"""Keys and values in 8 bit, with a scale for every head of every slot."""

import torch
from torch import Tensor

_MAX_STEP = 127


def quantise(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 [heads, n, d] and float32 scales [heads, n, 1]; their product is within half a scale of the values.

    Args:
        values: [heads, n, d] of any floating dtype.
    """
    values = values.float()
    scales = values.abs().amax(-1, keepdim=True) / _MAX_STEP
    steps = values / scales.clamp(min=torch.finfo(torch.float32).tiny)
    return steps.round().clamp(-_MAX_STEP, _MAX_STEP).to(torch.int8), scales


def dequantise(steps: Tensor, scales: Tensor) -> Tensor:
    """Return the values, float32 [heads, n, d], of `quantise`."""
    return steps.float() * scales
