"""Shared fixtures."""

import os
from pathlib import Path

import pytest
from asking import QUESTION, Ask
from typer.testing import CliRunner, Result


def shared_folder() -> Path:
    """Return the folder of shared test material: $VIDEOXL_SHARED, or `shared` beside the checkout."""
    return Path(os.environ.get("VIDEOXL_SHARED") or Path(__file__).resolve().parents[2] / "shared")


@pytest.fixture(scope="session")
def media() -> Path:
    """Folder of the shared test videos (they are not part of the repository)."""
    folder = shared_folder() / "media"
    if not folder.is_dir():
        pytest.skip("no shared media: set VIDEOXL_SHARED to the folder that holds media/")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins with an empty cache of memories, and leaves the user's alone."""
    monkeypatch.setenv("VIDEOXL_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("VIDEOXL_CACHE_SIZE", raising=False)


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of memories for all tests that only ask questions about the same video."""
    return tmp_path_factory.mktemp("session-cache")


@pytest.fixture
def shared_cache(own_cache: None, session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test find the memories that tests before it have made, in place of an empty cache."""
    monkeypatch.setenv("VIDEOXL_CACHE_DIR", str(session_cache))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a tiny random model."""
    import torch
    from tiny_models import checkpoint

    from videoxl.checkpoints.loading import save_checkpoint

    folder = tmp_path_factory.mktemp("tiny")
    save_checkpoint(checkpoint(), folder, torch.float32)
    return folder


@pytest.fixture
def always_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is answered has evidence: a random model seldom looks at the video more than at its prompt."""
    monkeypatch.setattr("videoxl.engine.evidence._MIN_ATTENTION", 0.0)
    monkeypatch.setattr("videoxl.engine.evidence._NEUTRAL_SHARE", 0.0)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 seconds, 10 frames per second; the frames show their numbers."""
    from video_clips import write_numbered

    return write_numbered(tmp_path_factory.mktemp("clip") / "clip.mp4", 80, fps=10)


@pytest.fixture
def ask(model_folder: Path, clip: Path) -> Ask:
    """`videoxl ask` about the clip, with the tiny model."""
    from videoxl.cli.main import app

    def run(*options: object, video: object = clip, question: str = QUESTION, model: object = model_folder) -> Result:
        arguments = ["ask", video, question, "--model", model, "--device", "cpu", "--max-new-tokens", 12, *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
