"""`videoxl summarize`: what a user finds in the folder, and what ends well that could end badly."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import STREAM
from typer.testing import CliRunner, Result
from video_clips import write_numbered, write_sound

from videoxl.cli.main import app
from videoxl.runs.engine import load_results, state
from videoxl.tasks.summarize.inputs import Source

FIELDS = [
    *("key", "id", "video", "start", "end", "task", "prompt", "summary", "evidence", "chapters", "spans"),
    *("frames", "ratio", "warnings", "timings", "model", "sheet"),
]


Command = Callable[..., Result]
FORMATS = ("--format", "md", "--format", "vtt", "--format", "txt", "--format", "jsonl")


def options(model: Path) -> list[str]:
    return ["--model", str(model), "--device", "cpu", "--max-new-tokens", "6"]


@pytest.fixture(scope="module")
def summarize(model_folder: Path) -> Command:
    """`videoxl summarize` with the tiny model."""

    def run(*arguments: object) -> Result:
        command = ["summarize", *map(str, arguments), *options(model_folder), "--quiet"]
        return CliRunner().invoke(app, command)

    return run


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two good clips, the copy of one, and four files that are no videos."""
    folder = tmp_path_factory.mktemp("clips")
    first = write_numbered(folder / "a.mp4", 24, fps=1)
    write_numbered(folder / "b.mkv", 12, fps=2)
    (folder / "copy.mp4").write_bytes(first.read_bytes())
    (folder / "cut.mp4").write_bytes(first.read_bytes()[: first.stat().st_size // 2])
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("An error page.")
    write_sound(folder / "sound.mp4")
    return folder


def failures(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "timings"} for row in rows]


@pytest.fixture(scope="module")
def whole(summarize: Command, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run over all of them that nothing interrupted: its folder, and what was printed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, summarize(clips, "--out", out, *FORMATS)


def test_a_folder_of_good_and_bad(whole: tuple[Path, Result], clips: Path) -> None:
    out, result = whole
    assert result.exit_code == 1, result.output
    rows = load_results(out)
    assert [row["id"] for row in rows] == [f"{clips}/{name}" for name in ("a.mp4", "b.mkv", "copy.mp4")]
    first = rows[0]
    assert list(first) == FIELDS
    status = os.stat(clips / "a.mp4")
    assert first["video"] == {
        **{"path": f"{clips}/a.mp4", "duration": 24.0, "fps": 1.0, "width": 160, "height": 64},
        **{"streams": [STREAM | {"fps": 1.0}], "size": status.st_size, "modified": round(status.st_mtime, 3)},
    }
    assert (first["frames"], rows[1]["frames"]) == (24, 6) and first["timings"]["total"] > 0
    for row in rows:
        assert row["chapters"][0]["start"] == 0.0 and row["chapters"][-1]["end"] == row["video"]["duration"]
        assert [*row["chapters"][0]] == ["start", "end", "title", "text", "evidence"]
        assert (row["task"], row["spans"]) == ("summary", [])
    own = [{name: row[name] for name in ("chapters", "summary", "evidence")} for row in rows]
    assert own[0] == own[2]  # a copy is summarised as its original is

    reasons = {
        "cut.mp4": "the file is incomplete or damaged: its index (the 'moov' part) cannot be read",
        "empty.mp4": "the file is empty (0 bytes)",
        "sound.mp4": "has sound, but no video",
        "text.mp4": "is a text file, not a video",
    }
    assert failures(out) == [
        {
            **{"key": Source(path, path).item.key, "id": path, "path": path},
            **{"error": "VideoError", "message": f"{path}: {reason}"},
        }
        for path, reason in ((f"{clips}/{name}", reason) for name, reason in reasons.items())
    ]
    table = [line.split(maxsplit=2) for line in result.stdout.partition("FAILED")[2].splitlines()[1:]]
    assert table == [[f"{clips}/{name}", "VideoError", reason] for name, reason in reasons.items()]
    name = first["key"]
    assert first["sheet"]["file"] == f"sheets/{name}.webp"
    assert (out / "md" / f"{name}.md").read_text().startswith(f"# {clips}/a.mp4\n")
    assert (out / "vtt" / f"{name}.vtt").read_text().startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert (out / "txt" / f"{name}.txt").read_text().startswith("00:00:00 ")
    assert all(len([*(out / ending).iterdir()]) == 3 for ending in ("md", "vtt", "txt"))


def test_the_same_command_does_nothing_twice_and_retries_when_told(
    summarize: Command, clips: Path, tmp_path: Path
) -> None:
    out, late = tmp_path / "out", tmp_path / "late.mp4"
    good = clips / "b.mkv"
    assert summarize(good, late, "--out", out).exit_code == 1
    before = (out / "results.jsonl").read_text()
    assert failures(out)[0]["message"] == f"{late}: no such file"
    late.write_bytes((clips / "a.mp4").read_bytes())
    assert summarize(good, late, "--out", out).exit_code == 1
    assert (out / "results.jsonl").read_text() == before
    result = summarize(good, late, "--out", out, "--retry-failed", "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said.pop("seconds") > 0
    assert said == {"out": str(out), "done": 2, "failed": 0, "total": 2, "resumed": 1, "changed": 0, "failures": []}
    assert (out / "results.jsonl").read_text().startswith(before)


def test_other_settings_are_refused(summarize: Command, whole: tuple[Path, Result], clips: Path) -> None:
    result = summarize(clips, "--out", whole[0], "--chapter-prompt", "Who?", "--ratio", 4)
    assert result.exit_code == 1
    assert 'task: "summary" → "Who?"' in summarize(clips, "--out", whole[0], "--task", "Who?").stderr
    assert 'prompts.chapter: "Describe what is shown in this video." → "Who?"' in result.stderr
    assert 'watch.ratio: "auto" → 4' in result.stderr


def test_a_manifest_chooses_parts_and_prompts(summarize: Command, clips: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    rows = [
        {"video": f"{clips}/a.mp4", "id": "part", "start": "0:10", "end": 20, "max_frames": 5, "ratio": 2},
        {"video": f"{clips}/a.mp4", "id": "long", "prompt": "Why? " * 2000},
    ]
    manifest.write_text("\n".join(json.dumps(row) for row in rows[:1]))
    assert summarize(manifest, "--out", tmp_path / "out").exit_code == 0
    (row,) = load_results(tmp_path / "out")
    assert (row["id"], row["frames"], row["ratio"], row["start"], row["end"]) == ("part", 5, 2, 10.0, 20.0)
    assert (row["chapters"][0]["start"], row["chapters"][-1]["end"]) == (10.0, 20.0)
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    result = summarize(manifest, "--out", tmp_path / "other")
    assert result.exit_code == 1 and "a question of" in result.stderr and not (tmp_path / "other").exists()


@pytest.mark.parametrize("task", ["ads", "What is shown?"])
def test_tasks_give_the_same_fields_and_texts(summarize: Command, clips: Path, tmp_path: Path, task: str) -> None:
    out = tmp_path / "out"
    result = summarize(clips / "a.mp4", "--out", out, "--task", task, *FORMATS)
    assert result.exit_code == 0 and "SPANS" in result.stdout, result.output
    (row,) = load_results(out)
    assert list(row) == FIELDS and row["task"] == task
    assert all([*span] == ["start", "end", "score", "text"] for span in row["spans"])
    assert [chapter["text"] for chapter in row["chapters"]] == [""] * len(row["chapters"])
    (listed,) = (out / "txt").iterdir()
    assert len(listed.read_text().splitlines()) == len(row["spans"])
    if task != "ads":
        assert len(row["spans"]) == len(row["evidence"])


def test_the_bundled_model_says_what_it_cannot_judge(clips: Path, tmp_path: Path) -> None:
    command = ["summarize", str(clips / "b.mkv"), "--out", str(tmp_path / "out"), "--task", "ads", "--device", "cpu"]
    warning = "warning: videoxl-nano knows only cards: what it says about ads means nothing."
    result = CliRunner().invoke(app, [*command, "--quiet"])
    assert result.exit_code == 0 and result.stderr.startswith(warning)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["*.nothing", "--out", "x"], "*.nothing: "),
        (["a.mp4"], "Missing option '--out'"),
        (["bad.csv", "--out", "x"], "'film'"),
        (["no.mp4", "--out", "x"], "no.mp4: no such file"),
        (["bad.csv", "--out", "x", "--max-memory", "much"], "'much'"),
        (["a.mp4", "--out", "x", "--task", "advert"], "'advert'"),
        (["a.mp4", "--out", "x", "--task", "Who speaks?", "--prompt", "Why?"], "--prompt"),
        (["a.mp4", "--out", "x", "--task", "Who speaks?", "--chapter-prompt", "Why?"], "--chapter-prompt"),
        (["a.mp4", "--out", "x", "--span-prompt", "Why?"], "--span-prompt"),
        (["a.mp4", "--out", "x", "--task", "ads", "--prompt", "{chapters}"], "{chapters}"),
        (["a.mp4", "--out", "x", "--prompt", "@missing.txt"], "missing.txt: cannot be read"),
        (["a.mp4", "--out", "bad.csv"], "is a file"),
        (["a.mp4", "--out", "x", "--format", "srt"], "'srt' is not one of"),
    ],
)
def test_usage_errors(
    summarize: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("film\na.mp4\n")
    (tmp_path / "a.mp4").touch()
    result = summarize(*arguments)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--max-memory", "much"], 2, "'much' is not a size"),
        (["--address", "auto"], 2, "--address"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], 1, "127.0.0.1:1: no Ray cluster answers"),
    ],
)
def test_where_nothing_can_be_begun(
    summarize: Command, clips: Path, tmp_path: Path, options: list[str], code: int, problem: str
) -> None:
    result = summarize(clips / "b.mkv", "--out", tmp_path / "x", *options)
    assert result.exit_code == code and problem in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_two_workers_and_results_in_order(
    summarize: Command, whole: tuple[Path, Result], clips: Path, tmp_path: Path
) -> None:
    inputs = [clips / "copy.mp4", clips / "b.mkv"]
    assert summarize(clips / "a.mp4", "--out", tmp_path / "out").exit_code == 0
    result = summarize(*inputs, clips / "a.mp4", "--out", tmp_path / "out", "--workers", 2, "--ordered", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["resumed"] == 1
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == [str(path) for path in (*inputs, clips / "a.mp4")]
    expected = {row["id"]: row for row in without_times(load_results(whole[0]))}
    assert without_times(rows) == [expected[row["id"]] for row in rows]


def test_a_bound_on_memory_is_kept_to(summarize: Command, clips: Path, tmp_path: Path) -> None:
    result = summarize(clips / "b.mkv", "--out", tmp_path / "out", "--max-memory", "50MB")  # Python alone takes more
    assert result.exit_code == 1
    assert "what is free on the device has room for 0" in failures(tmp_path / "out")[0]["message"]


def test_a_video_that_takes_too_long_fails_with_the_reason(summarize: Command, clips: Path, tmp_path: Path) -> None:
    command = (clips / "b.mkv", "--out", tmp_path / "out")
    result = summarize(*command, "--item-timeout", "0.02")  # opening it takes longer
    assert result.exit_code == 1 and "took more than 0.02 s" in result.stderr
    (failure,) = failures(tmp_path / "out")
    assert (failure["error"], failure["path"]) == ("ItemTimeout", str(clips / "b.mkv"))
    assert summarize(*command, "--retry-failed", "--item-timeout", "10:00").exit_code == 0


@pytest.mark.parametrize("limit", ["0", "-1", "soon", "nan"])
def test_a_limit_that_is_none_is_refused(summarize: Command, clips: Path, tmp_path: Path, limit: str) -> None:
    result = summarize(clips / "b.mkv", "--out", tmp_path / "out", "--item-timeout", limit)
    assert result.exit_code == 2 and "--item-timeout" in result.stderr and not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(
    summarize: Command, whole: tuple[Path, Result], clips: Path, tmp_path: Path, model_folder: Path
) -> None:
    out, main = tmp_path / "out", tmp_path / "main.py"
    main.write_text("if __name__ == '__main__':\n    from videoxl.cli.main import app; app()\n")
    command = [sys.executable, str(main), "summarize", str(clips), "--out", str(out), *FORMATS]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command + options(model_folder), env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    assert any(line.startswith("[1/7]") for line in process.stderr)
    process.send_signal(signal.SIGKILL)
    process.wait()
    now = state(out)
    assert (now.failed, now.process) == (0, None) and 1 <= now.done < 3
    assert summarize(clips, "--out", out, *FORMATS).exit_code == 1
    assert without_times(load_results(out)) == without_times(load_results(whole[0]))
    assert failures(out) == failures(whole[0])
    for ending in ("md", "vtt", "txt"):
        texts = [{p.name: p.read_text() for p in (folder / ending).iterdir()} for folder in (out, whole[0])]
        assert texts[0] == texts[1]
