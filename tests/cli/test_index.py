"""`videoxl index` when the cache cannot keep what is made."""

import json
import os
from pathlib import Path

import pytest
from asking import Ask
from typer.testing import CliRunner, Result
from video_clips import write_numbered

from videoxl.cli.main import app
from videoxl.model import VideoXL


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def index(model_folder: Path) -> Ask:
    return lambda *arguments: run("index", *arguments, "--model", model_folder, "--device", "cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_numbered(folder / f"{name}.mp4", 81 + number, fps=10) for number, name in enumerate("abcd")]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the videos that are watched."""
    names: list[str] = []
    memorize_plan = VideoXL.memorize_plan

    def noting(self: VideoXL, plan: object, *arguments: object) -> object:
        names.append(Path(plan.source.path).stem)
        return memorize_plan(self, plan, *arguments)

    monkeypatch.setattr(VideoXL, "memorize_plan", noting)
    return names


def room_for_two(index: Ask, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound the cache to two memories and a half, with one of another video in it."""
    (path,) = [Path(json.loads(index(clip, "--json").stdout)["memory"])]
    monkeypatch.setenv("VIDEOXL_CACHE_SIZE", str(int(2.5 * path.stat().st_size)))


def cached() -> list[Path]:
    return sorted(Path(os.environ["VIDEOXL_CACHE_DIR"], "memories").iterdir())


def test_a_full_cache_keeps_what_was_said_to_be_kept(
    index: Ask, clip: Path, clips: list[Path], watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for_two(index, clip, monkeypatch)
    watched.clear()
    result = index(*clips)
    assert result.exit_code == 1
    said = [line.split(" -> ") for line in result.stdout.splitlines()]
    assert [video for video, _ in said] == [str(clips[0]), str(clips[1])]
    assert sorted(Path(rest.split(" (")[0]) for _, rest in said) == cached()
    first, second = result.stderr.splitlines()
    assert first.startswith(f"error: {clips[2]}: ") and "VIDEOXL_CACHE_SIZE" in first and "--output" in first
    assert second.startswith(f"error: {clips[3]}: ") and "not memorized" in second
    assert watched == ["a", "b", "c"]  # nothing is watched in vain that could be known to be


def test_what_is_written_to_files_is_made_all_the_same(
    index: Ask, clip: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for_two(index, clip, monkeypatch)
    result = index(*clips, "-o", tmp_path / "out")
    assert result.exit_code == 0 and len(list((tmp_path / "out").iterdir())) == 4 and len(cached()) == 2
    (warning,) = result.stderr.splitlines()
    assert warning.startswith("warning: ") and "VIDEOXL_CACHE_SIZE" in warning


def test_a_memory_of_before_is_used_and_stays(index: Ask, clips: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    room_for_two(index, clips[0], monkeypatch)
    (kept,) = cached()
    result = index(*clips[:3])
    assert result.exit_code == 1 and "from cache" in result.stdout.splitlines()[0]
    assert kept in cached() and len(cached()) == 2
    again = index(*clips[:2])
    assert again.exit_code == 0 and again.stdout.count("from cache") == 2


def test_a_cache_that_keeps_nothing_is_said_before_the_work(
    index: Ask, clip: Path, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOXL_CACHE_SIZE", "0")
    result = index(clip)
    assert result.exit_code == 1 and result.stderr.startswith(f"error: {clip}: not memorized")
    assert "--output" in result.stderr and watched == []
