"""The workers of a run. A crew is given items and asked what came of them; it knows no folder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .job import Item, Job
from .process import Done, Raised, attempt
from .turn import Amount, Turn

OnAmount = Callable[[int, Item, Amount], None]
"""Told how far a worker is with its item."""


@dataclass(frozen=True)
class Lost:
    """A worker is gone; `replaced` tells whether another takes its place."""

    reason: str
    replaced: bool


@dataclass(frozen=True)
class Report:
    """What came of an item, or of a worker that had none."""

    worker: int
    item: Item | None
    outcome: Done | Raised | Lost


class Crew(Protocol):
    """Workers. They are named by numbers from 0."""

    @property
    def size(self) -> int:
        """Number of workers, also of those that are not set up yet."""
        ...

    @property
    def busy(self) -> bool:
        """Whether an item is with a worker."""
        ...

    def free(self) -> list[int]:
        """Return the workers that have no item and can be given one."""
        ...

    def ahead(self) -> list[int]:
        """Return the workers that have one item and can be given the next."""
        ...

    def give(self, worker: int, item: Item) -> None:
        """Give an item to a worker; behind the one that it may have."""
        ...

    def wait(self) -> list[Report]:
        """Wait until something happens; it need not be about an item.

        A worker that is lost had the item that is reported; the next one, if it had that too, is not with it any more.

        Raises:
            VideoXLError: no worker is left, or can be set up.
        """
        ...

    def close(self) -> None:
        """End all workers at once; what they were doing is lost."""
        ...


class Here:
    """One worker, in this process. What `job.setup` raises is raised here."""

    size = 1

    def __init__(self, job: Job, device: str, on_amount: OnAmount) -> None:
        self._worker = job.setup(device)
        self._on_amount = on_amount
        self._item: Item | None = None

    @property
    def busy(self) -> bool:
        """See `Crew`."""
        return self._item is not None

    def free(self) -> list[int]:
        """See `Crew`."""
        return [] if self.busy else [0]

    def ahead(self) -> list[int]:
        """See `Crew`: nobody looks ahead."""
        return []

    def give(self, worker: int, item: Item) -> None:
        """See `Crew`."""
        self._item = item

    def wait(self) -> list[Report]:
        """See `Crew`: does the item."""
        assert self._item is not None
        item, self._item = self._item, None
        turn = Turn(lambda amount: self._on_amount(0, item, amount))
        return [Report(0, item, attempt(self._worker, item, turn))]

    def close(self) -> None:
        """See `Crew`."""
