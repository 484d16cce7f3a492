"""Recordings of the reference, through the script that a user would run; and that the script notices broken code."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from videoxl.network import vision
from videoxl.planning import windows

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "data" / "parity"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("check_parity", ROOT / "scripts" / "check_parity.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["check_parity"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_all_recordings_agree(script, capsys):
    assert script.main([str(GOLDEN)]) == 0
    printed = capsys.readouterr().out
    cases = ["preprocess", "r16_tail_lt_ratio", "r32_leak", "rep_penalty", "select_layer_m1", "text_only", "train_r4"]
    for case in [*cases, "video_bank"]:
        assert f"\n{case}" in f"\n{printed}"
    assert "0 off" in printed


def break_position(monkeypatch):
    right = windows.WindowPlan.kept_positions.fget
    moved = property(lambda plan: range(right(plan).start + 1, right(plan).stop + 1))
    monkeypatch.setattr(windows.WindowPlan, "kept_positions", moved)


def break_window_position(monkeypatch):
    right = windows.WindowPlan.positions.fget
    moved = property(lambda plan: range(right(plan).start + 1, right(plan).stop + 1))
    monkeypatch.setattr(windows.WindowPlan, "positions", moved)


def break_carry(monkeypatch):
    right = windows.WindowPlanner.next

    def forgetful(planner, num_tokens):
        planner._carry = 0
        return right(planner, num_tokens)

    monkeypatch.setattr(windows.WindowPlanner, "next", forgetful)


def break_activation(monkeypatch):
    monkeypatch.setitem(vision._ACTIVATIONS, "quick_gelu", nn.GELU)


@pytest.mark.parametrize(
    ("sabotage", "case", "quantity"),
    [
        (break_position, "rep_penalty", "memory keys"),
        (break_window_position, "rep_penalty", "window positions"),
        (break_carry, "r32_leak", "final logits"),
        (break_activation, "video_bank", "clip_features_first4"),
    ],
)
def test_broken_code_is_noticed(script, monkeypatch, capsys, sabotage, case, quantity):
    sabotage(monkeypatch)
    assert script.main([str(GOLDEN)]) == 1
    off = [line for line in capsys.readouterr().out.splitlines() if line.endswith("OFF")]
    assert any(line.startswith(case) and quantity in line for line in off)


def test_unusable_folder(script, tmp_path, capsys):
    assert script.main([str(tmp_path)]) == 2
    (tmp_path / "checkpoint").symlink_to(GOLDEN / "checkpoint")
    assert script.main([str(tmp_path)]) == 2
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "cut.safetensors").write_bytes(
        (GOLDEN / "cases" / "train_r4.safetensors").read_bytes()[:5000]
    )
    assert script.main([str(tmp_path)]) == 2
    assert "cannot be used" in capsys.readouterr().err


def test_shapes_that_differ_are_off(script):
    report = script.Report()
    report.compare("case", "quantity", torch.zeros(2, 3), torch.zeros(2, 1), (1.0, 0.0))
    assert report.rows == [("case", "quantity", float("inf"), "1", False)]
