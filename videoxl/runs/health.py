"""Whether failures in a row point to the items, to the worker or to its device."""

from dataclasses import dataclass, field

from .job import Item
from .worker import ItemError

_MAX_FAILURES = 3  # in a row: then the items are not the cause
_MAX_WORKERS = 2  # in a row: then the worker is not the cause
_MAX_REASON = 200  # characters


@dataclass
class Health:
    """Failures on one device since the last success there, without those that the item itself caused.

    A failed item is held until its cause is known. If the worker completes another item, the item was the cause. If
    more items fail, the worker was, and is replaced. If a new worker does not help, the device is.

    Attributes:
        held: items that failed with the present worker, and their errors, whose cause is not known yet.
        failures: number of items that failed for the first time, with any worker of this device.
        reason: why the present worker should be replaced; empty if it should not.
    """

    held: list[tuple[Item, ItemError]] = field(default_factory=list)
    failures: int = 0
    reason: str = ""
    _num_consecutive: int = 0
    _is_device_error: bool = False
    _num_workers: int = 0  # that have ended

    @property
    def is_worker_unhealthy(self) -> bool:
        """Whether the worker should be replaced."""
        return self._is_device_error or self._num_consecutive >= _MAX_FAILURES

    @property
    def is_device_unhealthy(self) -> bool:
        """Whether no other worker should be started on the device."""
        return self.failures >= _MAX_FAILURES and self._num_workers >= _MAX_WORKERS

    def add(self, error: ItemError, counts_for_device: bool) -> None:
        """Record a failure; `counts_for_device` is whether it says anything about the device."""
        self._num_consecutive += 1
        self.failures += counts_for_device
        self._is_device_error = error.fault == "device"
        failed = (
            "failed with an error of its device"
            if self._is_device_error
            else f"failed {self._num_consecutive} times in a row"
        )
        self.reason = f"{failed} ({error.error}: {error.message[:_MAX_REASON]})"

    def release(self) -> list[tuple[Item, ItemError]]:
        """Return the held items, and hold none."""
        held, self.held = self.held, []
        return held

    def end_worker(self) -> None:
        """Record that the worker has ended."""
        self._num_consecutive, self._is_device_error = 0, False
        self._num_workers += 1
