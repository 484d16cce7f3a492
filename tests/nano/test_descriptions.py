"""Descriptions are taken apart, and what is wrong in them is either misread or invented."""

import pytest

from videoxl.nano.evaluation.descriptions import Verdict, judge, named_things
from videoxl.tasks.needle.cards import Card

WINTER, NUMBER = Card("word", "winter", "white", "black"), Card("number", "472", "blue", "white")
CIRCLE, OTHER = Card("shape", "circle", "yellow", "red"), Card("word", "zinc", "red", "white")
CARDS = [WINTER, NUMBER, CIRCLE]


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ("the word winter, the number 472, a red circle", ["the word winter", "the number 472", "a red circle"]),
        (" The word winter,an orange star. ", ["the word winter", "an orange star"]),
        ("there is no card.", []),
        ("there is no card", []),
        ("", []),
        ("winter", ["winter"]),
    ],
)
def test_pieces(answer: str, names: list[str]) -> None:
    assert named_things(answer) == names


@pytest.mark.parametrize(
    ("answer", "named", "right", "invented", "exact"),
    [
        ("the word winter, the number 472, a red circle", 3, 3, 0, True),
        ("the number 472, the word winter, a red circle", 3, 3, 0, False),  # the order is another matter
        ("the word wintor, the number 472, a blue circle", 3, 1, 0, False),  # two are misread
        ("the word winter, the word winter", 2, 1, 1, False),
        ("the word winter, the word zinc, the number 472, a red circle", 4, 3, 1, False),
        ("the word wintor, the word zinc, the number 472", 3, 1, 1, False),  # one misread, one invented
        ("winter, the number 472", 2, 1, 1, False),  # not the name of a card
        ("there is no card.", 0, 0, 0, False),
    ],
)
def test_verdicts(answer: str, named: int, right: int, invented: int, exact: bool) -> None:
    assert judge(answer, CARDS) == Verdict(3, named, right, invented, exact)


def test_a_video_without_cards() -> None:
    assert judge("there is no card.", []) == Verdict(0, 0, 0, 0, True)
    assert judge("the word zinc", []) == Verdict(0, 1, 0, 1, False)
    assert judge("", []) == Verdict(0, 0, 0, 0, False)


def test_cards_of_one_kind() -> None:
    assert judge("the word zinc, the word winter", [OTHER, WINTER]).right == 2
    assert judge("the word zinc, the word winter, the word cat", [OTHER, WINTER]).invented == 1
