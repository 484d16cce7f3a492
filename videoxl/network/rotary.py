"""Rotary positions: tables of cosines and sines, and the rotation of queries and keys by them."""

import torch
from torch import Tensor

Tables = tuple[Tensor, Tensor]


def rotary_tables(positions: Tensor, head_dim: int, theta: float) -> Tables:
    """Return cosine and sine in float32, [1 or b, 1, n, head_dim / 2], for positions [n] or [b, n].

    Always float32: 16-bit tables, as the reference builds them in half precision, are off by whole periods' parts at
    positions in the tens of thousands.
    """
    powers = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    angles = positions.view(-1, 1, positions.shape[-1], 1).float() * (1.0 / theta**powers)
    return angles.cos(), angles.sin()


def inverse(tables: Tables) -> Tables:
    """Return the tables that undo a rotation."""
    cos, sin = tables
    return cos, -sin


def rotate(x: Tensor, tables: Tables) -> Tensor:
    """Return x [b, heads, n, d] rotated by `rotary_tables`, computed in float32, in x's dtype.

    The halves of a head are the two coordinates of its planes, as in Qwen2.
    """
    cos, sin = tables
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)
