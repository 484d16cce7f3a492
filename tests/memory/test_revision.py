"""The revision of what memories mean: it is raised when the golden cases change, and keeps revisions apart."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from asking import QUESTION
from tiny_models import video_xl
from torch.nn import functional

import videoxl.network.preprocessing
import videoxl.network.qwen2
import videoxl.video.sampling
from videoxl import Video, VideoXL, VisualMemory
from videoxl.errors import MemoryFileError
from videoxl.options import MemoryOptions
from videoxl.version import MEMORY_REVISION

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def goldens() -> ModuleType:
    spec = importlib.util.spec_from_file_location("memory_goldens", ROOT / "scripts" / "memory_goldens.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["memory_goldens"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_what_memories_mean_has_not_changed_since_this_revision(goldens: ModuleType) -> None:
    revision, recorded = goldens.read()
    now = goldens.cases()
    assert not goldens.changed(recorded, now), "python scripts/memory_goldens.py records them, with a new revision"
    assert recorded.keys() == now.keys() and revision == MEMORY_REVISION
    assert goldens.GOLDENS.stat().st_size < 20_000


def bilinear(frames: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return uint8 [t, height, width, 3], resized otherwise than the model wants."""
    pixels = frames.permute(0, 3, 1, 2).float()
    return functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True).byte().permute(0, 2, 3, 1)


def swap(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Change one thing that decides a memory."""
    if what == "pixels":
        monkeypatch.setattr(videoxl.network.preprocessing, "_resize_pillow", bilinear)
    elif what == "frames":
        nearest = videoxl.video.sampling._nearest
        monkeypatch.setattr(videoxl.video.sampling, "_evenly", lambda times, count, first: nearest(times, count))
    elif what == "tokens":
        monkeypatch.setattr(functional, "avg_pool2d", functional.max_pool2d)
    else:
        tables = videoxl.network.qwen2.rotary_tables
        monkeypatch.setattr(
            videoxl.network.qwen2, "rotary_tables", lambda positions, *sizes: tables(positions + 1, *sizes)
        )


@pytest.mark.parametrize("what", ["frames", "pixels", "tokens", "memory"])
def test_a_change_is_noticed(goldens: ModuleType, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    swap(monkeypatch, what)
    names = goldens.changed(goldens.read()[1], goldens.cases())
    assert names and all(name.startswith(f"{what}: ") for name in names), names


def test_rounding_is_no_change(goldens: ModuleType) -> None:
    _, recorded = goldens.read()
    for name, case in recorded.items():
        scale = case.tolerance or 1.0
        nearly = goldens.Case(case.values + 0.9 * case.tolerance, case.tolerance)
        other = goldens.Case(case.values + 1.1 * scale, case.tolerance)
        assert goldens.changed({name: case}, {name: nearly}) == []
        assert goldens.changed({name: case}, {name: other}) == [name]
    assert goldens.changed({name: case}, {}) == [name]
    assert goldens.changed({name: case}, {name: goldens.Case(case.values.flatten()[:3])}) == [name]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    version = tmp_path / "version.py"
    version.write_text('__version__ = "0.1.0"\n\n# Why.\nMEMORY_REVISION = 4\n')
    return tmp_path / "goldens.json", version


def test_recording_a_change_raises_the_revision(goldens: ModuleType, files: tuple[Path, Path]) -> None:
    first = {"a": goldens.Case(np.array([1, 2])), "b": goldens.Case(np.array([[0.5]]), 0.1)}
    path, version = files
    goldens.update(first, *files)
    assert goldens.read(path)[0] == 4
    before = path.read_text()
    goldens.update({**first, "b": goldens.Case(np.array([[0.55]]), 0.1)}, *files)
    assert path.read_text() == before  # rounding does not add up
    goldens.update({**first, "c": goldens.Case(np.array([3]))}, *files)
    assert goldens.read(path)[0] == 4 and sorted(goldens.read(path)[1]) == ["a", "b", "c"]
    said = goldens.update({**first, "a": goldens.Case(np.array([1, 3]))}, *files)
    assert goldens.read(path)[0] == 5 and "a" in said and "c" in said
    assert version.read_text() == '__version__ = "0.1.0"\n\n# Why.\nMEMORY_REVISION = 5\n'


def test_a_revision_that_was_raised_by_hand_is_taken(goldens: ModuleType, files: tuple[Path, Path]) -> None:
    path, version = files
    goldens.update({"a": goldens.Case(np.array([1]))}, *files)
    version.write_text(version.read_text().replace("= 4", "= 9"))
    goldens.update({"a": goldens.Case(np.array([2]))}, *files)
    assert goldens.read(path)[0] == 9 and "= 9" in version.read_text()
    version.write_text(version.read_text().replace("= 9", "= 10"))  # for what the cases do not see
    goldens.update({"a": goldens.Case(np.array([2]))}, *files)
    assert json.loads(path.read_text())["revision"] == 10


@pytest.fixture(scope="module")
def model() -> VideoXL:
    return video_xl()


@pytest.fixture(scope="module")
def of_before(model: VideoXL, clip: Path) -> VisualMemory:
    return replace(
        model.memorize(clip, options=MemoryOptions(mode="fixed-rate", fps=5.0, ratio=4, end=6.0)), revision=0
    )


def test_a_memory_of_another_revision_answers_and_can_be_cut(
    model: VideoXL, of_before: VisualMemory, tmp_path: Path
) -> None:
    of_before.save(tmp_path / "old.vxm")
    loaded = VisualMemory.load(tmp_path / "old.vxm", model)
    assert loaded.revision == 0
    assert model.ask(loaded, QUESTION, max_new_tokens=8).text == model.ask(of_before, QUESTION, max_new_tokens=8).text
    assert model.slice(loaded, 1.0, 3.0).revision == 0


@pytest.mark.parametrize("end", [6.0, 8.0])
def test_nothing_grows_from_a_memory_of_another_revision(
    model: VideoXL, of_before: VisualMemory, clip: Path, end: float
) -> None:
    plan = model.plan(Video(clip), options=of_before.options, end=end)
    seen = []
    grown = model.extend_memory(plan, of_before, lambda progress: seen.append(progress.frames_done)).memory
    assert seen[-1] == len(plan) and grown.revision == MEMORY_REVISION
    with pytest.raises(MemoryFileError, match="revision 0"):
        model.memory_builder(plan, of_before)
