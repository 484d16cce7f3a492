"""Questions from a file, one a line or one JSON object a line, and answers as JSON."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import QuestionError, VideoXLError, check_not_empty
from ..files import atomic_write, local_path

if TYPE_CHECKING:
    from ..engine.answer import Answer


@dataclass(frozen=True)
class Question:
    """A question, and what its answer is told by.

    Args:
        text: in words.
        id: of the file that it came from, string or number; None if it has none.
    """

    text: str
    id: str | int | None = None


def read_questions(path: Path) -> list[Question]:
    """Return the questions of a file, in order; lines without text are left out.

    A line that begins with a brace is a JSON object with "question" and perhaps "id".

    Raises:
        QuestionError: the file cannot be read or holds no question, or a line is no JSON or has no question.
    """
    path = Path(local_path(path))
    try:
        # Only line ends cut: str.splitlines() would also cut at what text may hold, such as U+2028.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise QuestionError(f"{path}: cannot be read ({reason})", "Give a text file, one question a line.") from None
    questions = [_parse(line.strip(), f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not questions:
        raise QuestionError(f"{path}: holds no question", "Write one question a line.")
    return questions


def _parse(line: str, place: str) -> Question:
    if not line.startswith("{"):
        return Question(line)
    advice = 'Write for example {"id": 1, "question": "Who speaks first?"}.'
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"{place}: is no JSON ({error})", advice) from None
    text, id = said.get("question"), said.get("id")
    if not isinstance(text, str) or not isinstance(id, str | int | None):
        raise QuestionError(f'{place}: has no "question" in words, or an "id" that is neither text nor number', advice)
    check_not_empty(text)
    return Question(text, id)


def evidence_record(answer: "Answer") -> list[dict[str, float]]:
    """Return where an answer comes from, as JSON: seconds, and the share of attention."""
    return [
        {"start": round(span.start, 3), "end": round(span.end, 3), "score": round(span.score, 4)}
        for span in answer.evidence
    ]


def answer_record(question: Question, answer: "Answer") -> dict[str, Any]:
    """Return a question and its answer as a JSON object."""
    own = {} if question.id is None else {"id": question.id}
    said = {"question": question.text, "answer": answer.text, "evidence": evidence_record(answer)}
    return own | said | {"seconds": round(answer.timings["answer"], 4)}


def write_answers(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically; earlier answers in the file are replaced.

    Raises:
        VideoXLError: the file cannot be written, or is there already and holds something else.
    """
    if os.path.lexists(path) and not _holds_answers(path):
        raise VideoXLError(f"{path}: is there already, and holds no answers", "Choose another file.")
    try:
        with atomic_write(path) as file:
            for record in records:
                file.write((json.dumps(record) + "\n").encode())
    except OSError as error:
        raise VideoXLError(f"{path}: cannot be written ({error.strerror})", "Choose another file.") from None


def _holds_answers(path: Path) -> bool:
    """Return whether a file is empty, or begins with an answer as `answer_record` gives it."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with open(path, "rb") as file:
            first = file.readline(1_000_000)
        said = json.loads(first) if first else None
    except (OSError, ValueError, RecursionError):
        return False
    return not first or (isinstance(said, dict) and said.keys() >= {"question", "answer", "evidence", "seconds"})
