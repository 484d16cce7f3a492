"""The tasks and their prompts. The default prompts are files in the package, in one folder per task."""

import importlib.resources
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...checkpoints.hub import BUNDLED
from ...errors import QuestionError, check_not_empty
from ..text_files import read_text

SUMMARY = "summary"
JUDGED = ("anomalies", "ads")
"""Detection tasks: a yes/no question is asked about each part of the video."""
NAMED = (SUMMARY, *JUDGED)
"""All tasks except a question in words."""
_LISTS = {SUMMARY: "{chapters}", **dict.fromkeys(JUDGED, "{spans}")}  # placeholder in the prompt for the list
_TASK_ADVICE = "Give summary, anomalies, ads, or a question in words."
_MAX_LIST_LENGTH = 3000  # characters
_LIST_SHARE = 8  # at most one in so many of a model's positions


@dataclass(frozen=True)
class Prompts:
    """The prompts of a run.

    Args:
        summary: about the whole video.
        chapter: about every chapter, to describe it, or a yes/no question about its parts; None for none.
        span: about every span that was found; None repeats the question, if that is the task.
    """

    summary: str
    chapter: str | None = None
    span: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All prompts."""
        return tuple(text for text in (self.summary, self.chapter, self.span) if text is not None)


def read_task(text: str) -> str:
    """Return a task: one of `NAMED`, or a question in words.

    Args:
        text: the task, or @FILE with a question.

    Raises:
        QuestionError: it is a single word but not a task, it is empty, or its file cannot be read.
    """
    task = _read_prompt(text)
    _check_task(task)
    return task


def _check_task(task: str) -> None:
    if task not in NAMED and not task.endswith("?") and len(task.split()) == 1:
        raise QuestionError(f"{task!r} is not a task", _TASK_ADVICE)


def check_prompts(task: str, chapter: str | None, span: str | None, summary: str | None) -> None:
    """Raise QuestionError if a prompt is given, in words or as @FILE, that the task does not use."""
    if task not in NAMED and summary is not None:
        raise QuestionError("the task is a question, which is the prompt about the whole", "Leave out --prompt.")
    if task not in NAMED and chapter is not None:
        raise QuestionError("a question is not asked about chapters", "Leave out --chapter-prompt.")
    if task == SUMMARY and span is not None:
        raise QuestionError("a summary has no spans", "Leave out --span-prompt, or choose another --task.")


def check_lists(task: str, prompt: str) -> None:
    """Raise QuestionError if a prompt about the whole has a placeholder that the task does not fill."""
    placeholder = _LISTS.get(task)
    for name in set(_LISTS.values()) - {placeholder}:
        if name in prompt:
            advice = f"Use {placeholder}, or leave it out." if placeholder else "Leave it out."
            raise QuestionError(f"{name} is not available in this task", advice)


def load_prompts(
    model: str, task: str = SUMMARY, chapter: str | None = None, span: str | None = None, summary: str | None = None
) -> Prompts:
    """Return the prompts of a run.

    Args:
        model: its name; the bundled model does not understand long prompts.
        task: from `read_task`.
        chapter: in words, or @FILE; None for the task's default.
        span: likewise; a question has no default.
        summary: likewise.

    Raises:
        QuestionError: a prompt is empty, its file cannot be read, or the task does not use it; or the task is a single
            word but not a task.
    """
    _check_task(task)
    check_prompts(task, chapter, span, summary)
    if task not in NAMED:
        return Prompts(task, span=None if span is None else _read_prompt(span))
    default = "summary_of_cards" if task == SUMMARY and model in BUNDLED else "summary"
    prompts = Prompts(
        _default(task, default) if summary is None else _read_prompt(summary),
        _default(task, "chapter") if chapter is None else _read_prompt(chapter),
        None if task == SUMMARY else _default(task, "span") if span is None else _read_prompt(span),
    )
    check_lists(task, prompts.summary)
    return prompts


def max_list_length(prompt: str, max_positions: int) -> int:
    """Return the largest length of the list in a prompt in characters, which is also enough tokens for it.

    A tokenizer makes at most one token per character, except for rare characters.
    """
    has_list = any(name in prompt for name in _LISTS.values())
    return min(_MAX_LIST_LENGTH, max_positions // _LIST_SHARE) if has_list else 0


def with_list(prompt: str, lines: Sequence[str], max_length: int) -> str:
    """Return a prompt with its list filled in; every second line is dropped until the list fits."""
    lines = list(lines) or ["none"]
    while len("\n".join(lines)) > max_length and len(lines) > 1:
        lines = lines[::2]
    # In one pass: a model wrote the lines, so placeholders in them are not filled.
    return re.sub("|".join(map(re.escape, set(_LISTS.values()))), lambda name: "\n".join(lines), prompt)


def _default(task: str, name: str) -> str:
    path = importlib.resources.files(__package__).joinpath("prompts", task, f"{name}.txt")
    return path.read_text(encoding="utf-8").strip()


def _read_prompt(text: str) -> str:
    if text.startswith("@"):
        text = read_text(Path(text[1:]), QuestionError, "Give a text file, or the prompt itself.").strip()
    check_not_empty(text)
    return text
