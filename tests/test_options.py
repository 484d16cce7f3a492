"""Options: checked where they are made, whole numbers as good as others."""

import dataclasses
import json

import pytest

from videoxl.errors import BudgetError, QuestionError
from videoxl.options import AnswerOptions, MemoryOptions, parse_size


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": -1},
        {"top_k": 1.5},
        {"max_new_tokens": 2.5},
        {"top_p": 0},
        {"top_p": 1.5},
        {"repetition_penalty": 0},
    ],
)
def test_answers_cannot_be_asked_for_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(QuestionError, match=f"{next(iter(wrong))} .* is out of range"):
        AnswerOptions(**wrong)


@pytest.mark.parametrize("ratio", [0, -2, "many", 2.5])
def test_what_is_no_ratio_is_refused(ratio: object) -> None:
    with pytest.raises(BudgetError, match="ratio"):
        MemoryOptions(ratio=ratio)


@pytest.mark.parametrize("options", [MemoryOptions(max_frames=7, ratio=4), AnswerOptions(temperature=2, seed=1)])
def test_they_are_values_that_json_can_hold(options: MemoryOptions | AnswerOptions) -> None:
    assert type(options)(**json.loads(json.dumps(dataclasses.asdict(options)))) == options
    assert len({options, dataclasses.replace(options)}) == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("123", 123), ("20GB", 20e9), ("1.5 tb", 1.5e12), ("500M", 500e6), ("7 kB", 7e3), ("9B", 9)],
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "many", "-1", "1.GB", "20GiB", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)
