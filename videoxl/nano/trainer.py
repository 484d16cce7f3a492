"""A training loop that can be stopped and resumed at any step, on whatever device `accelerate` finds.

Batches are functions of the step number alone, so a resumed run sees the data that an unbroken run would have seen.
"""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import parametrize

Metrics = dict[str, Any]
LossFunction = Callable[[nn.Module, int], tuple[Tensor, Metrics]]


@dataclass(frozen=True)
class StageConfig:
    """One stage of training.

    Args:
        name: names the checkpoint folder and the log.
        steps: optimiser steps.
        matrix_lr: learning rate of Muon, which takes the hidden layers' matrices.
        other_lr: learning rate of AdamW, which takes embeddings, heads, biases, norms and convolutions.
        warmup: steps of linear warm-up.
        decay: share of the steps, at the end, over which the rates fall to zero.
        save_seconds: time between checkpoints.
        log_every: steps between log lines.
    """

    name: str
    steps: int
    matrix_lr: float = 0.02
    other_lr: float = 2e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    warmup: int = 100
    decay: float = 0.4
    save_seconds: float = 120.0
    log_every: int = 50


def rate(step: int, config: StageConfig) -> float:
    """Return the factor on the learning rates: warm-up, plateau, cosine to zero."""
    tail = config.steps * config.decay
    left = config.steps - step
    falling = 0.5 - 0.5 * math.cos(math.pi * min(1.0, left / tail)) if tail else 1.0
    return min(1.0, (step + 1) / config.warmup) * falling


def has_fast_bfloat16(size: int = 512) -> bool:
    """Return whether 16 bit pays here: always on a GPU; a CPU that lacks it is 16 times slower in it."""
    if torch.cuda.is_available():
        return True
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(size, size, dtype=dtype)
        matrix @ matrix
        began = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - began)
    return seconds[1] < seconds[0]


class _Matrix(nn.Module):
    """Shows a matrix [out, in * k * k] as the weight of a convolution."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self._shape = shape

    def forward(self, matrix: Tensor) -> Tensor:
        return matrix.view(self._shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight.flatten(1)


def convolutions_as_matrices(module: nn.Module) -> None:
    """Keep the convolutions' weights as matrices, so that Muon can take them: letters are learnt 3 times faster so."""
    for layer in list(module.modules()):
        if isinstance(layer, nn.Conv2d) and layer.in_channels > 3:
            parametrize.register_parametrization(layer, "weight", _Matrix(layer.weight.shape))


def convolutions_as_before(module: nn.Module) -> None:
    """Undo `convolutions_as_matrices`; the weights stay."""
    for layer in list(module.modules()):
        if isinstance(layer, nn.Conv2d) and parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")


def optimisers(module: nn.Module, config: StageConfig) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside layers and AdamW for everything else that trains."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            # Embedding tables, positions and read-out heads are no maps between hidden states.
            hidden = parameter.ndim == 2 and not any(word in name for word in ("embed", "head", "position", "lm_"))
            (matrices if hidden else others).append(parameter)
    return [
        torch.optim.Muon(
            matrices, lr=config.matrix_lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=config.other_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


class _Progress:
    """The step number and the seconds spent, saved beside the weights."""

    def __init__(self) -> None:
        self.step, self.seconds = 0, 0.0

    def state_dict(self) -> dict[str, float]:
        return {"step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.step, self.seconds = int(state["step"]), state["seconds"]


class _Average:
    """Figures since the last line: a single batch says little about a family that it asks twice."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, metrics: Metrics) -> None:
        for name, value in metrics.items():
            self._values.setdefault(name, []).append(value)

    def take(self) -> Metrics:
        """Return the mean of every figure, over the steps that had it, and start again."""
        means = {name: round(sum(values) / len(values), 4) for name, values in sorted(self._values.items())}
        self._values.clear()
        return means


def run_stage(
    module: nn.Module, loss: LossFunction, config: StageConfig, folder: Path, accelerator: Accelerator
) -> Iterator[Metrics]:
    """Train `module` in place and yield a line of metrics now and then; resumes from `folder` if it holds this stage.

    Args:
        module: what is trained; parameters with `requires_grad` False stay as they are.
        loss: called with the module and the step number; returns the loss and other figures, of which a line has means.
        folder: holds `<name>/` (the last checkpoint) and `log.jsonl`.
    """
    progress, average = _Progress(), _Average()
    prepared, *optims = accelerator.prepare(module, *optimisers(module, config))
    base_rates = [[group["lr"] for group in optim.param_groups] for optim in optims]
    accelerator.register_for_checkpointing(progress)
    state = folder / config.name
    for half_done in (state.with_suffix(".new"), state.with_suffix(".old")):
        if state.with_suffix(".old").exists() and not state.exists() and half_done.exists():
            half_done.rename(state)  # stopped between the two renames of a save
    if state.exists():
        accelerator.load_state(str(state))
    saved = started = time.monotonic() - progress.seconds
    while progress.step < config.steps:
        for optim, rates in zip(optims, base_rates, strict=True):
            for group, base in zip(optim.param_groups, rates, strict=True):
                group["lr"] = base * rate(progress.step, config)
        with accelerator.autocast():
            value, metrics = loss(prepared, progress.step)
        accelerator.backward(value)
        norm = accelerator.clip_grad_norm_(prepared.parameters(), config.clip)
        is_sound = norm is None or bool(torch.isfinite(norm))  # one step on what is no number ends all learning
        for optim in optims:
            if is_sound:
                optim.step()
            optim.zero_grad()
        metrics |= {"skipped": float(not is_sound)}
        progress.step += 1
        progress.seconds = time.monotonic() - started
        average.add(metrics)
        if progress.step % config.log_every == 0 or progress.step == config.steps:
            line = {
                "stage": config.name,
                "step": progress.step,
                "seconds": round(progress.seconds, 1),
                **average.take(),
            }
            _append(folder / "log.jsonl", line)
            yield line
        if time.monotonic() - saved > config.save_seconds or progress.step == config.steps:
            _save(accelerator, state)
            saved = time.monotonic()
    accelerator.free_memory()


def _save(accelerator: Accelerator, state: Path) -> None:
    """Write a checkpoint beside the old one and swap them: an interrupt leaves one of the two."""
    fresh, old = state.with_suffix(".new"), state.with_suffix(".old")
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    accelerator.save_state(str(fresh))
    if state.exists():
        state.rename(old)
    fresh.rename(state)
    shutil.rmtree(old, ignore_errors=True)


def _append(path: Path, line: Metrics) -> None:
    with path.open("a") as log:
        log.write(json.dumps(line) + "\n")
