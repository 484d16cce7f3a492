"""`videoxl ask` with several questions, and where in the video the answers come from."""

import json
from pathlib import Path

import numpy as np
import pytest
from asking import QUESTION, Ask
from PIL import Image
from typer.testing import CliRunner
from video_clips import read_numbers

from videoxl.cli.main import app
from videoxl.model import VideoXL
from videoxl.tasks.questions import read_questions

OTHERS = ("Who is it?", "Where?")


def lines(stdout: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_each_answer_is_what_it_would_be_alone(ask: Ask, tmp_path: Path) -> None:
    listed = tmp_path / "questions.txt"
    listed.write_text("\n{}\n\n  {}  \n".format(*OTHERS))
    result = ask("-q", OTHERS[0], "--questions", listed)
    found = lines(result.stdout)
    assert result.exit_code == 0
    assert [line["question"] for line in found] == [QUESTION, OTHERS[0], *OTHERS]
    assert all(list(line) == ["question", "answer", "evidence", "seconds"] for line in found)
    for line in found:
        alone = json.loads(ask("--json", question=str(line["question"])).stdout)
        assert (line["answer"], line["evidence"]) == (alone["answer"], alone["evidence"])


def test_only_line_ends_cut_a_file_of_questions(tmp_path: Path) -> None:
    listed = tmp_path / "questions.txt"
    listed.write_bytes('What\u2028is it?\r\n{"question": "Who\u0085is it?"}\rWhere?\n'.encode())
    assert [each.text for each in read_questions(listed)] == ["What\u2028is it?", "Who\u0085is it?", "Where?"]


def test_a_question_that_is_no_text_is_two_lines(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text('{"question": "Who \\ud800?"}')
    for result in (ask(question="caf\udce9?"), ask("--questions", tmp_path / "questions.jsonl")):
        assert result.exit_code == 1 and result.stderr.count("\n") == 2 and "UTF-8" in result.stderr


def test_a_question_leaves_no_trace_in_the_memory(model_folder: Path, clip: Path) -> None:
    model = VideoXL.from_pretrained(model_folder, device="cpu")
    memory = model.memorize(clip)
    ids = [5, 9, 200, 17]
    before = model.next_logits(memory, ids)
    model.ask(memory, OTHERS[0], max_new_tokens=12)
    assert (model.next_logits(memory, ids) == before).all()


def test_questions_in_json_keep_their_ids(model_folder: Path, clip: Path, tmp_path: Path) -> None:
    listed = tmp_path / "questions.jsonl"
    listed.write_text('{"id": 7, "question": "Who?", "more": 1}\n{"question": "Where?", "id": "b"}\n')
    single = tmp_path / "single.jsonl"
    single.write_text('{"question": "Who?"}\n')
    arguments = ["ask", clip, "--questions", listed, "--model", model_folder, "--device", "cpu", "--json"]
    found = lines(CliRunner().invoke(app, [str(argument) for argument in arguments]).stdout)
    assert [(line["id"], line["question"]) for line in found] == [(7, "Who?"), ("b", "Where?")]
    arguments[3] = single  # of a file, one answer has the same form as many
    (only,) = lines(CliRunner().invoke(app, [str(argument) for argument in arguments]).stdout)
    assert list(only) == list(found[0])[1:]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\n \n", "q.txt: "),
        (b"\xff\xfe", "cannot be read ("),
        (b'Who?\n{"question": 3}\n', "q.txt:2: "),
        (b'{"question": "Who?"\n', "q.txt:1: "),
        (b'{"question": "Who?", "id": [1]}\n', "q.txt:1: "),
        (b'{"question": " "}\n', "the question is empty"),
        (None, "cannot be read (No such file"),
    ],
)
def test_what_is_no_list_of_questions(ask: Ask, tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "q.txt"
    if content is not None:
        path.write_bytes(content)
    result = ask("--questions", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert problem in result.stderr and result.stderr.count("\n") == 2


def test_no_question_at_all(clip: Path) -> None:
    result = CliRunner().invoke(app, ["ask", str(clip)])
    assert result.exit_code == 2 and "Give a QUESTION" in result.stderr


@pytest.mark.usefixtures("always_evidence")
def test_evidence_is_said_and_shown(ask: Ask, clip: Path, tmp_path: Path) -> None:
    spans = json.loads(ask("--json").stdout)["evidence"]
    result = ask("--evidence", tmp_path / "seen")
    said = [line for line in result.stderr.splitlines() if line.startswith("at ")]
    assert len(said) == len(spans) > 0
    for line, span in zip(said, spans, strict=True):
        start, _, end = line.removeprefix("at ").partition("-")
        assert (start, end or start) == (f"00:00:{int(span['start']):02d}", f"00:00:{int(span['end']):02d}")
    pictures = sorted((tmp_path / "seen").glob("1-*.png"))
    middles = [(span["start"] + span["end"]) / 2 for span in spans]
    assert [path.name for path in pictures] == [f"1-{n}_00-00-{int(m):02d}.png" for n, m in enumerate(middles, 1)]
    shown = [read_numbers(np.asarray(Image.open(path))[None])[0] for path in pictures]
    assert shown == [int(middle * 10 + 1e-6) for middle in middles]  # the clip's frames show their numbers
    sheet = Image.open(tmp_path / "seen" / "contact_sheet.png")
    assert sheet.width > 320 * len(spans) and sheet.height > 128
    assert result.stderr.splitlines()[-1] == f"{len(spans) + 1} pictures in {tmp_path / 'seen'}"


@pytest.mark.usefixtures("always_evidence")
def test_evidence_of_a_saved_memory_needs_its_video(ask: Ask, clip: Path, model_folder: Path, tmp_path: Path) -> None:
    video, path = tmp_path / "talk.mp4", tmp_path / "talk.vxm"
    video.write_bytes(clip.read_bytes())
    CliRunner().invoke(app, ["index", str(video), "-o", str(path), "--model", str(model_folder), "--device", "cpu"])
    assert ask("--evidence", tmp_path / "seen", video=path).exit_code == 0
    assert (tmp_path / "seen" / "contact_sheet.png").is_file()
    video.write_bytes(clip.read_bytes()[:-1])
    result = ask("--evidence", tmp_path / "other", video=path)
    assert (result.exit_code, result.stdout) == (1, "") and "is not the video of" in result.stderr
    assert not (tmp_path / "other").exists()


def test_a_folder_for_evidence_that_cannot_be_made(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = ask("--evidence", tmp_path / "file" / "folder")
    assert result.exit_code == 1 and "cannot be written to" in result.stderr
    assert result.stdout.strip()  # the answer is there all the same
