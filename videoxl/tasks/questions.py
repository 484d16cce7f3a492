"""Questions from a file, one per line as text or as a JSON object, and answers as JSON."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import QuestionError, VideoXLError, check_not_empty
from ..files import atomic_write, local_path
from .text_files import numbered_lines, parse_object, read_text

if TYPE_CHECKING:
    from ..engine.answer import Answer

_ADVICE = 'Write, for example, {"id": 1, "question": "Who speaks first?"}.'


@dataclass(frozen=True)
class Question:
    """A question, and the id that its answer will have.

    Args:
        text: in words.
        id: from the file, a string or a number; None if it has none.
    """

    text: str
    id: str | int | None = None


def read_questions(path: Path) -> list[Question]:
    """Return the questions of a file, in order; blank lines are skipped.

    A line that begins with a brace is a JSON object with "question" and, optionally, "id".

    Raises:
        QuestionError: the file cannot be read or has no question, or a line is not valid JSON or lacks the question.
    """
    path = Path(local_path(path))
    text = read_text(path, QuestionError, "Give a text file with one question per line.")
    questions = [_parse(line, position) for position, line in numbered_lines(text, path)]
    if not questions:
        raise QuestionError(f"{path}: has no question", "Write one question per line.")
    return questions


def _parse(line: str, position: str) -> Question:
    if not line.startswith("{"):
        return Question(line)
    fields = parse_object(line, position, QuestionError, _ADVICE)
    text, id = fields.get("question"), fields.get("id")
    if not isinstance(text, str):
        raise QuestionError(f'{position}: "question" is missing or not text', _ADVICE)
    if not isinstance(id, str | int | None):
        raise QuestionError(f'{position}: "id" is {id!r}, neither text nor a whole number', _ADVICE)
    check_not_empty(text)
    return Question(text, id)


def evidence_record(answer: "Answer") -> list[dict[str, float]]:
    """Return the evidence of an answer as JSON: start and end in seconds, and the share of attention."""
    return [
        {"start": round(span.start, 3), "end": round(span.end, 3), "score": round(span.score, 4)}
        for span in answer.evidence
    ]


def answer_record(question: Question, answer: "Answer") -> dict[str, Any]:
    """Return a question and its answer as a JSON object."""
    id = {} if question.id is None else {"id": question.id}
    fields = {"question": question.text, "answer": answer.text, "evidence": evidence_record(answer)}
    return id | fields | {"seconds": round(answer.timings["answer"], 4)}


def write_answers(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object per line, atomically; earlier answers in the file are replaced.

    Raises:
        VideoXLError: the file cannot be written, or exists and holds something else.
    """
    if os.path.lexists(path) and not _holds_answers(path):
        raise VideoXLError(f"{path}: exists, and does not hold answers", "Choose another file.")
    try:
        with atomic_write(path) as file:
            for record in records:
                file.write((json.dumps(record) + "\n").encode())
    except OSError as error:
        raise VideoXLError(f"{path}: cannot be written ({error.strerror})", "Choose another file.") from None


def _holds_answers(path: Path) -> bool:
    """Return whether a file is empty, or begins with an answer as `answer_record` gives it."""
    if not path.is_file():  # reading a pipe would wait
        return False
    try:
        with open(path, "rb") as file:
            first = file.readline(1_000_000)
        record = json.loads(first) if first else None
    except (OSError, ValueError, RecursionError):
        return False
    return not first or (isinstance(record, dict) and record.keys() >= {"question", "answer", "evidence", "seconds"})
