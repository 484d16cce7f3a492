"""`videoxl summarize` again, over files that have changed, manifests that were corrected, folders of old versions."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result
from video_clips import write_numbered

from videoxl.cli.main import app
from videoxl.runs.engine import load_results

Command = Callable[..., Result]


@pytest.fixture
def summarize(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`videoxl summarize` with the tiny model, into one folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        options = ["--out", "out", "--model", str(model_folder), "--device", "cpu", "--max-new-tokens", "2"]
        return CliRunner().invoke(app, ["summarize", *map(str, arguments), *options])

    return run


def durations(folder: Path) -> dict[str, float]:
    return {row["id"]: row["video"]["duration"] for row in load_results(folder)}


def test_a_file_that_was_replaced_is_told_and_done_again_when_asked(summarize: Command, tmp_path: Path) -> None:
    write_numbered(tmp_path / "a.mp4", 4, fps=1)
    write_numbered(tmp_path / "会议.mp4", 6, fps=1)
    result = summarize("a.mp4", "会议.mp4", "./a.mp4", "--format", "txt", "--format", "vtt", "--json")
    assert json.loads(result.stdout)["changed"] == 0 and json.loads(result.stdout)["total"] == 2
    assert "changed" not in result.stderr and "given more than once, done once: a.mp4\n" in result.stderr
    write_numbered(tmp_path / "会议.mp4", 9, fps=1)
    os.rename(tmp_path / "a.mp4", tmp_path / "moved.mp4")  # what is gone has not changed

    result = summarize("a.mp4", "会议.mp4", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["changed"] == 1
    assert (
        "warning: changed since: 会议.mp4: " in result.stderr
        and "2 of 2 videos summarised, 1 changed since" in result.stderr
    )
    assert durations(tmp_path / "out") == {"a.mp4": 4.0, "会议.mp4": 6.0}

    result = summarize("a.mp4", "会议.mp4", "--retry-changed", "--json", "--format", "txt")
    said = json.loads(result.stdout)
    assert (said["done"], said["resumed"], said["changed"]) == (2, 1, 0) and "warning" not in result.stderr
    assert durations(tmp_path / "out") == {"a.mp4": 4.0, "会议.mp4": 9.0}
    assert sorted(path.name.rpartition("-")[0] for path in (tmp_path / "out" / "txt").iterdir()) == [
        "a.mp4",
        "会议.mp4",
    ]
    assert len([*(tmp_path / "out" / "sheets").iterdir()]) == 2
    assert [path.name[:5] for path in (tmp_path / "out" / "vtt").iterdir()] == ["a.mp4"]  # the other is of the old file


def test_a_folder_of_an_older_version_is_no_damaged_one(summarize: Command, tmp_path: Path) -> None:
    write_numbered(tmp_path / "a.mp4", 4, fps=1)
    assert summarize("a.mp4").exit_code == 0
    run, results = tmp_path / "out" / "run.json", tmp_path / "out" / "results.jsonl"
    saved = json.loads(run.read_text())
    del saved["settings"]["format"]
    run.write_text(json.dumps(saved))
    row = json.loads(results.read_text())
    old = {name: value for name, value in row.items() if name not in ("start", "end")} | {"key": "a.mp4"}
    old["video"] = {name: value for name, value in row["video"].items() if name not in ("size", "modified")}
    results.write_text(json.dumps(old) + "\n")
    for again in ([], ["--retry-changed"]):
        result = summarize("a.mp4", *again)
        assert result.exit_code == 1 and "was made by an older videoxl" in result.stderr
    assert results.read_text() == json.dumps(old) + "\n"
    assert CliRunner().invoke(app, ["runs", "show", "out"]).exit_code == 0
