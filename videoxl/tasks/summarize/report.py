"""The HTML page of a run: the results of each video, with pictures, and the failures. It needs no network."""

import base64
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from ...checkpoints.hub import BUNDLED
from ...runs.row_file import write_file
from ...runs.state import Failure
from ...timestamps import format_span, format_timestamp
from .exports import part_of, parts_of

REPORT = "report.html"
_LIMITS = "videoxl-nano understands only cards in a video: words, numbers, shapes, colours; nothing else."


def write_report(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    failures: Sequence[Failure],
    waiting: int = 0,
    self_contained: bool = False,
) -> Path:
    """Write the page of a run into its folder, and return its path.

    Args:
        folder: of the run, with the contact sheets; missing ones are left out.
        rows: of the videos that are done; paths in them are relative to the current folder.
        failures: of the videos that failed.
        waiting: number of the other videos.
        self_contained: embed the contact sheets in the page, so that it is a single file; else it links to them.

    Raises:
        RunError: it cannot be written.
    """
    text = _template().render(
        videos=[_Video(folder, row, self_contained) for row in rows],
        failures=failures,
        waiting=waiting,
        seconds=sum(row["timings"]["total"] for row in rows),
        length=sum(row["video"]["duration"] for row in rows),
        models=sorted({row["model"] for row in rows}),
        limits=_LIMITS if any(row["model"] in BUNDLED for row in rows) else None,
    )
    write_file(folder / REPORT, text.encode("utf-8", "backslashreplace"))  # names of files need not be Unicode
    return folder / REPORT


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "clock": format_timestamp,
        "span": format_span,
        "hours": _hours,
        "says_more": _says_more,
        "part": part_of,
        "parts": parts_of,
    }
    return environment.get_template("report.html.jinja")


class _Video:
    """A row, prepared for the page."""

    def __init__(self, folder: Path, row: dict[str, Any], self_contained: bool) -> None:
        self.row = row
        self._link = _url(os.path.abspath(row["video"]["path"]), os.path.abspath(folder))
        sheet, columns = row["sheet"], row["sheet"]["columns"]
        rows = -(-len(sheet["times"]) // columns)
        self.sheet = (
            _data_uri(folder / sheet["file"])
            if self_contained
            else quote(sheet["file"])
            if (folder / sheet["file"]).exists()
            else None
        )
        self.size = f"{100 * columns}% {100 * rows}%"
        self.aspect = f"{sheet['width']} / {sheet['height']}"
        self.pictures = [
            (time, f"{_offset(cell % columns, columns)} {_offset(cell // columns, rows)}")
            for cell, time in enumerate(sheet["times"])
        ]

    def link(self, seconds: float) -> str:
        """Return the URL of a time in the video, relative to the page (https://www.w3.org/TR/media-frags/)."""
        return f"{self._link}#t={seconds:g}"


def _url(path: str, folder: str) -> str:
    """Return the URL of a file, relative to a page in a folder."""
    try:
        return quote(os.fsencode(Path(os.path.relpath(path, folder)).as_posix()))
    except ValueError:  # on another drive
        return Path(path).as_uri()


def _offset(index: int, count: int) -> str:
    """Return the position of a background picture that shows one of its cells."""
    return f"{100 * index / max(1, count - 1):.4g}%"


def _data_uri(path: Path) -> str | None:
    try:
        return f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}"
    except OSError:
        return None


def _says_more(chapter: dict[str, Any]) -> bool:
    """Return whether a chapter's text is more than its title, which is its beginning."""
    text = chapter["text"].rstrip(".")
    return bool(text) and bool(text.lower() != chapter["title"].lower())


def _hours(seconds: float) -> str:
    """Return for example "2 h 05 min", "3 min 20 s" or "12.3 s"."""
    minutes = int(seconds // 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {int(seconds % 60):02d} s" if minutes else f"{seconds:.1f} s"
