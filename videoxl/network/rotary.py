"""Rotary positions: tables of cosines and sines, and the rotation of queries and keys by them."""

import functools

import torch
from torch import Tensor

Tables = tuple[Tensor, Tensor]


def rotary_tables(positions: Tensor, head_dim: int, theta: float) -> Tables:
    """Return cosine and signed sine in float32, [1 or b, 1, n, head_dim], for positions [n] or [b, n].

    Always float32: 16-bit tables, as the reference builds them in half precision, are off by whole periods' parts at
    positions in the tens of thousands.
    """
    angles = positions.view(-1, 1, positions.shape[-1], 1) * _frequencies(head_dim, theta, positions.device)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def inverse(tables: Tables) -> Tables:
    """Return the tables that undo a rotation."""
    cos, sin = tables
    return cos, -sin


def rotate(x: Tensor, tables: Tables) -> Tensor:
    """Return x [b, heads, n, d] rotated by `rotary_tables`, computed in float32, in x's dtype.

    The halves of a head are the two coordinates of its planes, as in Qwen2.
    """
    cos, sin = tables
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin).to(x.dtype)


@functools.lru_cache(maxsize=64)
def _frequencies(head_dim: int, theta: float, device: torch.device) -> Tensor:
    """Return radians per position, float32 [head_dim / 2]; cached, because every token of an answer needs them."""
    # A tensor made under inference mode could never be used in training afterwards.
    with torch.inference_mode(False):
        powers = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
        return 1.0 / theta**powers
