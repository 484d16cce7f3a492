"""The probe, and what is cached between forwards."""

import pytest
import torch
from tiny_models import language
from torch.nn.attention.bias import CausalBias

from videoxl.engine.generate import read
from videoxl.memory.stores import BufferStore, GrowingStore
from videoxl.network import attention, interleave, qwen2, rotary
from videoxl.planning.layout import VSTLayout


class LastTwo:
    def __init__(self) -> None:
        self.seen: dict[int, torch.Tensor] = {}

    def rows(self, num_queries: int) -> slice:
        return slice(num_queries - 2, num_queries)

    def take(self, layer: int, weights: torch.Tensor) -> None:
        self.seen[layer] = weights


@pytest.mark.parametrize("limit", [1 << 24, 0])  # plain products, fused kernel
@torch.no_grad()
def test_the_probe_sees_the_weights_that_were_used(monkeypatch, limit) -> None:
    monkeypatch.setattr(attention, "_MAX_PLAIN_SCORES", limit)
    model, probe = language(), LastTwo()
    store = BufferStore(30)
    read(model, store, torch.arange(12)[None])
    ids = torch.arange(100, 109)[None]
    positions = torch.arange(12, 21)
    expected = model(model.embed(ids), positions, store, keep=False)
    mixed = []

    def attend(*arguments: torch.Tensor) -> torch.Tensor:
        mixed.append(attention.attend(*arguments))
        return mixed[-1]

    monkeypatch.setattr(qwen2, "attend", attend)
    assert torch.equal(model(model.embed(ids), positions, store, keep=False, probe=probe), expected)
    for index, weights in probe.seen.items():
        assert weights.shape == (1, 4, 2, 21) and weights.dtype == torch.float32
        torch.testing.assert_close(weights.sum(-1), torch.ones(1, 4, 2))
        assert (weights[:, :, 0, 20] == 0).all()  # the last token but one does not see the last
        # Weights times values is what the layer made of them.
        store.length = 21
        values = store.layers()[index][1].repeat_interleave(2, dim=1)
        store.length = 12
        torch.testing.assert_close(weights @ values, mixed[index][:, :, -2:], atol=1e-5, rtol=1e-4)
    assert list(probe.seen) == [0, 1]


@pytest.mark.parametrize("num_keys", [5, 128, 300, 1024])
def test_a_sum_in_pieces_is_the_sum(num_keys: int) -> None:
    weights = torch.randn(2, 3, 7, num_keys).softmax(-1)
    values = torch.randn(2, 3, 1100, 16)[:, :, :num_keys]  # a view of longer buffers
    torch.testing.assert_close(attention._in_pieces(weights, values), weights @ values)
    halves = attention._in_pieces(weights.bfloat16(), values.bfloat16())
    assert halves.dtype == torch.bfloat16
    torch.testing.assert_close(halves.float(), weights @ values, atol=0.02, rtol=0.02)


def test_what_inference_mode_has_cached_does_not_break_training() -> None:
    interleave._order.cache_clear()
    rotary._frequencies.cache_clear()
    layout = VSTLayout(12, 4, 5, 3)
    model = language()
    with torch.inference_mode():
        model.embed_window(torch.randn(1, 12, 32), layout)
    tokens = torch.randn(1, 12, 32, requires_grad=True)
    embeds = model.embed_window(tokens, layout)
    model(embeds, torch.arange(15), GrowingStore(), layout=layout, kept_positions=torch.arange(3)).sum().backward()
    assert tokens.grad is not None and tokens.grad.abs().sum() > 0


@torch.no_grad()
def test_flash_attention_is_told_what_is_causal_and_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU torch computes what a GPU's kernel does by other means: the words must mean the same."""
    model, tokens = language(), torch.randn(1, 12, 32)
    layout = VSTLayout(12, 4, 5, 3)
    results = []
    for has_flash in (False, True):
        monkeypatch.setattr(attention, "_has_flash", lambda device, dtype, has=has_flash: has)
        probe, store = LastTwo(), BufferStore(40)
        read(model, store, torch.arange(9)[None])
        kept = torch.arange(9, 12)
        window = model(model.embed_window(tokens, layout), torch.arange(9, 24), store, layout, kept)
        store.advance(3)
        question = read(model, store, torch.arange(100, 107)[None], probe)
        results.append([window, question, *(pair[0] for pair in store.layers()), *probe.seen.values()])
    assert isinstance(attention.causal_bias(3, 2, None, torch.float32, torch.device("cpu")), CausalBias)
    for plain, told in zip(*results, strict=True):
        torch.testing.assert_close(told, plain, atol=1e-5, rtol=1e-4)
