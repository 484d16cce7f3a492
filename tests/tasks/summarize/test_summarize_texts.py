"""Rows as text."""

from typing import Any

import pytest

from videoxl.errors import QuestionError
from videoxl.tasks.summarize.job import title_of
from videoxl.tasks.summarize.prompts import list_room, load_prompts, with_chapters
from videoxl.tasks.summarize.texts import FORMATS, file_names

ROW: dict[str, Any] = {
    "id": "talks/a.mp4",
    "video": {"path": "talks/a.mp4", "duration": 3725.5, "fps": 25.0, "width": 640, "height": 360},
    "summary": "A talk.",
    "evidence": [{"start": 61.0, "end": 62.0, "score": 0.5}],
    "chapters": [
        {"start": 0.0, "end": 751.9996, "title": "Why & how", "text": "Why & how. At length."},
        {"start": 751.9996, "end": 3725.5, "title": "Chapter 2", "text": ""},
    ],
    "frames": 1024,
    "ratio": 8,
    "warnings": ["talks/a.mp4: the file is damaged"],
    "timings": {"total": 1.0},
    "model": "videoxl-nano",
}


def test_chapters_for_players() -> None:
    assert FORMATS["vtt"](ROW) == (
        "WEBVTT\n\n00:00:00.000 --> 00:12:32.000\nWhy &amp; how\n\n00:12:32.000 --> 01:02:05.500\nChapter 2\n"
    )


def test_chapters_for_video_sites() -> None:
    assert FORMATS["txt"](ROW | {"chapters": [ROW["chapters"][0], {"start": 751.0, "title": "Who"}]}) == (
        "00:00:00 Why & how\n00:12:31 Who\n"
    )


def test_a_page_for_people() -> None:
    assert FORMATS["md"](ROW).split("\n\n") == [
        "# talks/a.mp4",
        "01:02:05, 640x360, 1024 frames, ratio 8, videoxl-nano",
        "A talk.",
        "Seen at 00:01:01-00:01:02.",
        "## 00:00:00-00:12:31 Why & how",
        "Why & how. At length.",
        "## 00:12:31-01:02:05 Chapter 2",
        "Warning: talks/a.mp4: the file is damaged\n",
    ]


def test_names_of_files_are_safe_and_unique() -> None:
    names = file_names(["a/b.mp4", "a_b.mp4", "A_B.mp4", "../../x", "é", "…", "x" * 300, "a.mp4#2"])
    assert [*names.values()] == [*("a_b.mp4", "a_b.mp4-2", "A_B.mp4-3", "x", "video", "video-2", "x" * 100, "a.mp4#2")]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("a red circle", "A red circle"),
        ("A man speaks. He sits.", "A man speaks"),
        ("it costs 2.5 euros.\nMore.", "It costs 2.5 euros"),
        ("", ""),
        ("word " * 30, " ".join(["Word"] + ["word"] * 11) + " …"),
    ],
)
def test_the_title_is_the_beginning_of_the_text(text: str, title: str) -> None:
    assert title_of(text) == title


def test_prompts_can_be_replaced(tmp_path: Any) -> None:
    (tmp_path / "mine.txt").write_text("Which {chapters}?\n")
    prompts = load_prompts("other", chapter="Who?", summary=f"@{tmp_path / 'mine.txt'}")
    assert (prompts.chapter, prompts.summary) == ("Who?", "Which {chapters}?")
    assert "{chapters}" in load_prompts("other").summary and "{chapters}" not in load_prompts("videoxl-nano").summary
    for wrong in (" ", f"@{tmp_path / 'missing.txt'}"):
        with pytest.raises(QuestionError):
            load_prompts("other", summary=wrong)


def test_a_list_that_is_too_long_is_thinned_out() -> None:
    lines = [f"00:{number:02d}:00 {'x' * 90}" for number in range(60)]
    text = with_chapters("{chapters}\nSummarize.", lines, 2000)
    assert text.splitlines() == [*lines[::4], "Summarize."]
    assert with_chapters("{chapters}!", ["a", "b"], 3) == "a\nb!"
    assert list_room("{chapters}", 32768) == 3000 and list_room("{chapters}", 800) == 100 and list_room("?", 800) == 0
