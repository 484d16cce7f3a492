"""The keys of a run's items, which also name their files: valid on every file system."""

import hashlib
import json
import re
import unicodedata
from typing import Any

_MAX_BYTES = 112  # of a key, in UTF-8: with a file extension it stays within 120
_NUM_DIGITS = 10
_PUNCTUATION = "._-()"
# Device names on Windows, whatever follows the first full stop.
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])\.", re.IGNORECASE)


def item_key(id: str, options: dict[str, Any]) -> str:
    """Return the key of an item, for example "talks_a.mp4-e65dd09b8d", which also names its files.

    The id makes it readable, and the digits at its end make it unique. So a key does not depend on other items, and two
    keys stay different on file systems that ignore case or the way an accent is encoded.

    Args:
        id: any text.
        options: all that identifies the item, including the id; JSON.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:_NUM_DIGITS]
    return f"{_readable(id, _MAX_BYTES - _NUM_DIGITS - 1)}-{digest}"


def _readable(id: str, max_bytes: int) -> str:
    """Return the end of a text, at most `max_bytes`, with only characters that file names may have everywhere."""
    text = unicodedata.normalize("NFC", id)
    text = re.sub("/+", "_", "".join(character if _is_kept(character) else "/" for character in text))
    text = _stripped(text.encode()[1 - max_bytes :].decode(errors="ignore"))  # one byte is kept for an underscore
    return f"_{text}" if _DEVICE.match(text) else text or "video"


def _is_kept(character: str) -> bool:
    """Return whether a character is a letter, mark or digit of any script, or harmless punctuation."""
    return unicodedata.category(character)[0] in "LMN" or character in _PUNCTUATION


def _stripped(text: str) -> str:
    """Return a text without punctuation at its ends, and without marks whose letter was cut off."""
    text = text.strip("._-")
    while text and unicodedata.category(text[0])[0] == "M":
        text = text[1:].lstrip("._-")
    return text
