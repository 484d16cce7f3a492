"""Shared fixtures."""

import os
from pathlib import Path

import pytest


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
