"""Trials: which needles are inserted at which positions of a haystack, and the questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from ...errors import RunError
from .needles import LETTERS, Needle

TASKS = ("retrieval", "ordering", "counting")
_NUM_ORDERED = 3  # needles of an ordering trial; of their six orders, four are options
_MAX_COUNT = 4  # so that each number is one of four options


@dataclass(frozen=True)
class Trial:
    """One video and the questions about it.

    Args:
        number: of the trial in its cell, from 0.
        shown: the inserted needles, in order of time.
        positions: for each, the number of frames of the haystack before it; ascending.
        questions: the questions, as needles: those shown, or made for the task.
    """

    number: int
    shown: tuple[Needle, ...]
    positions: tuple[int, ...]
    questions: tuple[Needle, ...]


@dataclass(frozen=True)
class TrialOptions:
    """The options of trials.

    Args:
        task: one of `TASKS`.
        per_video: number of needles in a video, all with questions (retrieval).
        distractors: number of other needles in the video, without questions (retrieval).
        seed: of the positions of all needles but the first, and of the order of options.

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

    The first needle is at the cell's depth, after int(length * depth / 100) frames as in the reference. The others
    are at random positions in a retrieval trial, and evenly between the first and the end in the other tasks.

    Raises:
        RunError: the set has too few needles with different questions.
    """
    cell_trials = []
    for number, needle in enumerate(needles):
        rng = np.random.default_rng((options.seed, length, round(100 * depth), number))
        first = int(length * depth / 100)
        if options.task == "retrieval":
            others = _others(needles, number, options.per_video + options.distractors - 1)
            positions = [first, *rng.integers(0, length + 1, len(others)).tolist()]
            order = np.argsort(positions, kind="stable").tolist()
            shown = [(needle, *others)[index] for index in order]
            questions = (needle, *others[: options.per_video - 1])
        else:
            count = _NUM_ORDERED if options.task == "ordering" else 1 + number % _MAX_COUNT
            shown = _different(needles, number, count)
            positions = np.linspace(first, length, count + 1)[:count].astype(int).tolist()
            order = list(range(count))
            questions = (_order(shown, rng) if options.task == "ordering" else _count(count, rng),)
        cell_trials.append(Trial(number, tuple(shown), tuple(positions[index] for index in order), questions))
    return tuple(cell_trials)


def _others(needles: Sequence[Needle], number: int, count: int) -> tuple[Needle, ...]:
    """Return needles with questions of their own, so that no question has two answers in the video."""
    by_question = {needles[number].question: needles[number]}
    for other in (*needles[number + 1 :], *needles[:number]):
        by_question.setdefault(other.question, other)
    if len(by_question) <= count:
        raise RunError(
            f"{count + 1} needles with different questions are needed in a video, but the set has {len(by_question)}",
            "Ask for fewer needles or distractors, or give a set with more questions.",
        )
    return tuple(by_question.values())[1 : count + 1]


def _different(needles: Sequence[Needle], number: int, count: int) -> list[Needle]:
    """Return needles with different answers, from one needle of the set onwards."""
    by_answer: dict[str, Needle] = {}
    for needle in (*needles[number:], *needles[:number]):
        by_answer.setdefault(needle.answer, needle)
    if len(by_answer) < count:
        raise RunError(
            f"{count} needles with different answers are needed in a video, but the set has {len(by_answer)}",
            "Give a set with more needles.",
        )
    return list(by_answer.values())[:count]


def _order(shown: Sequence[Needle], rng: np.random.Generator) -> Needle:
    """Return the question for the order of needles, after VNBench (arXiv 2406.09367): four orders to choose from."""
    answers = [needle.answer for needle in shown]
    right = ", ".join(answers)
    wrong = [", ".join(order) for order in permutations(answers)][1:]
    options = [right, *(wrong[index] for index in rng.choice(len(wrong), 3, replace=False))]
    names = ", ".join(sorted(answers))
    return Needle("order", f"In which order are these shown in the video: {names}?", right, _shuffled(options, rng))


def _count(count: int, rng: np.random.Generator) -> Needle:
    options = [str(number) for number in range(1, _MAX_COUNT + 1)]
    return Needle("count", "How many cards are there in the video?", str(count), _shuffled(options, rng))


def _shuffled(options: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(options[index] for index in rng.permutation(len(options)))


def rotations(needle: Needle) -> tuple[Needle, ...]:
    """Return a question once for every rotation of its options, as in VNBench: all must be answered right."""
    count = len(needle.options)
    return tuple(
        replace(needle, options=(*needle.options[shift:], *needle.options[:shift])) for shift in range(max(1, count))
    )


def format_options(options: Sequence[str]) -> str:
    """Return options as the reference's needle file writes them: "(A) cooking\\n(B) sleeping"."""
    return "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
