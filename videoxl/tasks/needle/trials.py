"""Which needles stand where in a haystack, and what is asked then."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from ...errors import RunError
from .needles import LETTERS, Needle

TASKS = ("retrieval", "ordering", "counting")
_ORDERED = 3  # needles of an ordering trial; of their six orders, four are options
_MAX_COUNTED = 4  # so that each number is one of four options


@dataclass(frozen=True)
class Trial:
    """One video and the questions about it.

    Args:
        number: of the trial in its cell, from 0.
        shown: the needles that are put in, in order of time.
        places: for each, how many frames of the haystack stand before it; ascending.
        asked: what is asked: needles again, whether shown as they are or made up for a task.
    """

    number: int
    shown: tuple[Needle, ...]
    places: tuple[int, ...]
    asked: tuple[Needle, ...]


@dataclass(frozen=True)
class TrialOptions:
    """What a trial is made of.

    Args:
        task: one of `TASKS`.
        per_video: needles in a video, all of which are asked about (retrieval).
        distractors: other needles in the video that are not asked about (retrieval).
        seed: of the places of all needles but the first, and of the order of options.

    Raises:
        RunError: there is no such task.
    """

    task: str = "retrieval"
    per_video: int = 1
    distractors: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise RunError(f"task {self.task!r}", f"Give one of {', '.join(TASKS)}.")


def trials(needles: Sequence[Needle], options: TrialOptions, length: int, depth: float) -> tuple[Trial, ...]:
    """Return the trials of a cell: in each, every needle of the set comes first once.

    The first needle stands at the cell's depth, behind int(length * depth / 100) frames as in the reference; the
    others of a retrieval trial stand anywhere, those of the other tasks evenly between the first and the end.

    Raises:
        RunError: the set has too few needles of different questions.
    """
    made = []
    for number, needle in enumerate(needles):
        rng = np.random.default_rng((options.seed, length, round(100 * depth), number))
        first = int(length * depth / 100)
        if options.task == "retrieval":
            others = _others(needles, number, options.per_video + options.distractors - 1)
            places = [first, *rng.integers(0, length + 1, len(others)).tolist()]
            order = np.argsort(places, kind="stable").tolist()
            shown = [(needle, *others)[index] for index in order]
            asked = (needle, *others[: options.per_video - 1])
        else:
            count = _ORDERED if options.task == "ordering" else 1 + number % _MAX_COUNTED
            shown = _different(needles, number, count)
            places = np.linspace(first, length, count + 1)[:count].astype(int).tolist()
            order = list(range(count))
            asked = (_order(shown, rng) if options.task == "ordering" else _count(count, rng),)
        made.append(Trial(number, tuple(shown), tuple(places[index] for index in order), asked))
    return tuple(made)


def _others(needles: Sequence[Needle], number: int, count: int) -> tuple[Needle, ...]:
    """Return needles with questions of their own, so that no question has two answers in the video."""
    found = {needles[number].question: needles[number]}
    for other in (*needles[number + 1 :], *needles[:number]):
        found.setdefault(other.question, other)
    if len(found) <= count:
        raise RunError(
            f"{count + 1} needles with different questions are wanted in a video, but the set has {len(found)}",
            "Ask for fewer needles or distractors, or give a set with more questions.",
        )
    return tuple(found.values())[1 : count + 1]


def _different(needles: Sequence[Needle], number: int, count: int) -> list[Needle]:
    """Return needles with different answers, from one of the set on."""
    found: dict[str, Needle] = {}
    for needle in (*needles[number:], *needles[:number]):
        found.setdefault(needle.answer, needle)
    if len(found) < count:
        raise RunError(
            f"{count} needles with different answers are wanted in a video, but the set has {len(found)}",
            "Give a set with more needles.",
        )
    return list(found.values())[:count]


def _order(shown: Sequence[Needle], rng: np.random.Generator) -> Needle:
    """Return the question for the order of needles, after VNBench (arXiv 2406.09367): four orders to choose from."""
    answers = [needle.answer for needle in shown]
    right = ", ".join(answers)
    wrong = [", ".join(order) for order in permutations(answers)][1:]
    options = [right, *(wrong[index] for index in rng.choice(len(wrong), 3, replace=False))]
    named = ", ".join(sorted(answers))
    return Needle("order", f"In which order are these shown in the video: {named}?", right, _mixed(options, rng))


def _count(count: int, rng: np.random.Generator) -> Needle:
    options = [str(number) for number in range(1, _MAX_COUNTED + 1)]
    return Needle("count", "How many cards are there in the video?", str(count), _mixed(options, rng))


def _mixed(options: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(options[index] for index in rng.permutation(len(options)))


def rotations(needle: Needle) -> tuple[Needle, ...]:
    """Return a question once for every rotation of its options, as VNBench asks it: all must be answered right."""
    count = len(needle.options)
    return tuple(
        replace(needle, options=(*needle.options[turn:], *needle.options[:turn])) for turn in range(max(1, count))
    )


def listed(options: Sequence[str]) -> str:
    """Return options as the reference's needle file writes them: "(A) cooking\\n(B) sleeping"."""
    return "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
