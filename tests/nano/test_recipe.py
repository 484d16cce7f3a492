"""The whole recipe, tiny: it ends in a model that loads, and a stopped run ends in the same model."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from videoxl import VideoXL
from videoxl.checkpoints.loading import load_checkpoint, save_checkpoint
from videoxl.checkpoints.parts import Checkpoint
from videoxl.errors import RunError
from videoxl.nano.recipe import RATIOS, Recipe, carried_rows, resume_from, train_nano
from videoxl.nano.tokenizer import build_tokenizer
from videoxl.nano.trainer import Metrics, StageConfig

pytestmark = pytest.mark.slow  # whole trainings


@pytest.fixture(autouse=True)
def fresh_accelerate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Accelerate keeps one state for the whole process; other tests chose another precision."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(autouse=True)
def coarse_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its five iterations are in bfloat16: seconds a step on CPUs without that. One is enough to see where runs end."""
    monkeypatch.setattr(torch.optim, "Muon", functools.partial(torch.optim.Muon, ns_steps=1))


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


@pytest.fixture(scope="module")
def bundled() -> Checkpoint:
    return load_checkpoint("videoxl-nano", "cpu", torch.float32)


def test_a_run_from_a_finished_model_leaves_its_vision_as_it_is_and_can_be_stopped(
    tmp_path: Path, bundled: Checkpoint
) -> None:
    def stop(line: Metrics) -> None:
        raise KeyboardInterrupt

    whole = train_nano(tmp_path / "whole", None, RECIPE, start="videoxl-nano")
    with pytest.raises(KeyboardInterrupt):
        train_nano(tmp_path / "stopped", None, RECIPE, stop, start="videoxl-nano")
    assert not (tmp_path / "stopped" / "language.pt").exists()
    resumed = train_nano(tmp_path / "stopped", None, RECIPE, start="videoxl-nano")
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()

    save_checkpoint(bundled, tmp_path / "before", torch.float16)
    before, after = (load_file(folder / "model.safetensors") for folder in (tmp_path / "before", whole))
    assert before.keys() == after.keys()
    seeing = [name for name in before if "vision_tower" in name or "mm_projector" in name]
    assert len(seeing) > 50 and all(torch.equal(before[name], after[name]) for name in seeing)
    layer = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(before[layer], after[layer])
    torch.testing.assert_close(before[layer], after[layer], atol=0.1, rtol=0)  # two small steps away


def test_a_token_keeps_its_embedding_whatever_its_number(tmp_path: Path, bundled: Checkpoint) -> None:
    resume_from(tmp_path, "videoxl-nano")
    start = torch.load(tmp_path / "start.pt", weights_only=True)
    rows, old = start["model.embed_tokens.weight"], bundled.language.model.embed_tokens.weight
    ids, old_ids = build_tokenizer().get_vocab(), bundled.tokenizer.backend.get_vocab()
    assert len(rows) == len(ids) and torch.equal(rows, start["lm_head.weight"])
    assert all(torch.equal(rows[ids[token]], old[index]) for token, index in old_ids.items())
    assert carried_rows({"a": 0, "b": 1, "gone": 2}, {"new": 0, "b": 5, "a": 3}) == {0: 3, 1: 5}


def test_another_kind_of_model_is_refused(tmp_path: Path, bundled: Checkpoint) -> None:
    config = replace(bundled.config, preprocessing=replace(bundled.config.preprocessing, mode="shortest"))
    save_checkpoint(replace(bundled, config=config), tmp_path / "other", torch.float16)
    with pytest.raises(RunError, match="another kind of model"):
        resume_from(tmp_path, str(tmp_path / "other"))
