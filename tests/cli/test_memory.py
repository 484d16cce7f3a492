"""`videoxl index` and `videoxl memory`: memories made ahead, listed, moved and removed."""

import json
import os
import shutil
from pathlib import Path

import pytest
from asking import QUESTION, STREAM, Ask
from typer.testing import CliRunner, Result
from video_clips import write_numbered

import videoxl.video.video
from videoxl import VisualMemory
from videoxl.cli.main import app
from videoxl.cli.render import ago
from videoxl.memory.file import MemoryFile
from videoxl.memory.header import read_header
from videoxl.memory.section import Section
from videoxl.model import VideoXL
from videoxl.version import MEMORY_REVISION


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def index(model_folder: Path) -> Ask:
    return lambda *arguments: run("index", *arguments, "--model", model_folder, "--device", "cpu")


def listed() -> list[dict[str, object]]:
    return json.loads(run("memory", "list", "--json").stdout)


def test_what_was_indexed_is_answered_from_the_cache(index: Ask, ask: Ask, clip: Path) -> None:
    result = index(clip)
    (entry,) = listed()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{clip} -> {entry['path']} (8 frames, ratio 2, 0.0 MB, ")
    assert json.loads(ask("--json").stdout)["memory"]["from"] == "cache"
    assert index(clip).stdout.endswith("from cache)\n")


def test_an_indexed_file_answers_without_its_video(
    index: Ask, ask: Ask, clip: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, path = Path(shutil.copy(clip, tmp_path / "talk.mp4")), tmp_path / "talk.vxm"
    said = json.loads(index(video, "-o", path, "--fps", 2, "--json").stdout)
    model = VideoXL.from_pretrained(model_folder, device="cpu")
    fresh = model.memorize(video, fps=2.0)
    seconds = said.pop("seconds")
    assert seconds > 0 and said == {
        "video": str(video),
        "memory": str(path),
        "from": "video",
        "streams": [STREAM],
        "frames": 16,
        "ratio": 2,
        "slots": fresh.length,
        "size_bytes": path.stat().st_size,
    }
    answer = model.ask(fresh, QUESTION, max_new_tokens=12).text
    video.unlink()
    monkeypatch.setattr(videoxl.video.video, "DecodeProcess", lambda *args: pytest.fail("the video was opened"))
    result = ask("--json", video=path)
    found = json.loads(result.stdout)
    assert (found["answer"], result.stderr, found["memory"]["from"]) == (answer, "", "file")
    assert found["video"] == {
        "path": str(video),
        "duration": 8.0,
        "fps": 10.0,
        "width": 160,
        "height": 64,
        "streams": [STREAM],
    }
    part = json.loads(ask("--json", "--start", 2, "--end", "0:04", video=path).stdout)
    assert part["frames"] == 4 and all(2 <= span["start"] <= span["end"] < 4 for span in part["evidence"])
    beyond = ask("--start", 60, video=path)
    assert beyond.exit_code == 1 and "It covers 00:00:00 to 00:00:07." in beyond.stderr
    refused = ask("--ratio", 4, video=path)
    assert refused.exit_code == 1 and "is a memory already" in refused.stderr and refused.stderr.count("\n") == 2


def test_no_other_file_is_written_over(index: Ask, ask: Ask, clip: Path, tmp_path: Path) -> None:
    video = Path(shutil.copy(clip, tmp_path / "talk.mp4"))
    index(video)
    (entry,) = listed()
    for arguments in (
        ("index", video, "--model", "videoxl-nano", "-o", video),
        ("memory", "export", entry["id"], "-o", video),
        ("memory", "export", entry["id"], "-o", tmp_path / "missing" / "x.vxm"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1 and result.stderr.count("\n") == 2 and result.stderr.startswith("error: ")
    assert video.read_bytes() == clip.read_bytes()


def test_a_cache_without_a_place_is_a_warning(
    index: Ask, ask: Ask, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for place in ("~no-such-user/x", tmp_path / "loop"):
        monkeypatch.setenv("VIDEOXL_CACHE_DIR", str(place))
        result = index(clip, "-o", tmp_path / "talk.vxm")
        assert result.exit_code == 0 and result.stderr.startswith("warning: ") and "bug" not in result.stderr
        result = ask()
        assert (result.exit_code, result.stdout) == (0, ask("--no-cache").stdout)
        assert result.stderr.startswith("warning: ") and "bug" not in result.stderr


def test_a_file_in_8_bit(index: Ask, ask: Ask, clip: Path, tmp_path: Path) -> None:
    exact, small = tmp_path / "exact.vxm", tmp_path / "small.vxm"
    index(clip, "--fps", 10, "-o", exact)
    assert index(clip, "--fps", 10, "-o", small, "--int8").exit_code == 0
    assert small.stat().st_size < 0.6 * exact.stat().st_size
    assert ask(video=small).exit_code == 0
    assert "float32, in 8 bit" in run("memory", "show", small).stdout
    assert json.loads(ask("--json", "--fps", 10).stdout)["memory"]["from"] == "cache"
    refused = index(clip, "--int8")
    assert refused.exit_code == 2 and "--output" in refused.stderr


@pytest.mark.parametrize("change", [lambda content: content[:-9], lambda content: content[:50], lambda _: b"no memory"])
def test_a_damaged_memory_is_two_lines(index: Ask, ask: Ask, clip: Path, tmp_path: Path, change: object) -> None:
    path = tmp_path / "talk.vxm"
    index(clip, "-o", path)
    path.write_bytes(change(path.read_bytes()))
    result = ask(video=path)
    lines = result.stderr.splitlines()
    assert (result.exit_code, result.stdout, len(lines)) == (1, "", 2) and lines[0].startswith(f"error: {path}: ")


def test_several_videos_go_into_a_folder_and_one_that_fails_stops_no_other(
    index: Ask, clip: Path, model_folder: Path, tmp_path: Path
) -> None:
    other = write_numbered(tmp_path / "other.mp4", 30, fps=10)
    (tmp_path / "bad.mp4").write_bytes(b"no video\n" * 50)
    result = index(clip, tmp_path / "bad.mp4", other, "-o", tmp_path / "out")
    assert result.exit_code == 1 and result.stdout.count("\n") == 2
    assert result.stderr.startswith("error: ") and "bad.mp4" in result.stderr and result.stderr.count("\n") == 1
    model = VideoXL.from_pretrained(model_folder, device="cpu")
    assert VisualMemory.load(tmp_path / "out" / "other.vxm", model).num_frames == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.vxm", "other.vxm"]
    (tmp_path / "again").mkdir()
    same = index(clip, shutil.copy(clip, tmp_path / "again" / "clip.mp4"), "-o", tmp_path / "out")
    assert same.exit_code == 1 and "two memories would have this name" in same.stderr


def test_a_memory_that_can_be_kept_nowhere_is_an_error(index: Ask, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOXL_CACHE_DIR", str(clip))  # a file
    result = index(clip)
    assert result.exit_code == 1 and "cannot be made" in result.stderr and "--output" in result.stderr


def test_memories_are_listed_shown_moved_and_removed(index: Ask, ask: Ask, clip: Path, tmp_path: Path) -> None:
    index(clip)
    index(clip, "--fps", 2, "--start", 2)
    assert [entry["frames"] for entry in listed()] == [12, 8]
    ask()  # the first is used again
    newer, older = listed()
    assert (newer["frames"], older["frames"]) == (8, 12)
    header, first, _ = (line.split() for line in run("memory", "list").stdout.splitlines())
    assert header == ["ID", "VIDEO", "LENGTH", "FRAMES", "RATIO", "MODEL", "SIZE", "USED"]
    assert first[:6] == [newer["id"], "clip.mp4", "00:00:08", "8", "2", "tiny"]
    shown = run("memory", "show", older["id"]).stdout
    assert "uniform, at most 1024 frames, at most 2 frames/s, from 00:00:02 to the end" in shown
    exported = tmp_path / "older.vxm"
    assert run("memory", "export", older["id"], "-o", exported).exit_code == 0
    assert read_header(exported) == read_header(Path(str(older["path"])))
    assert run("memory", "remove", older["id"]).exit_code == 0
    assert [entry["id"] for entry in listed()] == [newer["id"]]
    of_file = json.loads(run("memory", "show", exported, "--json").stdout)
    assert of_file == older | {"id": None, "used": None, "path": str(exported)}
    assert run("memory", "prune").stdout == "removed 0 files, 0.0 MB\n"
    assert run("memory", "prune", "--size", "0").stdout.startswith("removed 1 file,")
    assert listed() == []


def test_what_else_is_kept_with_a_memory_is_shown_and_exported(index: Ask, clip: Path, model_folder: Path) -> None:
    index(clip)
    (entry,) = listed()
    path = Path(str(entry["path"]))
    assert (entry["sections"], entry["revision"]) == ({}, MEMORY_REVISION)
    memory = VisualMemory.load(path, VideoXL.from_pretrained(model_folder, device="cpu"))
    memory.with_section(Section("track", 3, {"classes": ["cat"]})).save(path)
    assert listed()[0]["sections"] == {"track": 3}
    assert "track 3" in run("memory", "show", entry["id"]).stdout
    assert run("memory", "export", entry["id"], "-o", path.with_name("out.vxm")).exit_code == 0
    assert json.loads(run("memory", "show", path.with_name("out.vxm"), "--json").stdout)["sections"] == {"track": 3}
    small = path.with_name("small.vxm")
    assert "from cache" in index(clip, "-o", small, "--int8").stdout
    with MemoryFile(small) as contents:
        assert contents.sections["track"].metadata == {"classes": ["cat"]}


def test_damaged_memories_are_listed_and_not_exported(index: Ask, ask: Ask, clip: Path, tmp_path: Path) -> None:
    index(clip)
    (entry,) = listed()
    path = Path(str(entry["path"]))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    for arguments in (("show", entry["id"]), ("export", entry["id"], "-o", tmp_path / "out.vxm")):
        result = run("memory", *arguments)
        assert result.exit_code == 1 and "damaged" in result.stderr
    assert not (tmp_path / "out.vxm").exists()
    ask()
    assert [line.split()[1] for line in run("memory", "list").stdout.splitlines()[1:]] == ["clip.mp4", "damaged"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("show", "0123"), "no memory of that id"),
        (("show", "missing.vxm"), "no such file"),
        (("remove", "0123"), "no memory of that id"),
    ],
)
def test_wrong_names(arguments: tuple[str, ...], problem: str) -> None:
    result = run("memory", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert problem in result.stderr and result.stderr.count("\n") == 2


def test_what_is_no_size_is_a_usage_error() -> None:
    result = run("memory", "prune", "--size", "some")
    assert result.exit_code == 2 and "'some' is not a size" in result.stderr


def test_an_empty_cache(tmp_path: Path) -> None:
    result = run("memory", "list")
    assert result.stdout.split()[0] == "ID" and result.stdout.count("\n") == 1
    assert result.stderr == f"0.0 MB of 20.0 GB in {os.environ['VIDEOXL_CACHE_DIR']}/memories\n"


def test_age() -> None:
    assert [ago(s) for s in (5, 60, 7300, 200000)] == ["just now", "1 min ago", "2 h ago", "2 d ago"]
