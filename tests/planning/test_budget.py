"""What fits, and what the advice says where it does not."""

import re

import pytest
import torch
from tiny_models import language_config, model_config

from videoxl.errors import BudgetError
from videoxl.network import devices
from videoxl.network.devices import free_slots
from videoxl.planning.budget import Budget
from videoxl.planning.windows import RatioPolicy


def budget(positions=512, **changes):
    return Budget(model_config(language=language_config(max_position_embeddings=positions)), 14, 64, **changes)


@pytest.mark.parametrize(("num_tokens", "ratio"), [(100, 2), (800, 2), (1600, 4), (3000, 8), (6000, 16)])
def test_auto_is_the_smallest_that_fits(num_tokens, ratio):
    chosen = budget().choose(num_tokens, "auto")
    assert chosen.ratios == (ratio,) and chosen.cover
    assert budget().fits(budget().requirement(num_tokens, chosen))


def test_need_is_counted_to_the_slot():
    need = budget().requirement(100, RatioPolicy((8,)))  # windows of 32, 32, 32 and 4
    assert (need.slots, need.longest_window) == (14 + 4 + 4 + 4 + 1, 36)
    assert need.positions == 27 + 64


@pytest.mark.parametrize("ratio", [3, 32, 0, -2, 2.5, "many"])
def test_unknown_ratio(ratio):
    with pytest.raises(BudgetError, match="not among those of tiny") as caught:
        budget().choose(100, ratio)
    assert caught.value.advice == "Use auto, 2, 4, 8 or 16."


def test_a_larger_ratio_is_advised():
    with pytest.raises(BudgetError, match="ratio 2 need 1578 positions; tiny has 512") as caught:
        budget().choose(3000, 2)
    assert caught.value.advice == "Use ratio 8 or 16, or auto."


@pytest.mark.parametrize("ratio", [16, "auto"])
def test_fewer_frames_are_advised_and_fit(ratio):
    with pytest.raises(BudgetError) as caught:
        budget().choose(100_000, ratio)
    frames = int(re.search(r"at most (\d+) frames, at ratio 16", caught.value.advice)[1])
    assert budget().choose(frames * 4, 16)
    with pytest.raises(BudgetError):
        budget().choose((frames + 1) * 4, 16)


def test_device_memory_limits():
    # 14 slots of the prompt, those of the video, and 64 for question and answer behind them
    assert budget(free_slots=110).choose(256, "auto").ratios == (8,)
    assert budget(free_slots=109).choose(256, "auto").ratios == (16,)
    with pytest.raises(BudgetError, match="need 142 slots of memory; what is free on the device has room for 110") as e:
        budget(free_slots=110).choose(256, 4)
    assert "position" not in str(e.value) + e.value.advice and e.value.advice == "Use ratio 8 or 16, or auto."
    with pytest.raises(BudgetError) as e:
        budget(free_slots=60).choose(256, "auto")
    assert "position" not in str(e.value) + e.value.advice


def test_a_policy_that_does_not_fit():
    policy = RatioPolicy((2, 4), "sequence")
    with pytest.raises(BudgetError, match=r"at ratio 2 or 4 need \d+ positions; tiny has 512") as caught:
        budget().check(3200, policy, 32)
    assert caught.value.advice == "Use ratio 8 or 16, or auto."


def test_memory_that_torch_holds_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 20, 1 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 << 20)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1 << 20)
    slots = free_slots(model_config(), torch.device("cuda"), torch.float16)
    assert slots == (3 << 20) // (2 * 2 * 2 * 8 * 2)  # keys and values, layers, heads, width, bytes


def test_a_bound_counts_what_is_used_already(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 30, 1 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 << 20)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 3 << 20)
    monkeypatch.setattr(devices, "own_memory_bytes", lambda: 5 << 20)
    monkeypatch.setattr(devices, "free_memory_bytes", lambda: 1 << 30)
    slot_bytes = 2 * 2 * 2 * 8 * 2  # keys and values, layers, heads, width, bytes
    for device, used in (("cuda", 3 << 20), ("cpu", 5 << 20)):
        slots = {
            bound: free_slots(model_config(), torch.device(device), torch.float16, bound)
            for bound in (1 << 20, 10 << 20, 1 << 40)
        }
        assert [*slots.values()] == [0, ((10 << 20) - used) // slot_bytes, (1 << 30) // slot_bytes]


def test_a_prompt_alone_too_long():
    with pytest.raises(BudgetError) as caught:
        Budget(model_config(language=language_config(max_position_embeddings=60)), 14, 64).choose(8, "auto")
    assert "shorter prompt" in caught.value.advice


def test_free_memory_of_this_machine():
    slots = free_slots(model_config(), torch.device("cpu"), torch.float32)
    assert slots is None or slots * 2 * 2 * 2 * 8 * 4 < 1 << 50
