"""The names of a run's items and of their files: functions of what is asked for, which every file system takes."""

import hashlib
import json
import re
import unicodedata
from typing import Any

_BYTES = 112  # of a key, in UTF-8: with the ending of a file it stays within 120
_DIGITS = 10
_PUNCTUATION = "._-()"
# Windows takes these for devices, whatever follows the first full stop.
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])\.", re.IGNORECASE)


def item_key(id: str, asked: dict[str, Any]) -> str:
    """Return the key of an item, for example "talks_a.mp4-e65dd09b8d", which is the name of its files, too.

    What people read of it is the id; what tells it from all others are its last digits. So a name does not depend on
    which others there are, and two are not one file where capitals, or ways to write an accent, are not told apart.

    Args:
        id: any text.
        asked: all that an item is told apart by, the id included; JSON.
    """
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:_DIGITS]
    return f"{_readable(id, _BYTES - _DIGITS - 1)}-{digest}"


def _readable(id: str, most: int) -> str:
    """Return of a text what every system takes in the name of a file, from its end, at most so many bytes."""
    text = unicodedata.normalize("NFC", id)
    text = re.sub("/+", "_", "".join(character if _is_kept(character) else "/" for character in text))
    text = _stripped(text.encode()[1 - most :].decode(errors="ignore"))  # a byte is left for what follows
    return f"_{text}" if _DEVICE.match(text) else text or "video"


def _is_kept(character: str) -> bool:
    """Return whether it is a letter, with its marks, or a digit, of any script; or harmless."""
    return unicodedata.category(character)[0] in "LMN" or character in _PUNCTUATION


def _stripped(text: str) -> str:
    """Return a text without punctuation at its ends, and marks that have lost their letter."""
    text = text.strip("._-")
    while text and unicodedata.category(text[0])[0] == "M":
        text = text[1:].lstrip("._-")
    return text
