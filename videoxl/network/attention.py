"""Attention with grouped heads over a store of keys and values, and the probe that reads its weights."""

import contextlib
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import CausalBias, causal_lower_right

# Scores up to this many elements (64 MB in float32) go through plain matrix products on the CPU.
_MAX_PLAIN_SCORES = 1 << 24
_PIECE = 128  # keys


class KeyValueStore(Protocol):
    """What attention reads from and writes to. Keys are rotated already; shapes are [b, kv_heads, n, d]."""

    length: int

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stored keys and values followed by the given ones."""

    def keep(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Store keys and values for later forwards; they count once `advance` is called."""

    def advance(self, count: int) -> None:
        """Let the `count` slots that every layer has kept become part of the memory."""


class AttentionProbe(Protocol):
    """Looks at the attention weights of some queries. The kernel that computes the result stays what it is."""

    def rows(self, num_queries: int) -> slice:
        """Return which of a forward's queries are looked at."""

    def take(self, layer: int, weights: Tensor) -> None:
        """Take the weights of those queries over all keys, float32 [b, heads, rows, keys]."""


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Return softmax(q k / sqrt(d) + bias) v for grouped heads, without repeating keys or values in memory.

    One rule picks the kernel. On the CPU, while the scores are small, plain products: as fast as the fused kernel in
    float32 and 2 to 4 times faster in bfloat16, forward and backward. Otherwise, and for the single tokens of an
    answer, torch's fused attention: it reads keys and values once, in bfloat16 up to ten times faster. Where
    it has a causal mode of its own, that is used, see `causal_bias`.

    Args:
        query: [b, heads, n, d].
        key: [b, kv_heads, l, d]; `value` alike.
        bias: from `causal_bias`: added to the scores, [1 or b, 1, n, l]; None lets every query see everything.

    Returns:
        [b, heads, n, d].
    """
    batch, heads, num_queries, head_dim = query.shape
    kv_heads, num_keys = key.shape[1:3]
    groups = heads // kv_heads
    if bias is None:  # every query alike: the heads of a group become queries of their shared key head
        folded = query.reshape(batch, kv_heads, groups * num_queries, head_dim)
        mixed = F.scaled_dot_product_attention(folded, key, value)
        return mixed.reshape(batch, heads, num_queries, head_dim)  # kernels differ in the layout that they return
    if isinstance(bias, CausalBias):
        return F.scaled_dot_product_attention(query, key, value, bias, enable_gqa=True)
    if query.device.type == "cpu" and batch * heads * num_queries * num_keys <= _MAX_PLAIN_SCORES:
        weights = _scores(query, key, bias).softmax(-1).to(value.dtype)
        return (weights @ value).view(batch, heads, num_queries, head_dim)
    if num_queries == 1 and query.device.type == "cuda":  # a forward of fixed shape, see `engine.cuda_graph`
        # With a table, torch's kernels go through the keys of a head one by one: 0.4 ms a layer after 9000 slots.
        weights = _scores(query.float(), key.float(), bias.float()).softmax(-1).to(value.dtype)
        return _in_pieces(weights, value).view(batch, heads, num_queries, head_dim)
    # Key heads join the batch, and the group is an expanded dimension of stride 0: nothing is copied.
    key, value = (t.reshape(batch * kv_heads, 1, num_keys, head_dim).expand(-1, groups, -1, -1) for t in (key, value))
    grouped = query.reshape(batch * kv_heads, groups, num_queries, head_dim)
    if len(bias) > 1:
        bias = bias.repeat_interleave(kv_heads, dim=0)
    mixed = F.scaled_dot_product_attention(grouped, key, value, attn_mask=bias.to(query.dtype))
    return mixed.reshape(batch, heads, num_queries, head_dim)


def _in_pieces(weights: Tensor, value: Tensor) -> Tensor:
    """Return weights [..., n, l] @ value [..., l, d]: pieces of the sum side by side, which fills a GPU for few n."""
    whole = value.shape[-2] // _PIECE * _PIECE
    pieces = weights[..., :whole].unflatten(-1, (-1, _PIECE)).transpose(-2, -3) @ value[..., :whole, :].unflatten(
        -2, (-1, _PIECE)
    )
    rest = weights[..., whole:] @ value[..., whole:, :]
    return (pieces.sum(-3, dtype=torch.float32) + rest).to(value.dtype)


def fused_kernels(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return a context in which torch's fused attention is not cuDNN's.

    That one makes a plan for every new number of keys, which in condensing is every window. Seen with torch 2.11 on an
    H200: 0.1 s a window in training, and results that were not numbers.
    """
    if device.type != "cuda":
        return contextlib.nullcontext()
    return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])


def probe_weights(query: Tensor, key: Tensor, bias: Tensor | None, rows: slice) -> Tensor:
    """Return the attention weights of some queries, float32 [b, heads, rows, l]; arguments as of `attend`."""
    if isinstance(bias, CausalBias):
        bias = _lower_right(bias.seq_len_kv - bias.seq_len_q, bias.seq_len_q, torch.float32, query.device)
    query = query[:, :, rows]
    scores = _scores(query.float(), key.float(), None if bias is None else bias[:, :, rows].float())
    return scores.softmax(-1).view(*query.shape[:3], key.shape[2])


def _scores(query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    """Return [b, kv_heads, groups * n, l]: the heads of a group are queries of their shared key head."""
    batch, heads, num_queries, head_dim = query.shape
    kv_heads = key.shape[1]
    folded = (query * head_dim**-0.5).reshape(batch, kv_heads, heads // kv_heads * num_queries, head_dim)
    scores = folded @ key.transpose(-1, -2)
    if bias is not None:
        scores = (scores.unflatten(2, (-1, num_queries)) + bias.unsqueeze(1)).flatten(2, 3)
    return scores


def causal_bias(
    num_stored: int, num_tokens: int, mask: Tensor | None, dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """Return what is added to all layers' scores, [1 or b, 1, n, stored + n]; None if every query sees everything.

    On a GPU that has flash attention, without gradients, it is that kernel's own causal bias: without a table to
    read, attention at Video-XL 7B's sizes takes 0.3 to 0.4 of the time (one H100, 100 to 9000 slots before a window).

    Args:
        num_stored: tokens before the forward's, which all may be seen.
        num_tokens: tokens of the forward, n.
        mask: bool, true where a query may look; None is causal.
        dtype: of the scores.
        device: of the scores.
    """
    if mask is None:
        if num_tokens == 1:
            return None
        if _has_flash(device, dtype) and not torch.is_grad_enabled():
            return causal_lower_right(num_tokens, num_stored + num_tokens)
        return _lower_right(num_stored, num_tokens, dtype, device)
    return _bias(mask, dtype)


def _has_flash(device: torch.device, dtype: torch.dtype) -> bool:
    return device.type == "cuda" and dtype.itemsize == 2 and torch.cuda.get_device_capability(device) >= (8, 0)


def _lower_right(num_stored: int, num_tokens: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # SDPA's own is_causal is aligned to the upper left: it would hide most of the memory.
    columns = torch.arange(num_stored + num_tokens, device=device)
    return _bias((columns <= columns[num_stored:, None])[None, None], dtype)


def _bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    # The lowest number, not infinity: a row that may look nowhere (padding) then gives numbers, not NaN.
    return torch.zeros((), dtype=dtype, device=mask.device).where(mask, torch.finfo(dtype).min)
