"""The training loop: it can be stopped anywhere, and its parts do what they say."""

import dataclasses
import shutil

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from videoxl.nano.trainer import StageConfig, convolutions_as_before, convolutions_as_matrices, rate, run_stage


class _Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out_head = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.out_head(torch.tanh(self.hidden(x)))


def _run(folder, steps, stop=None, **changes):
    torch.manual_seed(0)
    model = _Line()
    config = dataclasses.replace(StageConfig("line", steps=steps, log_every=5, warmup=5, save_seconds=0.0), **changes)

    def loss(module, step):
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        value = (module(x)[:, 0] - x.sum(1)).pow(2).mean()
        return value, {"loss": value.item()}

    lines = []
    for line in run_stage(model, loss, config, folder, Accelerator(cpu=True)):
        lines.append(line)
        if line["step"] == stop:
            break
    return model, lines


def test_a_stopped_run_ends_where_an_unbroken_one_does(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole, lines = _run(tmp_path / "whole", 20)
    _run(tmp_path / "broken", 20, stop=10)
    broken, rest = _run(tmp_path / "broken", 20)
    assert [line["step"] for line in rest][-1] == 20 and rest[0]["step"] in (10, 15)
    assert lines[-1]["loss"] < lines[0]["loss"]
    for a, b in zip(whole.parameters(), broken.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_line_has_the_means_of_the_steps_since_the_last(tmp_path):
    (tmp_path / "every").mkdir()
    (tmp_path / "fifth").mkdir()
    _, every = _run(tmp_path / "every", 10, log_every=1)
    _, fifth = _run(tmp_path / "fifth", 10)
    for place, line in enumerate(fifth):
        means = [line["loss"] for line in every[5 * place : 5 * place + 5]]
        assert line["loss"] == pytest.approx(sum(means) / 5, abs=1e-3)


@pytest.mark.parametrize("left", ["both", "old"])
def test_a_run_killed_while_it_saved_goes_on(tmp_path, left):
    _run(tmp_path, 20, stop=10)
    # A save is a folder written beside the last one, which then makes room: stopped before the new one took its place.
    (tmp_path / "line").rename(tmp_path / "line.old")
    if left == "both":
        shutil.copytree(tmp_path / "line.old", tmp_path / "line.new")
    _, rest = _run(tmp_path, 20)
    assert rest[0]["step"] in (10, 15)


def test_rate_warms_up_stays_and_falls():
    config = StageConfig("x", steps=100, warmup=10, decay=0.4)
    rates = [rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[30] == 1.0 and rates[99] < 0.01
    assert rates[60:] == sorted(rates[60:], reverse=True)


def test_convolutions_as_matrices_change_nothing_but_the_parameters():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
    x = torch.randn(2, 3, 9, 9)
    expected, names = net(x), [name for name, _ in net.named_parameters()]
    convolutions_as_matrices(net)
    assert [p.ndim for p in net[1].parameters()] == [1, 2]
    torch.testing.assert_close(net(x), expected)
    convolutions_as_before(net)
    assert sorted(name for name, _ in net.named_parameters()) == sorted(names)
    torch.testing.assert_close(net(x), expected)


def test_a_step_on_what_is_no_number_is_left_out(tmp_path):
    model = _Line()
    config = StageConfig("line", steps=6, log_every=6, warmup=1, save_seconds=1e9)

    def loss(module, step):
        value = module(torch.ones(2, 4)).square().mean() * (float("nan") if step == 2 else 1.0)
        return value, {"loss": 0.0}

    (line,) = run_stage(model, loss, config, tmp_path, Accelerator(cpu=True))
    assert line["skipped"] == pytest.approx(1 / 6, abs=1e-3)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
