"""`videoxl follow` on a file that grows between two looks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asking import QUESTION
from typer.testing import CliRunner, Result
from video_clips import write_numbered

from videoxl.cli.main import app
from videoxl.cli.render import printable
from videoxl.model import VideoXL
from videoxl.tasks import follow
from videoxl.timestamps import format_timestamp

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """24 seconds in a format that can be read while it is written."""
    return write_numbered(tmp_path_factory.mktemp("whole") / "clip.ts", 240, fps=10, g="20").read_bytes()


@pytest.fixture
def run(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`videoxl follow` with the tiny model; what the file holds at each look is given."""

    def run(*options: object, contents: list[bytes | None]) -> Result:
        path = tmp_path / "camera.ts"

        def write(left: Iterator[bytes | None]) -> None:
            content = next(left, contents[-1])
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)

        left = iter(contents)
        write(left)
        monkeypatch.setattr(follow, "sleep", lambda seconds: write(left))
        arguments = [path, "--ask", QUESTION, "--model", model_folder, "--device", "cpu", "--max-new-tokens", 12]
        arguments += ["--times", len(contents), *options]
        return CliRunner().invoke(app, ["follow", *map(str, arguments)])

    return run


def expected(model_folder: Path, path: Path, contents: list[bytes]) -> list[tuple[float, str, int]]:
    """Return time, answer and frames of every event, each from the whole file as it was."""
    model, events = VideoXL.from_pretrained(model_folder, device="cpu"), []
    for content in contents:
        path.write_bytes(content)
        memory = model.memorize(path, mode="fixed-rate")
        answer = model.ask(memory, QUESTION, max_new_tokens=12).text
        if not events or events[-1][1] != answer:
            events.append((round(memory.video.duration, 3), answer, memory.num_frames))
    return events


def test_an_event_for_every_other_answer(run: Run, whole: bytes, model_folder: Path, tmp_path: Path) -> None:
    early, later = whole[: len(whole) // 3], whole[: len(whole) * 2 // 3]
    golden = expected(model_folder, tmp_path / "other.ts", [early, later, whole])
    assert len(golden) > 1
    contents = [early, early, later, whole]
    result = run("--json", contents=contents)
    assert (result.exit_code, result.stderr) == (0, "")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(event["time"], event["answer"], event["frames"]) for event in events] == golden
    assert [list(event) for event in events] == [["time", "answer", "evidence", "frames", "frames_read"]] * len(golden)
    assert events[0]["frames_read"] == events[0]["frames"] and events[-1]["frames_read"] < events[-1]["frames"]
    assert run(contents=contents).stdout.splitlines() == [
        f"{format_timestamp(time)} {printable(answer).strip()}" for time, answer, _ in golden
    ]


def test_a_file_that_was_replaced_is_watched_anew(run: Run, whole: bytes, model_folder: Path, tmp_path: Path) -> None:
    early = whole[: len(whole) // 3]
    result = run("--json", contents=[whole, None, early])
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        f"warning: {tmp_path / 'camera.ts'}: no such file",
        "warning: camera.ts: is shorter than when the memory was made; its memory is made again",
    ]
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["time"], last["answer"], last["frames"]) == expected(model_folder, tmp_path / "x.ts", [early])[0]


def test_what_cannot_be_read_is_an_error(run: Run, whole: bytes, tmp_path: Path) -> None:
    mp4 = write_numbered(tmp_path / "clip.mp4", 80, fps=10).read_bytes()
    result = run(contents=[mp4[: len(mp4) // 2]])
    problem, advice = result.stderr.splitlines()
    assert result.exit_code == 1 and "index (the 'moov' part) cannot be read" in problem
    assert advice.startswith("If it is being recorded, wait for its end, or record .ts, .mkv or fragmented .mp4.")
    result = run(contents=[whole, None])
    assert result.exit_code == 1 and "no such file" in result.stderr and result.stdout.count("\n") == 1


def test_a_saved_memory_does_not_grow(run: Run, model_folder: Path, clip: Path, tmp_path: Path) -> None:
    model = VideoXL.from_pretrained(model_folder, device="cpu")
    model.memorize(clip, max_frames=4).save(tmp_path / "clip.vxm")
    result = run(contents=[(tmp_path / "clip.vxm").read_bytes()])
    assert result.exit_code == 1 and "is a saved memory, which does not grow" in result.stderr


def test_interrupted(run: Run, whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoXL, "ask", interrupt)
    result = run(contents=[whole])
    assert result.exit_code == 130 and result.stderr == "interrupted\n"


@pytest.mark.parametrize("every", ["0", "0.5", "-1", "nan", "inf"])
def test_nobody_can_look_without_a_pause(run: Run, whole: bytes, every: str) -> None:
    result = run("--every", every, contents=[whole])
    assert result.exit_code == 2 and "--every" in result.stderr and "between 1 and" in result.stderr


def test_the_old_name_says_the_new_one() -> None:
    result = CliRunner().invoke(app, ["watch", "camera.ts", "--ask", "Who is there?"])
    assert result.exit_code == 2 and "follow" in result.stderr
