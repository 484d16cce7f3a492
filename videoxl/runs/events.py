"""What a run tells while it goes on. Workers are named by their place in the run's devices, from 0."""

from dataclasses import dataclass
from typing import Any

from .context import ItemProgress
from .job import Item


@dataclass(frozen=True)
class Progress:
    """How far the run is; told at the start, and whenever an item is done or has failed for good."""

    done: int
    failed: int
    total: int

    @property
    def waiting(self) -> int:
        """Items that are neither done nor failed."""
        return self.total - self.done - self.failed


@dataclass(frozen=True)
class ItemStarted:
    """A worker has got an item."""

    item: Item
    worker: int


@dataclass(frozen=True)
class ItemAdvanced:
    """How far a worker is with its item; told a few times a second at most, and by jobs that know it.

    Args:
        item: which.
        worker: which.
        progress: so many frames, or chapters, or what it may be.
    """

    item: Item
    worker: int
    progress: ItemProgress


@dataclass(frozen=True)
class ItemDone:
    """The rows of an item are on the disk; `rows` are as `load_results` gives them, `seconds` is the worker's time."""

    item: Item
    rows: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class ItemFailed:
    """An item failed. That is told when it is known whether it is tried again, which may be after the next item.

    Args:
        item: which.
        error: the class of the exception, "WorkerLost" if the item ended the process that did it, or "ItemTimeout".
        message: what is wrong, one line.
        final: it is in `failures.jsonl`; if not, it will be tried again.
    """

    item: Item
    error: str
    message: str
    final: bool


@dataclass(frozen=True)
class WorkerLost:
    """A worker's process ended, was ended, or could not be set up.

    Args:
        worker: which.
        item: what it was doing, and may have died of; None if nothing.
        reason: for example "was ended by SIGKILL".
        replaced: another process takes its place; if not, the run goes on without this device.
    """

    worker: int
    item: Item | None
    reason: str
    replaced: bool


Event = Progress | ItemStarted | ItemAdvanced | ItemDone | ItemFailed | WorkerLost
