"""From arguments to videos."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from video_clips import write_numbered, write_sound

from videoxl.errors import RunError
from videoxl.tasks.summarize.inputs import Source, read_inputs


def ids(*arguments: object, output: str = "/nowhere") -> list[str]:
    return [source.id for source in read_inputs([str(argument) for argument in arguments], Path(output)).sources]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Videos by content and by name, below each other, and what is none."""
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    clip = write_numbered(tmp_path / "a.mp4", 2)
    for name in ("deep/without_ending", "deep/deeper/b.data", ".hidden/c.mp4", "._d.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    for number, name in enumerate(("deep/c.mkv", "deep/d.ts", "deep/e.avi", "deep/f.webm", "deep/g.gif")):
        codec = {"webm": "libvpx", "gif": "gif"}.get(name[-4:].strip("."), "libx264")
        write_numbered(tmp_path / name, 2 + number, codec=codec, pix_fmt="rgb8" if codec == "gif" else "yuv420p")
        (tmp_path / name).rename(tmp_path / name.replace(".", "_"))
    (tmp_path / "broken.mp4").write_text("no video")
    (tmp_path / "notes.md").write_text("no video")
    (tmp_path / "code.ts").write_text("let a = 1")
    write_sound(tmp_path / "sound.m4a")
    return tmp_path


def test_a_folder_is_its_videos_by_content_and_by_name(folder: Path) -> None:
    found = read_inputs([str(folder)], Path("/nowhere"))
    assert [source.path.removeprefix(f"{folder}/") for source in found.sources] == [
        *("a.mp4", "broken.mp4", "deep/c_mkv", "deep/d_ts", "deep/e_avi", "deep/f_webm", "deep/g_gif"),
        *("deep/without_ending", "deep/deeper/b.data"),
    ]
    assert [Path(path).name for path in found.passed_over] == ["code.ts", "notes.md", "sound.m4a"]


def test_the_run_itself_is_no_input(folder: Path) -> None:
    assert ids(folder, output=str(folder / "deep")) == [f"{folder}/a.mp4", f"{folder}/broken.mp4"]


def test_patterns_files_and_what_is_not_there(folder: Path) -> None:
    assert ids(folder / "*.m??") == [f"{folder}/{name}" for name in ("a.mp4", "broken.mp4", "sound.m4a")]
    assert ids(folder / "**/*b.data") == [f"{folder}/deep/deeper/b.data"]
    assert ids(folder / "missing.mp4", folder / "notes.md") == [f"{folder}/missing.mp4", f"{folder}/notes.md"]
    (folder / "a[1].mp4").write_bytes(b"")
    assert ids(folder / "a[1].mp4") == [f"{folder}/a[1].mp4"]


def test_the_same_path_written_otherwise_is_the_same_video(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    ways = (["deep", "a.mp4"], ["./deep/", "./a.mp4"], ["././deep", ".//a.mp4"])
    assert len({tuple(source.id for source in read_inputs(way, Path("out")).sources) for way in ways}) == 1


def test_what_is_named_twice_is_done_once(folder: Path) -> None:
    clip = f"{folder}/a.mp4"
    found = read_inputs([clip, f"{folder}/deep/c_mkv", f"{folder}/a*", f"{folder}/./a.mp4"], Path("/nowhere"))
    assert [source.id for source in found.sources] == [clip, f"{folder}/deep/c_mkv"] and found.repeated == [clip]


def test_folders_behind_links_are_looked_through_once(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = ids(folder)
    away = tmp_path_factory.mktemp("away")
    (away / "loop").symlink_to(away)
    (away / "back").symlink_to(folder)
    (away / "z.mp4").write_bytes(b"")
    (folder / "a link").symlink_to(away)
    (folder / "deep" / "again").symlink_to(folder / "deep" / "deeper")
    (folder / "nothing").symlink_to(folder / "gone")
    assert ids(folder) == [*before, f"{folder}/a link/z.mp4"]
    assert ids(folder / "**/*.mp4") == sorted([f"{folder}/a link/z.mp4", f"{folder}/a.mp4", f"{folder}/broken.mp4"])
    assert ids(away)[0] == f"{away}/z.mp4" and len(ids(away)) == 1 + len(before)
    assert ids(folder, output=str(folder / "a link")) == before


def test_a_folder_that_cannot_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(path: str) -> Any:
        if path.endswith("deeper"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    found = read_inputs([str(folder)], Path("/nowhere"))
    assert found.unreadable == [f"{folder}/deep/deeper"] and len(found.sources) == 8


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_manifest(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"talks.{kind}"
    rows = [
        {"video": "a.mp4", "id": "first", "prompt": "Who, and why?", "start": "1:30", "end": "120", "ratio": "auto"},
        {"video": "/b.mp4", "max_frames": "64", "ratio": "8"},
        {"video": "/b.mp4"},
    ]
    if kind == "csv":
        path.write_text(
            'video,id,prompt,start,end,ratio,max_frames\na.mp4,first,"Who, and why?",1:30,120,auto,\n'
            "/b.mp4,,,,,8,64\n/b.mp4\n"
        )
    else:
        path.write_text("\n\n".join(json.dumps(row) for row in rows))
    (tmp_path / "a.mp4").touch()  # what is not there fails in its turn
    assert read_inputs([str(path)], tmp_path).sources == [
        Source("first", str(tmp_path / "a.mp4"), "Who, and why?", 90.0, 120.0, "auto"),
        Source("/b.mp4", "/b.mp4", ratio=8, max_frames=64),
        Source("/b.mp4", "/b.mp4"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("x.jsonl", '{"video": "a.mp4"}\n{"video": "a.mp4"', "x.jsonl:2: "),
        ("x.jsonl", "[1]", "x.jsonl:1: "),
        ("x.jsonl", '{"id": 3}', "x.jsonl:1: video "),
        ("x.jsonl", '{"video": "a", "promt": "?"}', "x.jsonl:1: 'promt' "),
        ("x.jsonl", '{"video": "a", "max_frames": 0}', "x.jsonl:1: max_frames 0 "),
        ("x.jsonl", '{"video": "a", "ratio": 2.5}', "x.jsonl:1: ratio 2.5 "),
        ("x.jsonl", '{"video": "a", "start": "soon"}', "x.jsonl:1: start 'soon' "),
        ("x.jsonl", '{"video": "a", "id": 1}\n{"video": "b", "id": "1"}', "x.jsonl:2: id '1' "),
        ("x.csv", "video,id\na.mp4,1,2\n", "x.csv:2: "),
        ("x.csv", "name\na.mp4\n", "x.csv:2: 'name' "),
        ("x.csv", "video,id\n", "x.csv: "),
    ],
)
def test_manifests_that_cannot_be_read(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RunError) as caught:
        read_inputs([str(tmp_path / name)], tmp_path / "out")
    assert str(caught.value).startswith(f"{tmp_path}/{problem}") and caught.value.advice


def test_arguments_that_mean_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "gone.jsonl").write_text('{"video": "a.mp4"}\n{"video": "b.mp4"}')
    for argument, problem in (
        ("empty", "empty: "),
        ("*.mp4", r"\*\.mp4: "),
        ("no.mp4", r"no\.mp4: no such file$"),
        ("gone.jsonl", r"a\.mp4: no such file.* 1 "),
    ):
        with pytest.raises(RunError, match=problem):
            read_inputs([str(tmp_path / argument)], tmp_path / "out")
    (tmp_path / "latin.csv").write_bytes(b"video\n\xe4.mp4\n")
    with pytest.raises(RunError, match=r"latin\.csv: "):
        read_inputs([str(tmp_path / "latin.csv")], tmp_path / "out")
