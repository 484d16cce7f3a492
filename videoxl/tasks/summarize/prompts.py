"""What the model is asked about a chapter and about the whole. The defaults are files in the package."""

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...checkpoints.hub import BUNDLED
from ...errors import QuestionError, check_not_empty

CHAPTERS = "{chapters}"
"""Stands in a prompt for the list of chapters: a line each, time and title."""
_MAX_LIST = 3000  # characters
_LIST_SHARE = 8  # of a model's positions, one in so many


@dataclass(frozen=True)
class Prompts:
    """What is asked: `chapter` about each part, `summary` about the whole."""

    chapter: str
    summary: str


def load_prompts(model: str, chapter: str | None = None, summary: str | None = None) -> Prompts:
    """Return the prompts of a run.

    Args:
        model: its own name; the bundled one does not understand long prompts.
        chapter: in words, or @FILE; None for the default.
        summary: likewise.

    Raises:
        QuestionError: a prompt is empty, or its file cannot be read.
    """
    default = "summary_of_cards" if model in BUNDLED else "summary"
    return Prompts(
        _default("chapter") if chapter is None else _given(chapter),
        _default(default) if summary is None else _given(summary),
    )


def list_room(prompt: str, max_positions: int) -> int:
    """Return the characters that the list of chapters in a prompt may have, and so the tokens to leave room for.

    A tokenizer makes at most one token of a character, but for rare ones.
    """
    return min(_MAX_LIST, max_positions // _LIST_SHARE) if CHAPTERS in prompt else 0


def with_chapters(prompt: str, lines: Sequence[str], room: int) -> str:
    """Return a prompt with the list of chapters in it; every second line is left out until it has the room."""
    lines = list(lines)
    while len("\n".join(lines)) > room and len(lines) > 1:
        lines = lines[::2]
    return prompt.replace(CHAPTERS, "\n".join(lines))


def _default(name: str) -> str:
    text = importlib.resources.files(__package__).joinpath("prompts", f"{name}.txt").read_text(encoding="utf-8")
    return text.strip()


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
