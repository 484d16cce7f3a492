"""`videoxl ask` about what was watched before: from the cache, and from a saved memory."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import Ask, notes
from typer.testing import Result
from video_clips import write_numbered

import videoxl.video.video
from videoxl import VisualMemory
from videoxl.model import VideoXL
from videoxl.planning.budget import DEFAULT_RESERVED_SLOTS


def cached() -> list[Path]:
    return sorted(Path(os.environ["VIDEOXL_CACHE_DIR"], "memories").iterdir())


def said(result: Result) -> tuple[int, str]:
    """Return the ratio of the memory, and where it is from."""
    found = json.loads(result.stdout)
    return found["ratio"], found["memory"]["from"]


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the decoding process nor the part of the model that sees frames may be used."""

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("the video was opened")

    monkeypatch.setattr(videoxl.video.video, "DecodeProcess", never)
    monkeypatch.setattr(videoxl.video.video, "FrameReader", never)
    monkeypatch.setattr(VideoXL, "encode_frames", never)


def test_a_second_question_opens_no_video(ask: Ask, clip: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    first = json.loads(ask("--json").stdout)
    other = ask("--no-cache", question="Who is it?").stdout
    moved = Path(shutil.copy(clip, tmp_path / "moved.mp4"))
    os.utime(moved, (1000, 1000))
    request.getfixturevalue("no_decoder")
    second = ask("--json", video=moved)
    found = json.loads(second.stdout)
    assert len(notes(second)) == 1 and notes(second)[0].startswith("memory from cache, ")
    assert found["memory"] == first["memory"] | {"from": "cache"}
    assert found["video"] == first["video"] | {"path": str(moved)}
    assert [found["timings"][stage] for stage in ("decode", "encode", "condense")] == [0, 0, 0]
    assert found["timings"]["load"] > 0
    for changes in ("answer", "frames", "visual_tokens", "ratio", "model"):
        assert found[changes] == first[changes]
    assert ask(question="Who is it?").stdout == other
    assert ask("--quiet").stderr == ""
    assert len(cached()) == 1


@pytest.mark.parametrize("options", [("--fps", 2), ("--ratio", 8), ("--start", 1), ("--max-frames", 5)])
def test_other_options_make_another_memory(ask: Ask, options: tuple[object, ...]) -> None:
    ask()
    fresh, again = (ask("--json", *options, *more) for more in ((), ("--no-cache",)))
    assert fresh.stderr == again.stderr == ""
    assert json.loads(fresh.stdout)["answer"] == json.loads(again.stdout)["answer"]
    assert len(cached()) == 2


def test_a_memory_of_another_revision_is_not_used(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ask()
    monkeypatch.setattr("videoxl.tasks.memory_request.MEMORY_REVISION", 2)
    assert json.loads(ask("--json").stdout)["memory"]["from"] == "video"
    assert len(cached()) == 2


def test_an_edited_file_is_another_video(ask: Ask, clip: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(clip, tmp_path / "clip.mp4"))
    ask(video=path)
    status = path.stat()
    write_numbered(path, 79, fps=10)
    os.utime(path, (status.st_atime, status.st_mtime))
    assert json.loads(ask("--json", video=path).stdout)["memory"]["from"] == "video"


def test_a_larger_answer_may_need_another_ratio(ask: Ask) -> None:
    """With room for a long answer, the smallest ratio no longer fits the model's 2048 positions."""
    options = ("--json", "--fps", 10, "--max-frames", 80)
    assert json.loads(ask(*options).stdout)["ratio"] == 2
    assert said(ask(*options, "--max-new-tokens", 1850)) == (4, "video")
    assert said(ask(*options)) == (2, "cache")  # both are there
    assert said(ask(*options, "--max-new-tokens", 1850)) == (4, "cache")


@pytest.fixture
def free(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Say whether the device has room for all, or too little for ratio 2, as if something else used it."""
    too_few = json.loads(ask("--json", "--no-cache").stdout)["memory"]["slots"] + DEFAULT_RESERVED_SLOTS - 1
    return lambda all_of_it: monkeypatch.setattr(VideoXL, "free_slots", lambda self: None if all_of_it else too_few)


def test_what_else_used_the_device_changes_no_answer(ask: Ask, free: Callable[[bool], None]) -> None:
    free(False)
    first = ask("--json")
    assert said(first) == (4, "video")
    free(True)
    second = ask("--json")
    assert said(second) == (4, "cache")
    assert json.loads(second.stdout)["answer"] == json.loads(first.stdout)["answer"]


def test_a_memory_that_does_not_fit_now_is_kept_for_later(ask: Ask, free: Callable[[bool], None]) -> None:
    free(True)
    assert said(ask("--json")) == (2, "video")
    free(False)
    assert [said(ask("--json")) for _ in range(2)] == [(4, "video"), (4, "cache")]
    free(True)
    assert said(ask("--json")) == (2, "cache") and len(cached()) == 2


def test_a_stray_copy_in_the_cache_is_not_used(ask: Ask) -> None:
    ask()
    (path,) = cached()
    shutil.move(path, path.with_name(path.stem + " (copy).vxm"))
    assert said(ask("--json")) == (2, "video")


def test_no_cache_neither_reads_nor_writes(ask: Ask) -> None:
    ask("--no-cache")
    assert not Path(os.environ["VIDEOXL_CACHE_DIR"], "memories").exists()
    ask()
    assert json.loads(ask("--json", "--no-cache").stdout)["memory"]["from"] == "video"


def test_a_damaged_memory_is_set_aside_and_made_again(ask: Ask) -> None:
    answer = ask().stdout
    (path,) = cached()
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    again = ask()
    assert again.stdout == answer
    assert len(notes(again)) == 1 and again.stderr.startswith("warning: ") and "damaged" in again.stderr
    assert cached() == [path, path.with_name(path.name + ".damaged")]
    assert ask().stderr.startswith("memory from cache")


def test_a_cache_that_cannot_be_written_to_is_a_warning(ask: Ask, monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    answer = ask("--no-cache").stdout
    monkeypatch.setenv("VIDEOXL_CACHE_DIR", str(clip))  # a file
    result = ask()
    assert (result.exit_code, result.stdout) == (0, answer)
    assert result.stderr.startswith("warning: the memory is not kept") and len(notes(result)) == 1


def test_memory_that_runs_out_while_saving_loses_no_answer(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: VisualMemory, path: Path) -> None:
        raise MemoryError

    monkeypatch.setattr(VisualMemory, "save", fail)
    result = ask()
    assert (result.exit_code, result.stdout) == (0, ask("--no-cache").stdout)
    assert result.stderr.startswith("warning: the memory is not kept for next time (MemoryError)")


def test_a_cache_size_that_is_none(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOXL_CACHE_SIZE", "plenty")
    result = ask()
    assert result.exit_code == 1 and "VIDEOXL_CACHE_SIZE: 'plenty' is not a size" in result.stderr


def test_damage_in_the_video_is_said_each_time(ask: Ask, media: Path) -> None:
    video = media / "bad" / "corrupt_middle_zeros.mp4"
    first, second = (ask("--fps", 30, video=video).stderr.splitlines() for _ in range(2))
    assert "frames lost" in first[0] and second[0] == first[0] and second[1].startswith("memory from cache")


def test_two_processes_at_once_leave_one_file(model_folder: Path, clip: Path) -> None:
    command = [Path(sys.executable).with_name("videoxl"), "ask", clip, "What?", "--model", model_folder]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0] and outputs[0] == outputs[1]
    assert len(cached()) == 1
