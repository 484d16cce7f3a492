"""The whole recipe, tiny: it ends in a model that loads, and a stopped run ends in the same model."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState

from videoxl import VideoXL
from videoxl.train.nano import RATIOS, Recipe, train_nano
from videoxl.train.trainer import Metrics, StageConfig


@pytest.fixture(autouse=True)
def fresh_accelerate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Accelerate keeps one state for the whole process; other tests chose another precision."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def stage(name: str, steps: int) -> StageConfig:
    return StageConfig(name, steps, log_every=1, save_seconds=0.0)


RECIPE = Recipe(
    pictures=48,
    bank=48,
    scenes=2,
    crops=1,
    letters=stage("letters", 2),
    reading=stage("reading", 3),
    reading_batch=4,
    memory=replace(stage("memory", 2), warmup=1),
    workers=1,
)


def test_a_stopped_run_ends_in_the_same_model(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    whole = train_nano(tmp_path / "whole", None, RECIPE, lambda line: seen.append((line["stage"], line["step"])))
    assert seen == [("letters", 1), ("letters", 2), *(("reading", s) for s in (1, 2, 3)), ("memory", 1), ("memory", 2)]

    first_lines = []
    for stop in (("letters", 2), ("reading", 2), ("memory", 2)):
        lines: list[tuple[str, int]] = []

        def interrupt(line: Metrics, lines: list[tuple[str, int]] = lines, stop: tuple[str, int] = stop) -> None:
            lines.append((line["stage"], line["step"]))
            if lines[-1] == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_nano(tmp_path / "stopped", None, RECIPE, interrupt)
        first_lines.append(lines[0])
    resumed = train_nano(
        tmp_path / "stopped", None, RECIPE, lambda line: first_lines.append((line["stage"], line["step"]))
    )
    # What a step reported but had not saved is done again, and nothing before it.
    assert first_lines == [("letters", 1), ("letters", 2), ("reading", 2), ("memory", 2)]
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name

    model = VideoXL.from_pretrained(whole, device="cpu")
    assert model.config.ratios == RATIOS
    memory = model.condense(model.encode_frames(np.zeros((20, 48, 64, 3), np.uint8)), ratio=4)
    assert isinstance(model.ask(memory, "What word is written on the card?", max_new_tokens=3).text, str)
