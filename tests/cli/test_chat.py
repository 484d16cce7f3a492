"""`videoxl chat` in a pipe, which is also how scripts use it."""

import json
from pathlib import Path

import pytest
from asking import QUESTION
from typer.testing import CliRunner, Result

from videoxl.cli.main import app
from videoxl.cli.render import printable
from videoxl.model import VideoXL
from videoxl.options import AnswerOptions

OTHER = "And then?"


@pytest.fixture
def model(model_folder: Path) -> VideoXL:
    return VideoXL.from_pretrained(model_folder, device="cpu")


def run(model_folder: Path, clip: Path, *lines: str) -> Result:
    arguments = ["chat", clip, "--model", model_folder, "--device", "cpu", "--max-new-tokens", 12]
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input="\n".join(lines) + "\n")


@pytest.mark.usefixtures("always_evidence")
def test_answers_one_a_line(model: VideoXL, model_folder: Path, clip: Path, tmp_path: Path) -> None:
    result = run(
        model_folder, clip, QUESTION, "", OTHER, "/evidence", f"/save {tmp_path / 'said.jsonl'}", "/quit", "No?"
    )
    chat = model.chat(model.memorize(clip))
    first, second = (chat.ask(question, AnswerOptions(12)) for question in (QUESTION, OTHER))
    shown = [printable(first.text), printable(second.text)]
    assert result.exit_code == 0 and result.stdout.startswith("\n".join(shown) + "\nat 00:00:0")
    assert result.stdout.count("\nat ") == len(second.evidence) > 0
    assert result.stderr == f"2 answers in {tmp_path / 'said.jsonl'}\n"
    saved = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert [(s["question"], s["answer"]) for s in saved] == [(QUESTION, first.text), (OTHER, second.text)]


def test_clear_and_what_is_no_command(model_folder: Path, clip: Path) -> None:
    result = run(model_folder, clip, QUESTION, "/clear", "/evidence", "/what", "/save", QUESTION)
    first, second = result.stdout.splitlines()
    assert first == second
    assert result.stderr.count("/evidence: where") == 2 and "no evidence\n" in result.stderr


def test_an_error_does_not_end_it(model_folder: Path, clip: Path, tmp_path: Path) -> None:
    result = run(model_folder, clip, "x" * 3000, "/save /missing/folder/x", QUESTION)
    assert result.exit_code == 1 and result.stdout.count("\n") == 1
    problems = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "do not fit" in problems[0] and "cannot be written" in problems[1] and len(problems) == 2


def test_lines_that_are_no_text_and_files_that_are_no_conversation(
    model_folder: Path, clip: Path, tmp_path: Path
) -> None:
    before, said = clip.read_bytes(), tmp_path / "said.jsonl"
    said.touch()
    lines = ["/save ~no-such-user/x", f"/save {clip}", QUESTION, f"/save {said}", f"/save {said}"]
    arguments = ["chat", str(clip), "--model", str(model_folder), "--device", "cpu", "--max-new-tokens", "12"]
    result = CliRunner().invoke(app, arguments, input=b"caf\xe9?\n" + "\n".join(lines).encode())
    problems = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.exit_code == 1 and len(problems) == 3
    assert "UTF-8" in problems[0] and "cannot be written" in problems[1] and str(clip) in problems[2]
    assert clip.read_bytes() == before and said.read_text().count("\n") == 1
