"""A row of results as text: for people, for players, for video sites. Pure functions, so they can be written again."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from ...clock import clock, clock_span

Row = dict[str, Any]


def markdown(row: Row) -> str:
    """Return a page about a video: the whole, then every chapter."""
    video = row["video"]
    facts = (
        f"{clock(video['duration'])}, {video['width']}x{video['height']}, {row['frames']} frames, ratio {row['ratio']}"
    )
    parts = [f"# {_line(row['id'])}", f"{facts}, {row['model']}", row["summary"]]
    if row["evidence"]:
        seen = ", ".join(clock_span(span["start"], span["end"]) for span in row["evidence"])
        parts.append(f"Seen at {seen}.")
    for chapter in row["chapters"]:
        parts += [f"## {clock_span(chapter['start'], chapter['end'])} {_line(chapter['title'])}", chapter["text"]]
    parts += [f"Warning: {_line(warning)}" for warning in row["warnings"]]
    return "\n\n".join(part for part in parts if part) + "\n"


def vtt(row: Row) -> str:
    """Return a WebVTT file of chapters (https://www.w3.org/TR/webvtt1/), which players show as such."""
    cues = [
        f"{_precise(chapter['start'])} --> {_precise(chapter['end'])}\n{_cue(_line(chapter['title']))}\n"
        for chapter in row["chapters"]
    ]
    return "\n".join(["WEBVTT\n", *cues])


def txt(row: Row) -> str:
    """Return a line a chapter, for example "00:12:31 Title", as video sites take them in a description."""
    return "".join(f"{clock(chapter['start'])} {_line(chapter['title'])}\n" for chapter in row["chapters"])


FORMATS: dict[str, Callable[[Row], str]] = {"md": markdown, "vtt": vtt, "txt": txt}
"""How a row can be written, by the ending of the file."""


def file_names(ids: Iterable[str]) -> dict[str, str]:
    """Return a unique name for a file by id, without an ending: of the id, what every system takes."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for id in ids:
        name = plain = file_name(id)
        number = 1
        while name.lower() in taken:  # some systems do not tell capitals
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.lower())
        names[id] = name
    return names


def file_name(id: str) -> str:
    """Return the name of a file by what it is about, without an ending: of it, what every system takes."""
    return re.sub(r"[^\w.()#-]+", "_", id, flags=re.ASCII).strip("._")[-100:] or "video"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cue(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _precise(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return f"{clock(milliseconds // 1000)}.{milliseconds % 1000:03d}"
