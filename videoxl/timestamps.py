"""Times in a video as people write them."""

import math


def format_timestamp(seconds: float) -> str:
    """Return for example "00:12:31"; parts of a second are cut off, as a player does."""
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def format_span(start: float, end: float) -> str:
    """Return for example "00:12:31-00:12:41", or one time if both read the same."""
    first, last = format_timestamp(start), format_timestamp(end)
    return first if first == last else f"{first}-{last}"


def parse_timestamp(text: str) -> float:
    """Return seconds from "90", "1:30" or "00:01:30.5".

    Raises:
        ValueError: it is not a time.
    """
    parts = [float(part) for part in text.split(":")]
    good = all(0 <= part < math.inf for part in parts) and all(part < 60 for part in parts[1:])
    if len(parts) > 3 or not good:
        raise ValueError(f"{text!r} is not a time")
    return sum(part * 60**power for power, part in enumerate(reversed(parts)))
