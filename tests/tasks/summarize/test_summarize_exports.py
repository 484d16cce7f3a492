"""Rows as text."""

from typing import Any

import pytest

from videoxl.tasks.summarize.exports import FORMATS, title_of

ROW: dict[str, Any] = {
    "id": "talks/a.mp4",
    "video": {"path": "talks/a.mp4", "duration": 3725.5, "fps": 25.0, "width": 640, "height": 360},
    "start": None,
    "end": None,
    "task": "summary",
    "prompt": "Summarize the video.",
    "summary": "A talk.",
    "evidence": [{"start": 61.0, "end": 62.0, "score": 0.5}],
    "chapters": [
        {"start": 0.0, "end": 751.9996, "title": "Why & how", "text": "Why & how. At length.", "evidence": []},
        {"start": 751.9996, "end": 3725.5, "title": "Chapter 2", "text": "", "evidence": []},
    ],
    "spans": [],
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


def test_a_part_of_a_video_is_told_as_such() -> None:
    for start, end, said in ((10.0, 20.0, "00:00:10-00:00:20"), (3000.0, None, "00:50:00-01:02:05")):
        facts = FORMATS["md"](ROW | {"start": start, "end": end}).split("\n\n")[1]
        assert facts == f"{said} of 01:02:05, 640x360, 1024 frames, ratio 8, videoxl-nano"


FOUND = ROW | {
    "task": "ads",
    "prompt": "Which advertisements are there?",
    "chapters": [{"start": 0.0, "end": 3725.5, "title": "Chapter 1", "text": "", "evidence": []}],
    "spans": [
        {"start": 61.0, "end": 90.0, "score": 0.9, "text": "Soap is advertised. It is blue."},
        {"start": 751.0, "end": 751.0, "score": 0.7, "text": ""},
    ],
}


def test_what_was_looked_for_stands_in_place_of_chapters() -> None:
    assert FORMATS["md"](FOUND).split("\n\n")[2:] == [
        "ads: Which advertisements are there?",
        "A talk.",
        "## 00:01:01-00:01:30 Soap is advertised",
        "Soap is advertised. It is blue.",
        "## 00:12:31 Span 2",
        "Warning: talks/a.mp4: the file is damaged\n",
    ]
    assert FORMATS["txt"](FOUND) == "00:01:01 Soap is advertised\n00:12:31 Span 2\n"
    assert "00:12:31.000 --> 00:12:32.000\n" in FORMATS["vtt"](FOUND)
    nothing = FOUND | {"spans": []}
    assert (FORMATS["vtt"](nothing), FORMATS["txt"](nothing)) == ("WEBVTT\n", "")


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
