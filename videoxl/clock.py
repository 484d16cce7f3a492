"""Times in a video as people write them."""


def clock(seconds: float) -> str:
    """Return for example "00:12:31"; parts of a second are cut off, as a player does."""
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def clock_span(start: float, end: float) -> str:
    """Return for example "00:12:31-00:12:41", or one time if both read the same."""
    first, last = clock(start), clock(end)
    return first if first == last else f"{first}-{last}"
