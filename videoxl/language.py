"""Qwen2 with VST projections: the language model that reads windows of visual tokens and leaves keys and values behind.

A window interleaves visual tokens with visual summarization tokens (VSTs; "beacon" in weight names). VSTs have their
own query, key and value projections in every layer; all else is Qwen2 (Video-XL, arXiv 2409.14485, section 3.2).
Nothing here decides where VSTs stand or which positions tokens have: `condense.py` does, and passes it down.
"""

import functools
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention, rotate_half

# Scores up to this many elements (64 MB in float32) go through plain matrix products on the CPU.
_MAX_PLAIN_SCORES = 1 << 24


@dataclass(frozen=True)
class VSTLayout:
    """Where the VSTs stand in a window: a slice, so that no layer needs a boolean mask.

    Args:
        num_raw: visual tokens in the window.
        first: index of the first VST, counted in the window of visual tokens and VSTs together.
        stride: distance between neighbouring VSTs (ratio + 1).
        count: VSTs that stand at that stride.
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
    def _slice(self) -> slice:
        return slice(
            self.first, self.first + self.stride * (self.count - 1) + 1 if self.count else self.first, self.stride
        )

    def take(self, x: Tensor, dim: int = 1) -> Tensor:
        """Return the entries of the VSTs from [..., length, ...]."""
        before = (slice(None),) * dim
        strided = x[(*before, self._slice)]
        return torch.cat([strided, x[(*before, slice(self.length - 1, None))]], dim) if self.tail else strided

    def put(self, x: Tensor, entries: Tensor) -> None:
        """Overwrite the entries of the VSTs in x [b, length, ...], in place (autograd follows)."""
        x[:, self._slice] = entries[:, : self.count]
        if self.tail:
            x[:, -1] = entries[:, -1]

    def is_vst(self) -> np.ndarray:
        """Return a boolean array [length], true at VSTs."""
        mask = np.zeros(self.length, bool)
        mask[self._slice] = True
        mask[self.length - self.tail :] = True
        return mask

    def interleave(self, raw: Tensor, vst: Tensor) -> Tensor:
        """Return [b, length, h] from visual tokens [b, num_raw, h] and the VST embedding [1, h]."""
        parts = torch.cat([raw, vst.to(raw.dtype).expand(len(raw), self.num_vst, -1)], dim=1)
        return parts.index_select(1, _interleave_order(self, raw.device))


@functools.lru_cache(maxsize=64)
def _interleave_order(layout: VSTLayout, device: torch.device) -> Tensor:
    """Return the index that interleaves visual tokens followed by VSTs; cached, as windows share few layouts."""
    is_vst = layout.is_vst()
    order = np.where(is_vst, layout.num_raw + np.cumsum(is_vst) - 1, np.cumsum(~is_vst) - 1)
    return torch.from_numpy(order).to(device)


class KeyValueStore(Protocol):
    """What attention reads from and writes to. Keys are rotated already; shapes are [b, kv_heads, n, d]."""

    length: int

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stored keys and values followed by the given ones."""

    def keep(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Store keys and values for later forwards; they count once `advance` is called."""

    def advance(self, count: int) -> None:
        """Let the `count` slots that every layer has kept become part of the memory."""


def rope_theta(config: Qwen2Config) -> float:
    """Return the base of the rotation angles. (transformers 5 keeps it in a dictionary.)"""
    return (config.rope_parameters or {}).get("rope_theta") or 10000.0


def rotary_tables(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosine and sine in float32, [1 or b, 1, n, head_dim], for positions [n] or [b, n].

    Always float32: 16-bit tables, as the reference builds them in half precision, are off by whole periods' parts at
    positions in the tens of thousands.
    """
    powers = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    angles = positions.view(-1, 1, positions.shape[-1], 1).float() * (1.0 / theta**powers)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Return x [b, heads, n, d] rotated by `rotary_tables`, computed in float32, in x's dtype."""
    cos, sin = tables
    return (x * cos + rotate_half(x) * sin).to(x.dtype)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Return softmax(q k / sqrt(d) + bias) v for grouped heads, without repeating keys or values in memory.

    One rule picks the kernel. On the CPU, while the scores are small, plain products: as fast as the fused kernel in
    float32 and 2 to 4 times faster in bfloat16, forward and backward. Otherwise torch's fused attention.

    Args:
        query: [b, heads, n, d].
        key: [b, kv_heads, l, d]; `value` alike.
        bias: added to the scores, [1 or b, 1, n, l]; None lets every query see everything.

    Returns:
        [b, heads, n, d].
    """
    batch, heads, num_queries, head_dim = query.shape
    kv_heads, num_keys = key.shape[1:3]
    groups = heads // kv_heads
    if query.device.type == "cpu" and batch * heads * num_queries * num_keys <= _MAX_PLAIN_SCORES:
        folded = (query * head_dim**-0.5).reshape(batch, kv_heads, groups * num_queries, head_dim)
        scores = folded @ key.transpose(-1, -2)
        if bias is not None:
            scores = (scores.unflatten(2, (groups, num_queries)) + bias.unsqueeze(1)).flatten(2, 3)
        return (scores.softmax(-1).to(value.dtype) @ value).view(batch, heads, num_queries, head_dim)
    if bias is None:  # every query alike: the heads of a group become queries of their shared key head
        folded = query.reshape(batch, kv_heads, groups * num_queries, head_dim)
        return F.scaled_dot_product_attention(folded, key, value).reshape(batch, heads, num_queries, head_dim)
    # Key heads join the batch, and the group is an expanded dimension of stride 0: nothing is copied.
    key, value = (t.reshape(batch * kv_heads, 1, num_keys, head_dim).expand(-1, groups, -1, -1) for t in (key, value))
    grouped = query.reshape(batch * kv_heads, groups, num_queries, head_dim)
    if len(bias) > 1:
        bias = bias.repeat_interleave(kv_heads, dim=0)
    mixed = F.scaled_dot_product_attention(grouped, key, value, attn_mask=bias.to(query.dtype))
    return mixed.reshape(batch, heads, num_queries, head_dim)


class VSTAttention(Qwen2Attention):
    """Qwen2 attention whose VSTs have their own query, key and value projections."""

    def __init__(self, config: Qwen2Config, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        for name in "qkv":
            base = getattr(self, f"{name}_proj")
            self.add_module(f"beacon_{name}_proj", nn.Linear(base.in_features, base.out_features))

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None,
        past_key_values: KeyValueStore,
        kept_embeddings: tuple[Tensor, Tensor] | None = None,
        layout: VSTLayout | None = None,
        keep: bool = True,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Attend to the store and to the tokens themselves, and leave in the store what is to be kept.

        Without a layout all tokens are kept. With one, only the VSTs are: their keys are rotated once, to the place
        that they will have in memory, which never changes.
        """
        query, key, value = (self._project(name, hidden_states, layout) for name in "qkv")
        rotated = rotate(key, position_embeddings)
        keys, values = past_key_values.extend(self.layer_idx, rotated, value)
        mixed = attend(rotate(query, position_embeddings), keys, values, attention_mask)
        if layout is not None and kept_embeddings is not None:
            kept_keys = rotate(layout.take(key, dim=2), kept_embeddings)
            past_key_values.keep(self.layer_idx, kept_keys, layout.take(value, dim=2))
        elif keep:
            past_key_values.keep(self.layer_idx, rotated, value)
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), None

    def _project(self, name: str, hidden: Tensor, layout: VSTLayout | None) -> Tensor:
        """Return [b, heads, n, d]: the plain projection, replaced at VSTs by theirs."""
        projected = getattr(self, f"{name}_proj")(hidden)
        if layout is not None:
            layout.put(projected, getattr(self, f"beacon_{name}_proj")(layout.take(hidden)))
        return projected.unflatten(2, (-1, self.head_dim)).transpose(1, 2)


class VSTQwen2(Qwen2ForCausalLM):
    """Qwen2 with VSTs. Its parameters have the names of the published checkpoint."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        for index, layer in enumerate(self.model.layers):
            layer.self_attn = VSTAttention(config, index)
        self.model.beacon_embed_tokens = nn.Embedding(1, config.hidden_size)
        # Rotation tables come from `rotary_tables`: a buffer would be cast to 16 bit with the weights.
        del self.model.rotary_emb
        self.apply(self._init_weights)
        self.reset_vst()

    @torch.no_grad()
    def reset_vst(self) -> None:
        """Set the VST parameters as before training: projections from q, k, v and the embedding from the eos token."""
        for layer in self.model.layers:
            for name in "qkv":
                source = getattr(layer.self_attn, f"{name}_proj").state_dict()
                getattr(layer.self_attn, f"beacon_{name}_proj").load_state_dict(source)
        eos = self.config.eos_token_id
        row = (eos[0] if isinstance(eos, list) else eos) or 0
        self.model.beacon_embed_tokens.weight.copy_(self.model.embed_tokens.weight[row : row + 1])

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.model.layers[0].self_attn.head_dim

    def embed(self, token_ids: Tensor) -> Tensor:
        """Return the embeddings [b, n, h] of text tokens [b, n]."""
        return self.model.embed_tokens(token_ids)

    def embed_window(self, tokens: Tensor, layout: VSTLayout) -> Tensor:
        """Return visual tokens [b, n, h] with VSTs between them, [b, layout.length, h]."""
        # Through the module, not its weight: where layers are spread over devices, that may be elsewhere.
        vst = self.model.beacon_embed_tokens(torch.zeros(1, dtype=torch.long, device=tokens.device))
        return layout.interleave(tokens, vst.to(tokens.device))

    def forward(  # the token-level forward of Qwen2 does not apply: nothing here is inferred from a cache
        self,
        inputs_embeds: Tensor,
        position_ids: Tensor,
        store: KeyValueStore,
        layout: VSTLayout | None = None,
        kept_position_ids: Tensor | None = None,
        mask: Tensor | None = None,
        keep: bool = True,
    ) -> Tensor:
        """Read some tokens after what the store holds.

        The caller calls `store.advance` afterwards if what was kept shall count.

        Args:
            inputs_embeds: [b, n, h].
            position_ids: [n] or [b, n].
            store: keys and values read so far; it is given the new ones to keep.
            layout: where the VSTs stand, if this is a window; then only they are kept.
            kept_position_ids: positions in memory of the kept VSTs, [num_vst].
            mask: bool [b, 1, n, store.length + n], true where a query may look. None: everything in the store, and
                causally the tokens themselves.
            keep: False leaves the store as it was (for text without a layout).

        Returns:
            Hidden states after the final norm, [b, n, h]; `lm_head` turns those that are asked for into logits.
        """
        tables = functools.partial(rotary_tables, head_dim=self.head_dim, theta=rope_theta(self.config))
        context = {
            "position_embeddings": tables(position_ids),
            "kept_embeddings": None if kept_position_ids is None else tables(kept_position_ids),
            "attention_mask": self._bias(inputs_embeds, store.length, mask),
            "past_key_values": store,
            "layout": layout,
            "keep": keep,
        }
        hidden = inputs_embeds
        for layer in self.model.layers:
            hidden = layer(hidden, **context)
        return self.model.norm(hidden)

    @staticmethod
    def _bias(embeds: Tensor, num_stored: int, mask: Tensor | None) -> Tensor | None:
        """Return what is added to all layers' scores, [1 or b, 1, n, stored + n]."""
        num_tokens, device = embeds.shape[1], embeds.device
        if mask is None:
            if num_tokens == 1:
                return None
            # SDPA's own is_causal is aligned to the upper left: it would hide most of the memory.
            columns = torch.arange(num_stored + num_tokens, device=device)
            mask = (columns <= columns[num_stored:, None])[None, None]
        dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else embeds.dtype
        # The lowest number, not infinity: a row that may look nowhere (padding) then gives numbers, not NaN.
        return torch.zeros((), dtype=dtype, device=device).where(mask, torch.finfo(dtype).min)
