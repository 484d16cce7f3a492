"""What a worker can do while it processes an item: report progress, set a timeout, prefetch the next item."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import Item

_REPORT_SECONDS = 0.25  # minimum between two progress reports


@dataclass(frozen=True)
class ItemProgress:
    """Progress of an item.

    Args:
        done: number of units that are done.
        total: number of units in all.
        what: name of the units, for example "frames".
        seconds: since the first report about these units.
    """

    done: int
    total: int
    what: str
    seconds: float


Prepare = Callable[["Item"], Any]
"""Prepares the next item, in another thread. What it raises is raised when that item is processed."""


class ItemContext:
    """The link between a worker and the run while the worker processes an item.

    Args:
        on_progress: called with the item's progress, a few times a second at most.
        prefetch_next: called with the function that prepares the next item; None if there is no prefetching.
        prepared: returns what was prepared for this item, or raises what preparing it raised; None if nothing was.
        began: `time.perf_counter()` when the worker was idle and had received the item; None is now.
        set_timeout: called with the item's timeout in seconds; None if there is no timeout.

    Attributes:
        began: the same.
    """

    def __init__(
        self,
        on_progress: Callable[[ItemProgress], None],
        prefetch_next: Callable[[Prepare], None] | None = None,
        prepared: Callable[[], Any] | None = None,
        began: float | None = None,
        set_timeout: Callable[[float], None] | None = None,
    ) -> None:
        self.began = time.perf_counter() if began is None else began
        self._on_progress, self._prefetch_next = on_progress, prefetch_next
        self._prepared, self._set_timeout = prepared, set_timeout
        self._what = ""
        self._what_began = self._last_report = 0.0

    def report(self, done: int, total: int, what: str) -> None:
        """Report progress. It may be called as often as wanted; calls that follow too quickly are dropped.

        The clock of a new `what` starts with its first call, so make one before anything is done.
        """
        now = time.monotonic()
        if what != self._what:
            self._what, self._what_began = what, now
        if now - self._last_report >= _REPORT_SECONDS:
            self._last_report = now
            self._on_progress(ItemProgress(done, total, what, now - self._what_began))

    def set_timeout(self, seconds: float) -> None:
        """Set the item's timeout, counted from its start, in place of `Item.timeout_seconds`.

        Call it once, as soon as the limit is known. Progress does not extend a timeout.
        """
        if self._set_timeout is not None:
            self._set_timeout(seconds)

    def prefetch_next(self, prepare: Prepare) -> None:
        """Let the next item, if there is one, be prepared in another thread while this one is finished.

        Call it once, when this item no longer uses what preparing needs. The next item may arrive at once, later
        during this item, or after it.
        """
        if self._prefetch_next is not None:
            self._prefetch_next(prepare)

    def prepared(self) -> Any:
        """Return what was prepared for this item during the previous one; None if nothing was.

        Raises:
            Exception: what preparing it raised.
        """
        return None if self._prepared is None else self._prepared()
