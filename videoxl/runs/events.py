"""The events of a run. Workers are numbered by the index of their device, from 0."""

from dataclasses import dataclass
from typing import Any

from .context import ItemProgress
from .job import Item


@dataclass(frozen=True)
class Progress:
    """Progress of the run: sent at the start, and whenever an item is done or has finally failed."""

    done: int
    failed: int
    total: int

    @property
    def waiting(self) -> int:
        """Number of items that are neither done nor failed."""
        return self.total - self.done - self.failed


@dataclass(frozen=True)
class ItemStarted:
    """A worker has started an item."""

    item: Item
    worker: int


@dataclass(frozen=True)
class ItemAdvanced:
    """Progress of an item: sent a few times a second at most, if the job reports it.

    Args:
        item: the item.
        worker: number of its worker.
        progress: for example frames or chapters that are done.
    """

    item: Item
    worker: int
    progress: ItemProgress


@dataclass(frozen=True)
class ItemDone:
    """The rows of an item are on the disk; `rows` are those of `load_results`, `seconds` is the worker's time."""

    item: Item
    rows: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class ItemFailed:
    """An item failed. Sent once it is known whether it is retried, which may be after the next item has started.

    Args:
        item: the item.
        error: class of the exception; "WorkerLost" if the item's process ended, or "ItemTimeout".
        message: what is wrong, one line.
        final: the failure is in `failures.jsonl`; if not, the item will be retried.
    """

    item: Item
    error: str
    message: str
    final: bool


@dataclass(frozen=True)
class WorkerLost:
    """A worker's process ended, was ended, or could not be set up.

    Args:
        worker: its number.
        item: the item that it was processing, and that may be the cause; None if it had none.
        reason: for example "was ended by SIGKILL".
        replaced: another worker was started; if not, the run continues without this device.
    """

    worker: int
    item: Item | None
    reason: str
    replaced: bool


Event = Progress | ItemStarted | ItemAdvanced | ItemDone | ItemFailed | WorkerLost
