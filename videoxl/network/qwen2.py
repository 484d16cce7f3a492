"""Qwen2 with VST projections: the language model that reads windows of visual tokens and leaves keys and values behind.

A window interleaves visual tokens with visual summarization tokens (VSTs; "beacon" in weight names). VSTs have their
own query, key and value projections in every layer; all else is Qwen2 (Video-XL, arXiv 2409.14485, section 3.2). The
layers are plain torch and depend on no other library's; parameters have the names of the published checkpoint.
Nothing here decides where VSTs are or which positions tokens have: the windows' plan does, and it is passed down.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.bias import CausalBias

from ..config import LanguageConfig
from ..planning.layout import VSTLayout
from .attention import AttentionProbe, KeyValueStore, attend, causal_bias, fused_kernels, probe_weights
from .interleave import interleave, put_vsts, take_vsts
from .rotary import Tables, rotary_tables, rotate


@dataclass(frozen=True)
class _Pass:
    """What all layers of one forward share."""

    batch: int
    num_tokens: int
    tables: Tables
    kept_tables: Tables | None
    bias: Tensor | None
    store: KeyValueStore
    layout: VSTLayout | None
    keep: bool
    probe: AttentionProbe | None

    def to(self, device: torch.device) -> "_Pass":
        """Return it with its tensors on a device."""
        cos, sin = self.tables
        kept = self.kept_tables
        return replace(
            self,
            tables=(cos.to(device), sin.to(device)),
            kept_tables=None if kept is None else (kept[0].to(device), kept[1].to(device)),
            bias=self.bias if self.bias is None or isinstance(self.bias, CausalBias) else self.bias.to(device),
        )


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in float32 and scaled in the input's dtype, as Qwen2 does."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self._eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return x [..., size] normed."""
        weight = self.weight
        if x.dtype == weight.dtype == torch.float32:
            return F.rms_norm(x, weight.shape, weight, self._eps)
        return weight * F.rms_norm(x, weight.shape, eps=self._eps)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Return what the layer makes of x, [..., in] or [in]; without the module's call: that is long for one token."""
    weight, bias = layer.weight, layer.bias
    if x.ndim > 1:
        return F.linear(x, weight, bias)
    return weight.mv(x) if bias is None else torch.addmv(bias, weight, x)


class VSTAttention(nn.Module):
    """Qwen2 attention whose VSTs have their own query, key and value projections."""

    def __init__(self, config: LanguageConfig, layer: int) -> None:
        super().__init__()
        self._layer, self._head_dim = layer, config.head_dim
        # An optimiser's state knows parameters by their order alone, so this order and that of `_Layers` must stay.
        self._add_projections("", config)
        self.o_proj = nn.Linear(config.num_attention_heads * config.head_dim, config.hidden_size, bias=False)
        self._add_projections("beacon_", config)

    def _add_projections(self, prefix: str, config: LanguageConfig) -> None:
        sizes = {"q": config.num_attention_heads, "k": config.num_key_value_heads, "v": config.num_key_value_heads}
        for name, heads in sizes.items():
            self.add_module(f"{prefix}{name}_proj", nn.Linear(config.hidden_size, heads * config.head_dim))

    def forward(self, hidden: Tensor, shared: _Pass) -> Tensor:
        """Attend to the store and to the tokens themselves, and leave in the store what is to be kept.

        Without a layout all tokens are kept. With one, only the VSTs are: their keys are rotated once, to the position
        that they will have in memory, which never changes.
        """
        layout, store = shared.layout, shared.store
        query, key, value = (self._project(name, hidden, shared) for name in "qkv")
        rotated = rotate(key, shared.tables)
        query = rotate(query, shared.tables)
        keys, values = store.extend(self._layer, rotated, value)
        mixed = attend(query, keys, values, shared.bias)
        if shared.probe is not None:
            rows = shared.probe.rows(query.shape[2])
            shared.probe.take(self._layer, probe_weights(query, keys, shared.bias, rows))
        if layout is not None and shared.kept_tables is not None:
            store.keep(self._layer, rotate(take_vsts(key, layout, 2), shared.kept_tables), take_vsts(value, layout, 2))
        elif shared.keep:
            store.keep(self._layer, rotated, value)
        return _linear(self.o_proj, mixed.transpose(1, 2).reshape(*hidden.shape[:-1], -1))

    def _project(self, name: str, hidden: Tensor, shared: _Pass) -> Tensor:
        """Return [b, heads, n, d]: the plain projection, replaced at VSTs by theirs."""
        layout = shared.layout
        projected = _linear(getattr(self, f"{name}_proj"), hidden)
        if layout is not None:
            put_vsts(projected, _linear(getattr(self, f"beacon_{name}_proj"), take_vsts(hidden, layout)), layout)
        return projected.view(shared.batch, shared.num_tokens, -1, self._head_dim).transpose(1, 2)


class SwiGLU(nn.Module):
    """The gated feed-forward part of a layer."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., hidden] from [..., hidden]."""
        return _linear(self.down_proj, F.silu(_linear(self.gate_proj, x)) * _linear(self.up_proj, x))


class DecoderLayer(nn.Module):
    """One layer: attention and feed-forward, each after a norm and added to its input."""

    def __init__(self, config: LanguageConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = VSTAttention(config, layer)
        self.mlp = SwiGLU(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: Tensor, shared: _Pass) -> Tensor:
        """Return [b, n, h] from [b, n, h]."""
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), shared)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class _Layers(nn.Module):
    """Everything but the head: the part whose published names start with `model.`."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, index) for index in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.beacon_embed_tokens = nn.Embedding(1, config.hidden_size)


class VSTQwen2(nn.Module):
    """Qwen2 with VSTs.

    Args:
        config: its sizes. Weights are torch's defaults until they are loaded or `initialise` is called.
    """

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Layers(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie_weights()

    def tie_weights(self) -> None:
        """Let the head share the embedding's weights, if the model is made so."""
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    @torch.no_grad()
    def initialise(self, std: float, vst_token: int) -> None:
        """Set all weights as before training: normal with this deviation; biases zero.

        VSTs start as the reference's do: projections from q, k, v, and the embedding from a token's (the eos token).
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for layer in self.layers:
            for name in "qkv":
                source = layer.self_attn.get_submodule(f"{name}_proj").state_dict()
                layer.self_attn.get_submodule(f"beacon_{name}_proj").load_state_dict(source)
        self.model.beacon_embed_tokens.weight.copy_(self.model.embed_tokens.weight[vst_token : vst_token + 1])

    @property
    def layers(self) -> Sequence[DecoderLayer]:
        """The decoder layers, in order."""
        return self.model.layers  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        """Where token ids and embeddings go."""
        return self.model.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.model.embed_tokens.weight.dtype

    def embed(self, token_ids: Tensor) -> Tensor:
        """Return the embeddings [b, n, h] of text tokens [b, n]."""
        return self.model.embed_tokens(token_ids)

    def embed_window(self, tokens: Tensor, layout: VSTLayout) -> Tensor:
        """Return visual tokens [b, n, h] with VSTs between them, [b, layout.length, h]."""
        return interleave(tokens, self.model.beacon_embed_tokens.weight.to(tokens.device), layout)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 logits [..., vocab] on the embeddings' device, from hidden states [..., h]."""
        # Where layers are spread over devices, the head is not where the tokens are.
        return self.lm_head(hidden.to(self.lm_head.weight.device)).to(self.device, torch.float32)

    def forward(
        self,
        embeds: Tensor,
        positions: Tensor,
        store: KeyValueStore,
        layout: VSTLayout | None = None,
        kept_positions: Tensor | None = None,
        mask: Tensor | None = None,
        keep: bool = True,
        probe: AttentionProbe | None = None,
    ) -> Tensor:
        """Read some tokens after what the store holds.

        The caller calls `store.advance` afterwards for what was kept to count. Layers may be on several devices:
        the hidden states go where each layer's weights are.

        Args:
            embeds: [b, n, h].
            positions: [n] or [b, n].
            store: keys and values read so far; it is given the new ones to keep.
            layout: where the VSTs are, if this is a window; then only they are kept.
            kept_positions: positions in memory of the kept VSTs, [num_vst].
            mask: bool [b, 1, n, store.length + n], true where a query may look. None: everything in the store, and
                causally the tokens themselves.
            keep: False leaves the store as it was (for text without a layout).
            probe: looks at attention weights.

        Returns:
            Hidden states after the final norm, [b, n, h]; `logits` turns those that are asked for into logits.
        """
        config, device = self.config, embeds.device
        autocast = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if autocast else embeds.dtype
        shared = _Pass(
            embeds.shape[0],
            embeds.shape[1],
            rotary_tables(positions, config.head_dim, config.rope_theta),
            None if kept_positions is None else rotary_tables(kept_positions, config.head_dim, config.rope_theta),
            causal_bias(store.length, embeds.shape[1], mask, dtype, device),
            store,
            layout,
            keep,
            probe,
        )
        # A single token goes as a vector: its products with matrices are quicker than those of a matrix with one row.
        is_vector = embeds.shape[:2] == (1, 1) and device.type == "cpu" and not autocast
        hidden = embeds.view(-1) if is_vector else embeds
        with fused_kernels(device):
            for layer in self.layers:
                home = layer.input_layernorm.weight.device
                if home != hidden.device:
                    hidden, shared = hidden.to(home), shared.to(home)
                hidden = layer(hidden, shared)
        return self.model.norm(hidden.to(self.model.norm.weight.device)).view(embeds.shape)
