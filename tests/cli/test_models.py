"""`videoxl models`: names, numbers and cards."""

import json
from pathlib import Path

import pytest
import torch
from tiny_models import checkpoint
from typer.testing import CliRunner, Result

from videoxl.checkpoints import hub
from videoxl.checkpoints.loading import save_checkpoint
from videoxl.cli.main import app
from videoxl.errors import CheckpointError
from videoxl.network.parts import Network


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model in the place of the bundled one."""
    save_checkpoint(checkpoint(), tmp_path, torch.float32)
    (tmp_path / "README.md").write_text("# tiny\n\nIt knows *nothing*.\n\n![learning](curve.png)\n")
    monkeypatch.setattr(hub, "checkpoint_folder", lambda name: tmp_path)
    return tmp_path


def test_list_names_every_model(bundled: Path) -> None:
    result = run("list")
    header, nano, published = (line.split() for line in result.stdout.splitlines())
    assert header[0] == "NAME" and nano[:2] == ["videoxl-nano", "bundled"]
    assert published == ["video-xl-7b", "published", "8.4", "B", "16.8", "GB", "~20.0", "GB", "sy1998/Video_XL"]
    assert (result.exit_code, result.stderr) == (0, "")


def test_list_as_json_counts_weights_and_bytes(bundled: Path) -> None:
    nano, published = json.loads(run("list", "--json").stdout)
    network = Network(checkpoint().config)
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert nano["parameters"] == weights
    assert nano["size_bytes"] == sum(path.stat().st_size for path in bundled.rglob("*") if path.is_file())
    assert (nano["memory_is_estimate"], published["memory_is_estimate"]) == (False, True)
    assert nano["hub_id"] is None and published["hub_id"] == "sy1998/Video_XL"
    assert published == json.loads(run("show", "video-xl-7b", "--json").stdout)


def test_list_without_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise CheckpointError(f"{name}: this installation has no bundled model", "Install it again.")

    monkeypatch.setattr(hub, "checkpoint_folder", missing)
    assert run("list").exit_code == 0
    result = run("show", "videoxl-nano")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: videoxl-nano: this installation has no bundled model\nInstall it again.\n"


def test_show_published_says_how_to_get_it() -> None:
    text = run("show", "video-xl-7b").stdout
    assert all(
        part in text
        for part in ("sy1998/Video_XL", "16.8 GB", "~20.0 GB", "(an estimate)", "hf download sy1998/Video_XL")
    )


def test_show_bundled_prints_its_card(bundled: Path) -> None:
    assert run("show", "videoxl-nano").stdout == "# tiny\n\nIt knows *nothing*.\n"
    assert json.loads(run("show", "videoxl-nano", "--json").stdout)["name"] == "videoxl-nano"


def test_show_bundled_without_card(bundled: Path) -> None:
    (bundled / "README.md").unlink()
    result = run("show", "videoxl-nano")
    assert result.exit_code == 1 and "this model has no card" in result.stderr


def test_show_unknown() -> None:
    result = run("show", "gpt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "error: gpt: no model of that name",
        "Known names: videoxl-nano, video-xl-7b.",
    ]
