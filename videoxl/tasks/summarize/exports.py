"""A row of results as Markdown, as WebVTT chapters, and as a list of chapters. Pure functions of the row."""

from collections.abc import Callable
from typing import Any

from ...timestamps import format_span, format_timestamp
from .prompts import SUMMARY

Row = dict[str, Any]
_TITLE_LENGTH = 60


def markdown(row: Row) -> str:
    """Return a page about a video: the summary, then every chapter, or every span if the task finds spans."""
    video = row["video"]
    cut = part_of(row)
    excerpt = f"{format_span(*cut)} of " if cut else ""
    size = f"{video['width']}x{video['height']}"
    details = [
        f"{excerpt}{format_timestamp(video['duration'])}",
        size,
        f"{row['frames']} frames",
        f"ratio {row['ratio']}",
        row["model"],
    ]
    parts = [f"# {_line(row['id'])}", ", ".join(details)]
    if row["task"] != SUMMARY:
        label = "" if row["task"] == row["prompt"] else f"{row['task']}: "
        parts.append(_line(label + row["prompt"]))
    parts.append(row["summary"])
    if row["task"] == SUMMARY and row["evidence"]:
        times = ", ".join(format_span(span["start"], span["end"]) for span in row["evidence"])
        parts.append(f"Seen at {times}.")
    for part in parts_of(row):
        parts += [f"## {format_span(part['start'], part['end'])} {_line(part['title'])}", part["text"]]
    parts += [f"Warning: {_line(warning)}" for warning in row["warnings"]]
    return "\n\n".join(part for part in parts if part) + "\n"


def vtt(row: Row) -> str:
    """Return a WebVTT file of chapters or spans (https://www.w3.org/TR/webvtt1/), which players show as chapters."""
    cues = [
        # The span of a single frame has no length, and a cue must have one.
        f"{_precise(part['start'])} --> {_precise(max(part['end'], part['start'] + 1))}\n{_cue(_line(part['title']))}\n"
        for part in parts_of(row)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def txt(row: Row) -> str:
    """Return one line per chapter or span, such as "00:12:31 Title", for the description on a video site."""
    return "".join(f"{format_timestamp(part['start'])} {_line(part['title'])}\n" for part in parts_of(row))


FORMATS: dict[str, Callable[[Row], str]] = {"md": markdown, "vtt": vtt, "txt": txt}
"""The formats of a row, by file extension."""


def title_of(text: str) -> str:
    """Return the first sentence of a description, cut at a whole word to at most 60 characters."""
    first = " ".join(text.split()).partition(". ")[0].rstrip(".")
    if len(first) > _TITLE_LENGTH:
        first = first[:_TITLE_LENGTH].rpartition(" ")[0].rstrip(",;:") or first[:_TITLE_LENGTH]
        first += " …"
    return first[:1].upper() + first[1:]


def part_of(row: Row) -> tuple[float, float] | None:
    """Return start and end in seconds of the part of a video that was requested; None if that was the whole video."""
    if row["start"] is None and row["end"] is None:
        return None
    duration = row["video"]["duration"]
    return row["start"] or 0.0, duration if row["end"] is None else min(row["end"], duration)


def parts_of(row: Row) -> list[dict[str, Any]]:
    """Return the parts of a video: the chapters of a summary, else the spans."""
    if row["task"] == SUMMARY:
        return list(row["chapters"])
    return [span | {"title": title_of(span["text"]) or f"Span {number}"} for number, span in enumerate(row["spans"], 1)]


def _line(text: str) -> str:
    return " ".join(text.split())


def _cue(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _precise(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return f"{format_timestamp(milliseconds // 1000)}.{milliseconds % 1000:03d}"
