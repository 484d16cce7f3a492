"""The rows of items as text: a JSON object a line, the rows of an item one after another.

Every row begins with its item's `key`. If a worker gives a list, each row has `of`, their number, next: fewer rows than
that are no whole item. The text is ASCII, so that names of files that are no UTF-8 survive.
"""

import json
from pathlib import Path
from typing import Any

from ..errors import RunError
from .job import Rows

_OURS = {"key", "of"}


def encode(key: str, rows: Rows) -> str:
    """Return the lines of an item.

    Raises:
        TypeError, ValueError: these are no rows, or not JSON, or they have fields named `key` or `of`.
    """
    parts = [rows] if isinstance(rows, dict) else rows
    if not isinstance(parts, list) or not parts or not all(isinstance(row, dict) for row in parts):
        raise TypeError(f"a worker returns a dict or a list of dicts, not {rows!r:.60}")
    marks = {"key": key} if isinstance(rows, dict) else {"key": key, "of": len(parts)}
    for row in parts:
        if taken := _OURS & row.keys():
            raise ValueError(f"a row has a field named {min(taken)!r}, which is the run's")
    return lines([marks | row for row in parts])


def lines(rows: list[dict[str, Any]]) -> str:
    """Return the lines of rows that have all fields."""
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def decode(text: str) -> list[dict[str, Any]]:
    """Return the rows of lines that `encode` made."""
    return [json.loads(line) for line in text.splitlines()]


def read(path: Path) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """Return the rows of every whole item in a file, by key, and the number of bytes that hold them.

    What follows those bytes was being written when the process or the machine stopped, and is to be cut. A file that
    does not exist has no items.

    Raises:
        RunError: the file cannot be read; an item is there twice; or a line is damaged and whole items follow it, which
            no crash can cause.
    """
    try:
        written = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})", "Check its permissions.") from error
    items: dict[str, list[dict[str, Any]]] = {}
    begun: list[dict[str, Any]] = []  # rows of an item that is not whole yet
    at = whole = 0
    damaged: int | None = None
    for number, line in enumerate(written, 1):
        at += len(line)
        row = _row(line)
        if row is None or (begun and row["key"] != begun[0]["key"]):
            damaged = damaged or number - len(begun)
            begun = []
        if row is None:
            continue
        begun.append(row)
        if len(begun) < row.get("of", 1):
            continue
        if damaged is not None:
            raise RunError(f"{path}: line {damaged} is damaged", "Remove it: the same command does its item again.")
        if row["key"] in items:
            raise RunError(f"{path}: line {number}: {row['key']} is there twice", "Remove one of them.")
        items[row["key"]] = begun
        begun, whole = [], at
    return items, whole


def _row(line: bytes) -> dict[str, Any] | None:
    """Return what a line holds, None if it is not the whole line of a row."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    good = isinstance(row, dict) and isinstance(row.get("key"), str) and isinstance(row.get("of", 1), int)
    return row if good and line.endswith(b"\n") else None
