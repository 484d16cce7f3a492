"""Where needles stand, what is asked, and when an answer is right."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from videoxl.errors import RunError
from videoxl.tasks.needle.needles import Needle
from videoxl.tasks.needle.protocols import PROTOCOLS, normalised
from videoxl.tasks.needle.trials import TrialOptions, rotations, trials

NEEDLES = tuple(Needle(f"n{i}", f"Question {i}?", f"answer {i}", (f"answer {i}", "x", "y", "z")) for i in range(6))


@pytest.mark.parametrize(("depth", "position"), [(0, 0), (25, 25), (33.3, 33), (99.9, 100), (100, 101)])
def test_the_needle_stands_behind_the_whole_number_of_frames_below(depth: float, position: int) -> None:
    made = trials(NEEDLES, TrialOptions(), 101, depth)
    assert [trial.positions for trial in made] == [(position,)] * 6
    assert [trial.questions for trial in made] == [(needle,) for needle in NEEDLES]


def test_several_needles_a_video_are_all_asked_and_distractors_are_not() -> None:
    options = TrialOptions(per_video=3, distractors=2)
    for number, trial in enumerate(trials(NEEDLES, options, 200, 50)):
        shown, questions = trial.shown, trial.questions
        assert len(shown) == 5 and len({needle.question for needle in shown}) == 5
        assert len(questions) == 3 and questions[0] is NEEDLES[number] and set(questions) < set(shown)
        positions = [*trial.positions]
        assert positions == sorted(positions) and positions[0] >= 0 and positions[-1] <= 200
        assert positions[trial.shown.index(NEEDLES[number])] == 100
    assert trials(NEEDLES, options, 200, 50) == trials(NEEDLES, options, 200, 50)
    assert trials(NEEDLES, TrialOptions(per_video=3, distractors=2, seed=1), 200, 50) != trials(
        NEEDLES, options, 200, 50
    )


def test_no_question_has_two_answers_in_a_video() -> None:
    same = [Needle(f"n{i}", "What word?", f"w{i}") for i in range(4)]
    assert len(trials(same, TrialOptions(), 10, 0)) == 4
    with pytest.raises(RunError, match=r"2 .* 1$"):
        trials(same, TrialOptions(distractors=1), 10, 0)


def test_ordering_and_counting_ask_what_the_video_shows() -> None:
    for trial in trials(NEEDLES, TrialOptions("ordering"), 90, 50):
        (asked,) = trial.questions
        assert asked.answer == ", ".join(needle.answer for needle in trial.shown) and trial.positions == (45, 60, 75)
        assert len(set(asked.options)) == 4 and asked.answer in asked.options
        assert {frozenset(option.split(", ")) for option in asked.options} == {
            frozenset(needle.answer for needle in trial.shown)
        }
    for trial in trials(NEEDLES, TrialOptions("counting"), 90, 0):
        (asked,) = trial.questions
        assert asked.answer == str(len(trial.shown)) and sorted(asked.options) == ["1", "2", "3", "4"]


def test_rotations_put_every_option_everywhere_once() -> None:
    turns = rotations(NEEDLES[0])
    assert sorted(turn.letter for turn in turns) == ["A", "B", "C", "D"]
    assert all(turn.answer == NEEDLES[0].answer for turn in turns)


@dataclass
class Scripted:
    """A model that says what it is told; notes how it was asked."""

    says: Any
    config: Any = None
    fingerprint: str = ""

    def __post_init__(self) -> None:
        self.config = SimpleNamespace(prompt="system<image>\n{question}assistant\n")
        self.asked: list[str] = []

    def with_prompt(self, prompt: str) -> "Scripted":
        self.config.prompt = prompt
        return self

    def ask(self, memory: Any, question: str, max_new_tokens: int) -> Any:
        self.asked.append(self.config.prompt.replace("{question}", question))
        return SimpleNamespace(text=self.says(question) if callable(self.says) else self.says)


@dataclass
class Memory:
    fingerprint: str = ""


@pytest.mark.parametrize(
    ("response", "score"), [("A) answer 0", 1.0), ("A", 1.0), ("B) A", 0.0), ("The answer is A) or B)", 1.0), ("", 0.0)]
)
def test_video_xl_looks_for_the_letter_before_the_first_bracket(response: str, score: float) -> None:
    model = Scripted(response)
    said = PROTOCOLS["video-xl"].ask(model, Memory(), NEEDLES[0], rotated=False)  # type: ignore[arg-type]
    assert said.score == score and said.response == response
    (prompt,) = model.asked
    assert prompt.startswith("system<image>Question: Question 0?") and prompt.endswith("assistant\nBest option:(")


def test_a_rotated_question_is_right_only_if_every_rotation_is() -> None:
    first = Scripted("A)")  # always the first letter: right in one rotation of four
    said = PROTOCOLS["video-xl"].ask(first, Memory(), NEEDLES[0], rotated=True)  # type: ignore[arg-type]
    assert said.score == 0.0 and len(first.asked) == 4

    def knows(question: str) -> str:
        return question[question.index(") answer 0") - 1] + ")"

    said = PROTOCOLS["video-xl"].ask(Scripted(knows), Memory(), NEEDLES[0], rotated=True)  # type: ignore[arg-type]
    assert said.score == 1.0


@pytest.mark.parametrize(
    ("response", "answer", "same"),
    [("The Tower.", "tower", True), (" 472 ", "472", True), ("a red circle", "red circle", True),
     ("", "a", False), ("A", "a", True), ("The", "a", False),
     ("towers", "tower", False), ("there is no number.", "no number", False), ("ÉTÉ", "été", True)],
)  # fmt: skip
def test_free_answers_are_compared_without_what_does_not_matter(response: str, answer: str, same: bool) -> None:
    assert (normalised(response) == normalised(answer)) is same
