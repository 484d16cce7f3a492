"""Rows as JSON lines: one object per line, the rows of an item next to each other.

Every row begins with its item's `key`. If the worker returned a list, each row has `of` next, the number of its rows:
an item with fewer rows is incomplete. The text is ASCII, so that file names that are not UTF-8 survive.
"""

import json
from pathlib import Path
from typing import Any

from ..errors import RunError
from .job import Rows

_RESERVED_FIELDS = {"key", "of"}


def encode(key: str, rows: Rows) -> str:
    """Return the lines of an item.

    Raises:
        TypeError, ValueError: these are not rows, or not JSON, or they have fields named `key` or `of`.
    """
    parts = [rows] if isinstance(rows, dict) else rows
    if not isinstance(parts, list) or not parts or not all(isinstance(row, dict) for row in parts):
        raise TypeError(f"a worker returns a dict or a list of dicts, not {rows!r:.60}")
    run_fields = {"key": key} if isinstance(rows, dict) else {"key": key, "of": len(parts)}
    for row in parts:
        if taken := _RESERVED_FIELDS & row.keys():
            raise ValueError(f"a row has a field named {min(taken)!r}, which is reserved for the run")
    return lines([run_fields | row for row in parts])


def lines(rows: list[dict[str, Any]]) -> str:
    """Return the lines of rows that have their `key` already."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def decode(text: str) -> list[dict[str, Any]]:
    """Return the rows of lines from `encode`."""
    return [json.loads(line) for line in text.splitlines()]


def read(path: Path) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """Return the rows of every complete item in a file, by key, and the number of bytes that hold them.

    What follows these bytes was being written when the process or the machine stopped, and should be cut off. A file
    that does not exist has no items.

    Raises:
        RunError: the file cannot be read, an item appears twice, or complete items follow a damaged line, which no
            crash can cause.
    """
    try:
        file_lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})", "Check its permissions.") from error
    items: dict[str, list[dict[str, Any]]] = {}
    pending: list[dict[str, Any]] = []  # rows of an item that is not complete yet
    end = complete_end = 0
    damaged: int | None = None
    for number, line in enumerate(file_lines, 1):
        end += len(line)
        row = _parse_row(line)
        if row is None or (pending and row["key"] != pending[0]["key"]):
            damaged = damaged or number - len(pending)
            pending = []
        if row is None:
            continue
        pending.append(row)
        if len(pending) < row.get("of", 1):
            continue
        if damaged is not None:
            raise RunError(f"{path}: line {damaged} is damaged", "Remove it; the same command redoes its item.")
        if row["key"] in items:
            raise RunError(f"{path}: line {number}: {row['key']} appears twice", "Remove one of them.")
        items[row["key"]] = pending
        pending, complete_end = [], end
    return items, complete_end


def _parse_row(line: bytes) -> dict[str, Any] | None:
    """Return the row of a line; None if it is not one complete row."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    is_row = isinstance(row, dict) and isinstance(row.get("key"), str) and isinstance(row.get("of", 1), int)
    return row if is_row and line.endswith(b"\n") else None
