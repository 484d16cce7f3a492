"""What tests of commands share: a tiny model's folder, a clip, and `videoxl ask` on them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import checkpoint
from typer.testing import CliRunner, Result
from video_clips import write_numbered

from videoxl.checkpoints.loading import save_checkpoint
from videoxl.cli.main import app

QUESTION = "What is shown?"
Ask = Callable[..., Result]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    save_checkpoint(checkpoint(), folder, torch.float32)
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 seconds, 10 frames per second."""
    return write_numbered(tmp_path_factory.mktemp("clip") / "clip.mp4", 80, fps=10)


@pytest.fixture
def ask(model_folder: Path, clip: Path) -> Ask:
    def run(*options: object, video: object = clip, question: str = QUESTION, model: object = model_folder) -> Result:
        arguments = ["ask", video, question, "--model", model, "--device", "cpu", "--max-new-tokens", 12, *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
