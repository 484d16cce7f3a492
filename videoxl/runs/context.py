"""What a worker has of the run while it does an item."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import Item

_SECONDS = 0.25  # between two amounts that are told


@dataclass(frozen=True)
class ItemProgress:
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


Prepare = Callable[["Item"], Any]
"""Begins an item that a worker will get next, in another thread; what it raises is raised in that item's turn."""


class ItemContext:
    """The time in which a worker does an item.

    Args:
        tell: takes amounts; a few a second at most.
        look_ahead: takes what prepares the next item; None where nobody looks ahead.
        prepared: returns what was prepared for this item, or raises what preparing it raised; None if nothing was.
        began: `time.perf_counter()` when the worker was free for it and had it; now, if None.
        allow: takes how long the item may take; None where nobody ends it.

    Attributes:
        began: the same.
    """

    def __init__(
        self,
        tell: Callable[[ItemProgress], None],
        look_ahead: Callable[[Prepare], None] | None = None,
        prepared: Callable[[], Any] | None = None,
        began: float | None = None,
        allow: Callable[[float], None] | None = None,
    ) -> None:
        self.began = time.perf_counter() if began is None else began
        self._tell, self._look_ahead, self._prepared, self._allow = tell, look_ahead, prepared, allow
        self._what = ""
        self._counted_from = self._told = 0.0

    def report(self, done: int, total: int, what: str) -> None:
        """Say how far the item is. May be called as often as something is done; what is too often is not told.

        The clock of a new `what` starts with its first call, so that is best one with nothing done.
        """
        now = time.monotonic()
        if what != self._what:
            self._what, self._counted_from = what, now
        if now - self._told >= _SECONDS:
            self._told = now
            self._tell(ItemProgress(done, total, what, now - self._counted_from))

    def allow(self, seconds: float) -> None:
        """Say how long the item may take, from its beginning, in place of `Item.timeout_seconds`.

        To be called once, when that is known: a limit is not put off by anything that an item does.
        """
        if self._allow is not None:
            self._allow(seconds)

    def look_ahead(self, prepare: Prepare) -> None:
        """Let the next item be prepared while this one is finished, if there is a next one.

        To be called once, when what preparing needs is not needed here any more. The next item may come at once, later
        during this item, or after it.
        """
        if self._look_ahead is not None:
            self._look_ahead(prepare)

    def prepared(self) -> Any:
        """Return what was prepared for this item during the item before; None if nothing was.

        Raises:
            Exception: what preparing it raised.
        """
        return None if self._prepared is None else self._prepared()
