"""What a task is, and what the model is asked for it. The defaults are files in the package, in a folder a task."""

import importlib.resources
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...checkpoints.hub import BUNDLED
from ...errors import QuestionError, check_not_empty

SUMMARY = "summary"
JUDGED = ("anomalies", "ads")
"""Tasks that look for something: parts of the video are judged by a question that is answered yes or no."""
NAMED = (SUMMARY, *JUDGED)
"""All tasks but a question in words."""
_LISTS = {SUMMARY: "{chapters}", **dict.fromkeys(JUDGED, "{spans}")}  # stands in the prompt for a line each
_KNOWN = "Give summary, anomalies, ads, or a question in words."
_MAX_LIST = 3000  # characters
_LIST_SHARE = 8  # of a model's positions, one in so many


@dataclass(frozen=True)
class Prompts:
    """What is asked.

    Args:
        summary: about the whole.
        chapter: about every chapter: to describe it, or, of its parts, a question that is answered yes or no; None for
            nothing.
        span: about every span that was found; None is the question again, if that is the task.
    """

    summary: str
    chapter: str | None = None
    span: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(text for text in (self.summary, self.chapter, self.span) if text is not None)


def read_task(text: str) -> str:
    """Return a task: one of `NAMED`, or a question in words.

    Args:
        text: the task, or @FILE with a question.

    Raises:
        QuestionError: it is a single word and no task, it is empty, or its file cannot be read.
    """
    task = _given(text)
    _check_task(task)
    return task


def _check_task(task: str) -> None:
    if task not in NAMED and not task.endswith("?") and len(task.split()) == 1:
        raise QuestionError(f"{task!r} is no task", _KNOWN)


def check_prompts(task: str, chapter: str | None, span: str | None, summary: str | None) -> None:
    """Raise QuestionError if a prompt is given, in words or as @FILE, that the task does not ask."""
    if task not in NAMED and summary is not None:
        raise QuestionError("the task is a question, and there is another about the whole", "Leave --prompt out.")
    if task not in NAMED and chapter is not None:
        raise QuestionError("a question is not put to chapters", "Leave --chapter-prompt out.")
    if task == SUMMARY and span is not None:
        raise QuestionError("a summary looks for no spans", "Leave --span-prompt out, or choose another --task.")


def check_lists(task: str, prompt: str) -> None:
    """Raise QuestionError if there is a list in a prompt about the whole that the task does not make."""
    own = _LISTS.get(task)
    for name in set(_LISTS.values()) - {own}:
        if name in prompt:
            instead = f"Use {own}, or leave it out." if own else "Leave it out."
            raise QuestionError(f"{name} stands for nothing in this task", instead)


def load_prompts(
    model: str, task: str = SUMMARY, chapter: str | None = None, span: str | None = None, summary: str | None = None
) -> Prompts:
    """Return the prompts of a run.

    Args:
        model: its own name; the bundled one does not understand long prompts.
        task: from `read_task`.
        chapter: in words, or @FILE; None for the task's default.
        span: likewise; a question has none of its own.
        summary: likewise.

    Raises:
        QuestionError: a prompt is empty, its file cannot be read, or the task does not ask it; or the task is a single
            word and none that there is.
    """
    _check_task(task)
    check_prompts(task, chapter, span, summary)
    if task not in NAMED:
        return Prompts(task, span=None if span is None else _given(span))
    default = "summary_of_cards" if task == SUMMARY and model in BUNDLED else "summary"
    prompts = Prompts(
        _default(task, default) if summary is None else _given(summary),
        _default(task, "chapter") if chapter is None else _given(chapter),
        None if task == SUMMARY else _default(task, "span") if span is None else _given(span),
    )
    check_lists(task, prompts.summary)
    return prompts


def list_room(prompt: str, max_positions: int) -> int:
    """Return the characters that the list in a prompt may have, and so the tokens to leave room for.

    A tokenizer makes at most one token of a character, but for rare ones.
    """
    has_list = any(name in prompt for name in _LISTS.values())
    return min(_MAX_LIST, max_positions // _LIST_SHARE) if has_list else 0


def with_list(prompt: str, lines: Sequence[str], room: int) -> str:
    """Return a prompt with the list in it; every second line is left out until it has the room."""
    lines = list(lines) or ["none"]
    while len("\n".join(lines)) > room and len(lines) > 1:
        lines = lines[::2]
    # In one go: what the lines say, a model wrote, and the name of a list among it is none.
    return re.sub("|".join(map(re.escape, set(_LISTS.values()))), lambda name: "\n".join(lines), prompt)


def _default(task: str, name: str) -> str:
    path = importlib.resources.files(__package__).joinpath("prompts", task, f"{name}.txt")
    return path.read_text(encoding="utf-8").strip()


def _given(text: str) -> str:
    if text.startswith("@"):
        path = Path(text[1:])
        try:
            text = path.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
            raise QuestionError(
                f"{path}: cannot be read ({reason})", "Give a text file, or the prompt itself."
            ) from None
    check_not_empty(text)
    return text
