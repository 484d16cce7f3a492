"""What a worker has of the run while it does an item."""

import time
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS = 0.25  # between two amounts that are told


@dataclass(frozen=True)
class Amount:
    """How far an item is.

    Args:
        done: so many,
        total: of so many,
        what: of these, for example "frames".
        seconds: since the first of them was begun.
    """

    done: int
    total: int
    what: str
    seconds: float


class Turn:
    """The time in which a worker does an item.

    Args:
        tell: takes amounts; a few a second at most.
    """

    def __init__(self, tell: Callable[[Amount], None]) -> None:
        self._tell = tell
        self._what = ""
        self._began = self._told = 0.0

    def report(self, done: int, total: int, what: str) -> None:
        """Say how far the item is. May be called as often as something is done; what is too often is not told.

        The clock of a new `what` starts with its first call, so that is best one with nothing done.
        """
        now = time.monotonic()
        if what != self._what:
            self._what, self._began = what, now
        if now - self._told >= _SECONDS:
            self._told = now
            self._tell(Amount(done, total, what, now - self._began))
