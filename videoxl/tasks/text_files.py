"""Reading text files that users write: plain text, and one JSON object per line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import VideoXLError


def read_text(path: Path, error_type: type[VideoXLError], advice: str, newline: str | None = None) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark.

    Args:
        path: of the file.
        error_type: raised if it cannot be read.
        advice: of the error.
        newline: see `open`; None translates all line ends to "\\n".

    Raises:
        VideoXLError: `error_type`, if the file cannot be read or is not text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise error_type(f"{path}: cannot be read ({reason})", advice) from None


def numbered_lines(text: str, path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a file that are not blank, each after its position, "FILE:LINE".

    Only line ends separate lines: `str.splitlines` would also split at characters that text may hold, such as U+2028.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def parse_object(line: str, position: str, error_type: type[VideoXLError], advice: str) -> dict[str, Any]:
    """Return the JSON object of a line.

    Args:
        line: the text.
        position: "FILE:LINE", for the error.
        error_type: raised if the line is not a JSON object.
        advice: of the error.

    Raises:
        VideoXLError: `error_type`, if the line is not a JSON object.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise error_type(f"{position}: not valid JSON ({error})", advice) from None
    if not isinstance(value, dict):
        raise error_type(f"{position}: not a JSON object", advice)
    return value
