"""The language model against transformers' Qwen2 and against plain loops."""

import numpy as np
import pytest
import torch
from tiny_models import language, language_config, oracle

from videoxl.engine.generate import read
from videoxl.memory.stores import BufferStore, GrowingStore
from videoxl.network import attention
from videoxl.network.attention import attend
from videoxl.network.interleave import interleave, put_vsts, take_vsts
from videoxl.network.qwen2 import VSTQwen2
from videoxl.network.rotary import rotary_tables, rotate
from videoxl.planning.layout import VSTLayout


@pytest.fixture(scope="module")
def pair():
    """transformers' Qwen2 and ours with the same weights."""
    plain = oracle(language_config())
    ours = language()
    missing, unexpected = ours.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and all("beacon" in name for name in missing)
    return plain, ours


@pytest.mark.parametrize("pieces", [[60], [1, 59], [20, 20, 20], [50, 1, 1, 8]])
@torch.no_grad()
def test_pieces_equal_one_pass_of_qwen2(pair, pieces):
    plain, ours = pair
    ids = torch.randint(0, 300, (1, 60))
    store = BufferStore(60)
    logits = torch.cat([ours.lm_head(read(ours, store, part)) for part in ids.split(pieces, dim=1)], dim=1)
    torch.testing.assert_close(logits, plain(ids).logits, atol=3e-4, rtol=1e-4)


@torch.no_grad()
def test_explicit_mask_packs_questions(pair):
    _, ours = pair
    memory = GrowingStore()
    ours(ours.embed(torch.randint(0, 300, (2, 9))), torch.arange(9), memory)
    memory.advance(9)
    questions = [torch.randint(0, 300, (2, n)) for n in (4, 6)]
    alone = [ours(ours.embed(q), torch.arange(9, 9 + q.shape[1]), memory, keep=False) for q in questions]
    positions = torch.cat([torch.arange(9, 13), torch.arange(9, 15)]).expand(2, -1)
    mask = torch.zeros(2, 1, 10, 19, dtype=torch.bool)
    mask[..., :9] = True
    mask[:, :, :4, 9:13] = torch.ones(4, 4, dtype=torch.bool).tril()
    mask[:, :, 4:, 13:] = torch.ones(6, 6, dtype=torch.bool).tril()
    packed = ours(ours.embed(torch.cat(questions, dim=1)), positions, memory, mask=mask, keep=False)
    torch.testing.assert_close(packed, torch.cat(alone, dim=1), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_rows_that_may_look_nowhere_give_numbers(pair):
    _, ours = pair
    mask = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    mask[0, 0, :3, :3] = torch.ones(3, 3, dtype=torch.bool).tril()
    hidden = ours(ours.embed(torch.arange(5)[None]), torch.arange(5), GrowingStore(), mask=mask, keep=False)
    assert hidden.isfinite().all()


LAYOUTS = [VSTLayout(12, 4, 5, 3), VSTLayout(12, 2, 5, 3), VSTLayout(10, 4, 5, 2, True), VSTLayout(3, 8, 9, 0, True)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_slices_agree_with_its_mask(layout):
    is_vst = layout.is_vst()
    assert len(is_vst) == layout.length
    assert is_vst.sum() == layout.num_vst
    x = torch.randn(2, layout.length, 3)
    torch.testing.assert_close(take_vsts(x, layout), x[:, is_vst])
    torch.testing.assert_close(take_vsts(x.transpose(0, 1).unsqueeze(0), layout)[0], x.transpose(0, 1)[is_vst])
    y, entries = x.clone(), torch.randn(2, layout.num_vst, 3)
    put_vsts(y, entries, layout)
    torch.testing.assert_close(y[:, is_vst], entries)
    torch.testing.assert_close(y[:, ~is_vst], x[:, ~is_vst])
    raw, vst = torch.randn(2, layout.num_raw, 3), torch.randn(1, 3)
    mixed = interleave(raw, vst, layout)
    torch.testing.assert_close(mixed[:, ~is_vst], raw)
    assert (mixed[:, is_vst] == vst).all()


@torch.no_grad()
def test_a_window_equals_a_loop_over_tokens():
    """Each token on its own, with its own projections, in float64, seeing what the definition says that it sees."""
    model = language().double()
    layout = VSTLayout(10, 4, 5, 2, True)
    raw = torch.randn(1, 10, 32, dtype=torch.float64)
    prefix = torch.randint(0, 300, (1, 3))
    store = BufferStore(40)
    read(model, store, prefix)
    positions, kept = torch.arange(3, 16), torch.arange(3, 6)
    hidden = model(model.embed_window(raw, layout), positions, store, layout=layout, kept_positions=kept)

    is_vst = np.concatenate([np.zeros(3, bool), layout.is_vst()])
    states = list(torch.cat([model.embed(prefix)[0], model.embed_window(raw, layout)[0]]))
    for index, layer in enumerate(model.model.layers):
        module = layer.self_attn
        normed = [layer.input_layernorm(state) for state in states]
        project = [
            [getattr(module, f"{'beacon_' if vst else ''}{kind}_proj")(x).view(-1, 8) for kind in "qkv"]
            for x, vst in zip(normed, is_vst, strict=True)
        ]
        turned = [
            [rotate(t[None, :, None], rotary_tables(torch.tensor([p]), 8, 10000.0))[0, :, 0] for t in (q, k)]
            for p, (q, k, _) in enumerate(project)
        ]
        for n in range(len(states)):
            heads = []
            for head in range(4):
                scores = torch.stack([turned[n][0][head] @ turned[m][1][head // 2] for m in range(n + 1)]) / 8**0.5
                values = torch.stack([project[m][2][head // 2] for m in range(n + 1)])
                heads.append(scores.softmax(0) @ values)
            mixed = states[n] + module.o_proj(torch.cat(heads))
            states[n] = mixed + layer.mlp(layer.post_attention_layernorm(mixed))
        store.length = 6  # as after advance(3): look at what was kept
        keys, values = store.layers()[index]
        store.length = 3
        vsts = [m for m in range(16) if is_vst[m]]
        for slot, m in enumerate(vsts):
            at_slot = rotate(project[m][1][None, :, None], rotary_tables(torch.tensor([3 + slot]), 8, 10000.0))
            torch.testing.assert_close(keys[:, :, 3 + slot], at_slot[:, :, 0], atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(values[0, :, 3 + slot], project[m][2])
    torch.testing.assert_close(hidden[0], model.model.norm(torch.stack(states[3:])), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("queries", [1, 7])
def test_attention_kernels_agree(monkeypatch, queries, per_row):
    query, key, value = torch.randn(2, 6, queries, 8), torch.randn(2, 2, 11, 8), torch.randn(2, 2, 11, 8)
    bias = torch.randn(2 if per_row else 1, 1, queries, 11)
    repeated = (t.repeat_interleave(3, dim=1) for t in (key, value))
    keys, values = repeated
    for added in (bias, None):
        scores = query @ keys.transpose(-1, -2) / 8**0.5 + (0 if added is None else added)
        expected = scores.softmax(-1) @ values
        for limit in (1 << 24, 0):  # plain products, fused kernel
            monkeypatch.setattr(attention, "_MAX_PLAIN_SCORES", limit)
            torch.testing.assert_close(attend(query, key, value, added), expected, atol=1e-5, rtol=1e-4)


def test_rotation_stays_in_float32():
    tables = rotary_tables(torch.tensor([40000, 40001]), 8, 1e6)
    assert tables[0].dtype == torch.float32
    # The angle between neighbours survives at far positions, and in a model that was cast to 16 bit.
    near = rotary_tables(torch.tensor([0, 1]), 8, 1e6)
    x = torch.ones(1, 1, 2, 8)
    far_product = (rotate(x, tables)[..., 0, :] * rotate(x, tables)[..., 1, :]).sum()
    torch.testing.assert_close(
        far_product, (rotate(x, near)[..., 0, :] * rotate(x, near)[..., 1, :]).sum(), atol=1e-2, rtol=0
    )
    assert rotate(x.bfloat16(), tables).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_is_close(dtype):
    exact, half = language(), language().to(dtype)
    ids = torch.randint(0, 300, (1, 20))
    difference = read(exact, BufferStore(20), ids) - read(half, BufferStore(20), ids)
    assert difference.std() < 0.1  # of states with standard deviation 1


def test_vst_parameters_start_from_their_counterparts():
    model = VSTQwen2(language_config())
    model.initialise(0.3, vst_token=2)
    attention = model.layers[1].self_attn
    for kind in "qkv":
        torch.testing.assert_close(
            getattr(attention, f"beacon_{kind}_proj").weight, getattr(attention, f"{kind}_proj").weight
        )
    torch.testing.assert_close(model.model.beacon_embed_tokens.weight[0], model.model.embed_tokens.weight[2])
