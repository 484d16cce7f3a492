"""Tasks, and what is asked for them."""

from pathlib import Path

import pytest

from videoxl.errors import QuestionError
from videoxl.tasks.summarize.prompts import (
    JUDGED,
    check_lists,
    check_prompts,
    load_prompts,
    max_list_length,
    read_task,
    with_list,
)

NANO = "videoxl-nano"


def test_a_task_is_a_name_or_a_question(tmp_path: Path) -> None:
    for task in ("summary", "ads", "anomalies", "Who speaks first?", "Name the speaker", "Explosions?"):
        assert read_task(task) == task
    (tmp_path / "question.txt").write_text("Who, and\nwhy?\n")
    assert read_task(f"@{tmp_path / 'question.txt'}") == "Who, and\nwhy?"
    for wrong in ("anomaly", "Summary", "", f"@{tmp_path / 'missing.txt'}"):
        with pytest.raises(QuestionError):
            read_task(wrong)


def test_prompts_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Which {chapters}?\n")
    prompts = load_prompts("other", chapter="Who?", summary=f"@{tmp_path / 'mine.txt'}")
    assert (prompts.chapter, prompts.summary, prompts.span) == ("Who?", "Which {chapters}?", None)
    assert "{chapters}" in load_prompts("other").summary and "{chapters}" not in load_prompts(NANO).summary
    for wrong in (" ", f"@{tmp_path / 'missing.txt'}"):
        with pytest.raises(QuestionError):
            load_prompts("other", summary=wrong)


@pytest.mark.parametrize("task", JUDGED)
def test_what_is_looked_for_has_prompts_of_its_own(task: str) -> None:
    prompts = load_prompts("other", task)
    assert prompts.chapter is not None and prompts.chapter.endswith("? Answer yes or no.")
    assert prompts.span is not None and "{spans}" in prompts.summary
    mine = load_prompts("other", task, "Is it?", "What is it?", "Where is it? {spans}")
    assert mine.texts == ("Where is it? {spans}", "Is it?", "What is it?")


def test_a_question_is_asked_as_it_is() -> None:
    assert load_prompts("other", "Who speaks?").texts == ("Who speaks?",)
    assert load_prompts("other", "Who speaks?", span="What is said?").texts == ("Who speaks?", "What is said?")


@pytest.mark.parametrize(
    ("task", "given", "advice"),
    [
        ("Who speaks?", {"summary": "Who?"}, "--prompt"),
        ("Who speaks?", {"chapter": "Who?"}, "--chapter-prompt"),
        ("summary", {"span": "Who?"}, "--span-prompt"),
    ],
)
def test_prompts_without_a_meaning_are_refused(task: str, given: dict[str, str], advice: str) -> None:
    with pytest.raises(QuestionError) as caught:
        check_prompts(task, **{"chapter": None, "span": None, "summary": None, **given})
    assert advice in caught.value.advice


def test_a_list_that_the_task_does_not_make_is_refused() -> None:
    for task, name in (("summary", "{spans}"), ("ads", "{chapters}"), ("Who?", "{chapters}")):
        with pytest.raises(QuestionError, match=r"\{"):
            check_lists(task, f"Of {name}?")
    with pytest.raises(QuestionError, match=r"\{chapters\}"):
        load_prompts("other", "ads", summary="{chapters}")


def test_a_list_that_is_too_long_is_thinned_out() -> None:
    lines = [f"00:{number:02d}:00 {'x' * 90}" for number in range(60)]
    text = with_list("{chapters}\nSummarize.", lines, 2000)
    assert text.splitlines() == [*lines[::4], "Summarize."]
    assert with_list("{chapters}!", ["a", "b"], 3) == "a\nb!"
    assert with_list("{spans}!", [], 3) == "none!"
    assert (
        max_list_length("{spans}", 32768) == 3000
        and max_list_length("{chapters}", 800) == 100
        and max_list_length("?", 800) == 0
    )
