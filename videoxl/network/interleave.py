"""VSTs among the tokens of a window: taken out, put in and interleaved by slices, which synchronise no device."""

import functools

import torch
from torch import Tensor

from ..planning.layout import VSTLayout


def take_vsts(x: Tensor, layout: VSTLayout, dim: int = 1) -> Tensor:
    """Return the entries of the VSTs from x, whose dimension `dim` has the window's length."""
    before = (slice(None),) * dim
    strided = x[(*before, layout.strided)]
    return torch.cat([strided, x[(*before, slice(layout.length - 1, None))]], dim) if layout.tail else strided


def put_vsts(x: Tensor, entries: Tensor, layout: VSTLayout) -> None:
    """Overwrite the entries of the VSTs in x [b, length, ...], in place (autograd follows)."""
    x[:, layout.strided] = entries[:, : layout.count]
    if layout.tail:
        x[:, -1] = entries[:, -1]


def interleave(raw: Tensor, vst: Tensor, layout: VSTLayout) -> Tensor:
    """Return [b, length, h] from visual tokens [b, num_raw, h] and the VST embedding [1, h]."""
    parts = torch.cat([raw, vst.to(raw.dtype).expand(len(raw), layout.num_vst, -1)], dim=1)
    return parts.index_select(1, _order(layout, raw.device))


@functools.lru_cache(maxsize=64)
def _order(layout: VSTLayout, device: torch.device) -> Tensor:
    """Return the order of a window's tokens; cached, as windows share few layouts."""
    # A tensor made under inference mode could never be used in training afterwards.
    with torch.inference_mode(False):
        return torch.from_numpy(layout.interleaved()).to(device)
