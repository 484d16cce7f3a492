"""Whatever changes what a model makes of a video changes its fingerprint, and nothing else does."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import byte_tokenizer, checkpoint, randomise, video_xl

from videoxl import VideoXL
from videoxl.checkpoints.fingerprint import tensor_digest
from videoxl.checkpoints.layout import folder_digest
from videoxl.checkpoints.loading import load_checkpoint, save_checkpoint
from videoxl.errors import MemoryFileError

NANO = Path(__file__).resolve().parents[2] / "assets" / "videoxl-nano"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_checkpoint(checkpoint(), folder, torch.float32)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "other-name"))


def of(folder: Path) -> str:
    return load_checkpoint(folder, "cpu").fingerprint


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_every_weight_counts(saved: Path, folder: Path) -> None:
    before, state = of(saved), load_file(folder / "model.safetensors")
    seen = {before}
    for name, tensor in state.items():
        save_file({**state, name: torch.zeros_like(tensor)}, folder / "model.safetensors")
        seen.add(of(folder))
    assert len(seen) == len(state) + 1


def test_each_tensor_of_the_bundled_model_has_its_own_digest() -> None:
    for name, tensor in load_file(NANO / "model.safetensors").items():
        # (The last layer's VST queries are used by nothing, and their bias has stayed zero.)
        assert not tensor.any() or tensor_digest(tensor) != tensor_digest(torch.zeros_like(tensor)), name
        one = tensor.clone()
        one.view(-1)[len(one.view(-1)) // 3] += 1
        assert tensor_digest(tensor) != tensor_digest(one), name


@pytest.mark.parametrize("offset", [0, 1, 3])
def test_a_digest_does_not_depend_on_where_the_tensor_lies(offset: int) -> None:
    values = torch.randn(501).half()
    shifted = torch.cat([torch.zeros(offset).half(), values])[offset:]
    assert tensor_digest(shifted) == tensor_digest(values)
    assert tensor_digest(values.view(3, 167)) != tensor_digest(values)
    assert tensor_digest(values.flip(0)) != tensor_digest(values)


def test_prompt_preprocessing_and_tokenizer_count_and_the_name_does_not(saved: Path, folder: Path) -> None:
    before = of(saved)
    assert of(folder) == before
    change_json(folder / "videoxl.json", name="another name")
    assert of(folder) == before
    seen = {before}
    prompt = json.loads((folder / "videoxl.json").read_text())["prompt"]
    for name, values in (
        ("videoxl.json", {"prompt": prompt.replace("helpful", "terse")}),
        ("vision_tower/preprocessor_config.json", {"image_mean": [0.5, 0.5, 0.5]}),
        ("config.json", {"rope_theta": 20000.0}),
    ):
        change_json(folder / name, **values)
        seen.add(of(folder))
    tokenizer = byte_tokenizer()
    tokenizer.backend.add_special_tokens(["<more>"])
    tokenizer.save(folder)
    seen.add(of(folder))
    assert len(seen) == 5


def test_models_that_were_never_saved_are_told_apart(saved: Path) -> None:
    one, same, other = video_xl(), video_xl(), checkpoint()
    randomise(other.language, seed=1)
    other = VideoXL(replace(other, fingerprint=""))
    assert one.fingerprint == same.fingerprint == of(saved) != other.fingerprint
    with pytest.raises(MemoryFileError, match="another model"):
        other.ask(one.condense(torch.randn(3, 4, 32)), "What?")


def test_the_digest_of_a_folder_tells_its_files_and_not_its_name(saved: Path, folder: Path) -> None:
    assert folder_digest(folder) == folder_digest(saved)
    weights = load_file(folder / "model.safetensors")
    first = next(iter(weights))
    save_file(weights | {first: weights[first] + 1}, folder / "model.safetensors", {"format": "pt"})
    assert folder_digest(folder) != folder_digest(saved)
