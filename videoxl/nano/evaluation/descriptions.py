"""A description in words, taken apart into the cards that it names, and held against those that there are."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...tasks.needle.cards import COLOURS, SHAPES, Card
from ..questions import NOTHING, thing

_TEXT = re.compile(r"the (word|number) [a-z0-9]+")
_SHAPE = re.compile(rf"an? ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})")


@dataclass(frozen=True)
class Verdict:
    """What a description is worth.

    Args:
        shown: cards that there are.
        named: cards that the description names; a piece that names none counts as one.
        right: of those named, such as there are, every letter right.
        invented: of those named, such as are more than there are cards of their kind; the rest is misread.
        exact: whether it is the right list in the right order.
    """

    shown: int
    named: int
    right: int
    invented: int
    exact: bool


def named_things(answer: str) -> list[str]:
    """Return what a description names, piece by piece; nothing for the sentence that says so, or for no answer."""
    text = answer.strip().lower()
    if text in (NOTHING, NOTHING.rstrip(".")):
        return []
    return [piece.strip() for piece in text.rstrip(".").split(",") if piece.strip()]


def judge(answer: str, cards: Sequence[Card]) -> Verdict:
    """Return what a description is worth, given the cards that there are, in order of time."""
    said, wanted = named_things(answer), [thing(card) for card in cards]
    common = Counter(said) & Counter(wanted)
    too_many = Counter(map(_kind, (Counter(said) - common).elements()))
    too_many -= Counter(map(_kind, (Counter(wanted) - common).elements()))
    exact = answer.strip().lower() == (", ".join(wanted) or NOTHING)
    return Verdict(len(wanted), len(said), common.total(), too_many.total(), exact)


def _kind(name: str) -> str:
    """Return the kind of card that a name tells, or nothing if it is no card's name."""
    text = _TEXT.fullmatch(name)
    return text[1] if text else "shape" if _SHAPE.fullmatch(name) else ""
