"""Is it the items, or the worker, or the device? What failures in a row say about it."""

from dataclasses import dataclass, field

from .job import Item
from .worker import Raised

_IN_ROW = 3  # failures in a row, and it is not the items
_WORKERS = 2  # in a row, and it is not the worker
_MAX_REASON = 200  # characters


@dataclass
class Health:
    """What failed on one device since an item was last done there, apart from what was the fault of the item itself.

    An item that failed is not given up at once: if its worker does another one, the item was to blame; if more of them
    fail, the worker was, and a new one takes its place. If that does nothing either, the device is.

    Attributes:
        held: items that failed with the present worker and are not given up yet.
        failures: of items that had not failed before, with all workers.
        reason: why the present worker is to be replaced, if it is.
    """

    held: list[tuple[Item, Raised]] = field(default_factory=list)
    failures: int = 0
    reason: str = ""
    _in_row: int = 0
    _is_device_error: bool = False
    _workers: int = 0  # that were ended

    @property
    def is_worker_unfit(self) -> bool:
        """Whether the worker is to be replaced."""
        return self._is_device_error or self._in_row >= _IN_ROW

    @property
    def is_device_unfit(self) -> bool:
        """Whether no other worker is to be tried."""
        return self.failures >= _IN_ROW and self._workers >= _WORKERS

    def add(self, raised: Raised, is_news: bool) -> None:
        """Note a failure; `is_news` tells whether it says anything about the device."""
        self._in_row += 1
        self.failures += is_news
        self._is_device_error = raised.fault == "device"
        failed = (
            "failed with an error of its device" if self._is_device_error else f"failed {self._in_row} times in a row"
        )
        self.reason = f"{failed} ({raised.error}: {raised.message[:_MAX_REASON]})"

    def release(self) -> list[tuple[Item, Raised]]:
        """Return what was held, which is no longer."""
        held, self.held = self.held, []
        return held

    def end_worker(self) -> None:
        """Note that the worker has been ended, or has ended."""
        self._in_row, self._is_device_error = 0, False
        self._workers += 1
