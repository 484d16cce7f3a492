"""Windows against a loop written from the definition, against recordings' lists, and condensing in its two modes."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import language

from videoxl.engine.condense import Condenser, condense_batch
from videoxl.errors import BudgetError
from videoxl.memory.stores import BufferStore
from videoxl.planning.windows import RatioPolicy, plan_windows, spans

MANIFEST = json.loads((Path(__file__).parents[1] / "data" / "parity" / "manifest.json").read_text())
VIDEOS = {name: about for name, about in MANIFEST.items() if "windows" in about}


@pytest.fixture(scope="module")
def model():
    return language()


def emit(num_tokens, window, ratio, cover):
    """The definition, token by token: per window, which of its tokens are VSTs and what each of them closes."""
    carry, index, windows = 0, 0, []
    for start in range(0, num_tokens, window):
        flags, covered, opened = [], [], index
        for _ in range(min(window, num_tokens - start)):
            flags.append(False)
            index += 1
            carry += 1
            if carry == ratio:
                flags.append(True)
                covered.append((opened, index))
                carry, opened = 0, index
        if cover and carry:
            flags.append(True)
            covered.append((opened, index))
            carry = 0
        windows.append((flags, covered))
    return windows


@pytest.mark.parametrize("cover", [True, False])
@pytest.mark.parametrize("ratio", [1, 2, 3, 5, 8, 16, 32])
@pytest.mark.parametrize(("num_tokens", "window"), [(96, 48), (100, 48), (3, 48), (97, 44), (1, 1), (0, 48), (200, 12)])
def test_plans_equal_the_definition(num_tokens, window, ratio, cover):
    memory_length = 7
    plans = list(plan_windows(num_tokens, window, RatioPolicy((ratio,), cover=cover), num_prefix=7))
    expected = emit(num_tokens, window, ratio, cover)
    assert len(plans) == len(expected)
    for plan, (flags, covered) in zip(plans, expected, strict=True):
        assert plan.memory_length == memory_length
        assert plan.num_vst == sum(flags)
        if any(flags):
            assert plan.layout.is_vst().tolist() == flags
            assert list(plan.positions) == list(range(memory_length, memory_length + len(flags)))
        else:
            assert plan.layout is None
        assert list(plan.kept_positions) == list(range(memory_length, memory_length + sum(flags)))
        assert plan.covered().tolist() == [list(pair) for pair in covered]
        memory_length += plan.num_vst


@pytest.mark.parametrize("ratio", [2, 3, 8, 16, 100])
@pytest.mark.parametrize(("num_tokens", "window"), [(96, 48), (101, 48), (5, 48)])
def test_own_policy_covers_every_token_once(num_tokens, window, ratio):
    covered = np.concatenate([p.covered() for p in plan_windows(num_tokens, window, RatioPolicy((ratio,)))])
    assert covered[0, 0] == 0 and covered[-1, 1] == num_tokens
    assert all(a[1] == b[0] for a, b in pairwise(covered.tolist()))


@pytest.mark.parametrize("name", VIDEOS)
def test_plans_equal_recordings(name):
    about = VIDEOS[name]
    policy = RatioPolicy(
        tuple(about["ratios"]), about["ratio_mix"] if len(about["ratios"]) > 1 else "fixed", cover=False
    )
    plans = list(plan_windows(about["n_visual_tokens"], about["window"], policy, about["skip_first"]))
    assert len(plans) == math.ceil(about["n_visual_tokens"] / about["window"])
    for plan, recorded in zip(plans, about["windows"][1 : 1 + len(plans)], strict=True):  # the rest is the question
        assert plan.num_vst == recorded["n_vst"]
        assert plan.num_tokens + plan.num_vst == recorded["tokens"]
        assert plan.memory_length == recorded["memory_before"]
        assert plan.remainder == recorded["remainder_after"]


def test_policies_start_afresh():
    for mix in ("sequence", "step-random", "instance-random"):
        policy = RatioPolicy((2, 4, 8), mix)
        first, second = ([plan.ratio for plan in plan_windows(480, 48, policy)] for _ in range(2))
        assert first == second
    assert len(set(first)) == 1
    assert {plan.ratio for plan in plan_windows(480, 48, RatioPolicy((2, 4, 8), "step-random"))} == {2, 4, 8}


@pytest.mark.parametrize(
    "wrong", [{"ratios": ()}, {"ratios": (0,)}, {"ratios": (2,), "mix": "often"}, {"ratios": (2, 4)}]
)
def test_impossible_policies(wrong):
    with pytest.raises(BudgetError):
        RatioPolicy(**wrong)


def test_no_ratio_divides_a_window():
    with pytest.raises(BudgetError, match="divides a window of 45"):
        list(plan_windows(45, 48, RatioPolicy((2, 4), "step-random")))


def condense(model, tokens, pieces, policy, window=16, prefix=5):
    store = BufferStore(200)
    condenser = Condenser(model, store, policy, window)
    condenser.read_prefix(torch.arange(prefix)[None])
    for piece in tokens.split(pieces, dim=1):
        condenser.feed(piece)
    condenser.finish()
    return store


@pytest.mark.parametrize("policy", [RatioPolicy((4,)), RatioPolicy((5,)), RatioPolicy((5,), cover=False)])
@torch.no_grad()
def test_feeding_in_pieces_changes_nothing(model, policy):
    tokens = torch.randn(1, 53, 32)
    whole = condense(model, tokens, 53, policy)
    for pieces in (1, 7, 16, 40):
        for ours, expected in zip(condense(model, tokens, pieces, policy).layers(), whole.layers(), strict=True):
            torch.testing.assert_close(ours, expected, atol=0, rtol=0)


@pytest.mark.parametrize("ratio", [4, 5])
def test_training_equals_inference(model, ratio):
    tokens = torch.randn(2, 53, 32)
    trained = condense_batch(model, tokens, torch.arange(5)[None], ratio, 16)
    for row in range(2):
        with torch.no_grad():
            inferred = condense(model, tokens[row : row + 1], 53, RatioPolicy((ratio,)))
        assert trained.length == inferred.length
        for ours, expected in zip(trained.layers(), inferred.layers(), strict=True):
            for a, b in zip(ours, expected, strict=True):
                torch.testing.assert_close(a[row : row + 1], b, atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_window_and_only_vst_tokens_count(model):
    tokens = torch.randn(1, 40, 32, requires_grad=True)
    memory = condense_batch(model, tokens, torch.arange(5)[None], RatioPolicy((8,), cover=False), 20)
    question = torch.arange(50, 56)[None]
    hidden = model(model.embed(question), torch.arange(memory.length, memory.length + 6), memory, keep=False)
    hidden[:, -1].square().sum().backward()
    reached = tokens.grad[0].abs().sum(1) > 0
    # Windows of 20 with ratio 8: VSTs after tokens 8 and 16, then (4 carried) after 24, 32 and 40.
    assert reached.tolist() == [True] * 16 + [False] * 4 + [True] * 20


def test_a_question_without_keep_leaves_the_memory(model):
    memory = condense_batch(model, torch.randn(1, 20, 32), torch.arange(5)[None], 4, 16)
    before = [(keys.clone(), values.clone()) for keys, values in memory.layers()]
    model(model.embed(torch.arange(3)[None]), torch.arange(memory.length, memory.length + 3), memory, keep=False)
    assert memory.length == 10
    for ours, expected in zip(memory.layers(), before, strict=True):
        torch.testing.assert_close(ours, expected, atol=0, rtol=0)


def test_autocast_to_bfloat16(model):
    with torch.autocast("cpu", torch.bfloat16):
        memory = condense_batch(model, torch.randn(1, 32, 32, requires_grad=True), torch.arange(5)[None], 4, 16)
    assert memory.layers()[0][0].dtype == torch.bfloat16
    memory.layers()[1][1].float().sum().backward()


def test_spans_are_times_of_first_and_last_covered_token():
    plans = list(plan_windows(10, 6, RatioPolicy((4,))))
    seconds = spans(plans, np.repeat(np.arange(5.0), 2))
    assert seconds.tolist() == [[0, 1], [2, 2], [3, 4]]
