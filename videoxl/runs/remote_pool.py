"""A pool: the workers of a run, reached by messages, in processes of this machine or on others. It knows no folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import RunError, VideoXLError
from .context import ItemProgress
from .job import Item, Job
from .worker import Ahead, Allowed, Done, Message, Raised, Ready, SetupFailed

_SETUP_DEATHS = 3  # in a row, and a device is given up: a machine that is short of memory may have some again

OnItemProgress = Callable[[int, Item, ItemProgress], None]
"""Told how far a worker is with its item."""


class Connection(Protocol):
    """The way to a worker that is elsewhere, and that does `process.serve`."""

    def send(self, item: Item) -> None:
        """Send an item. A worker that has ended is noticed by `receive`."""
        ...

    def receive(self) -> Message:
        """Return the next message, which is there or will be soon.

        Raises:
            EOFError: the worker has ended.
        """
        ...

    def end(self) -> str:
        """End a worker that is ending, and return how it did, for example "was ended by SIGKILL"."""
        ...

    def kill(self) -> None:
        """End the worker at once."""
        ...


class WorkerBackend(Protocol):
    """Has workers elsewhere: in processes of this machine, or on others."""

    @property
    def setup_seconds(self) -> float | None:
        """What a worker may take until it is set up; None for as long as it likes."""
        ...

    def devices(self, most: int) -> Sequence[str]:
        """Return where workers are to be started, at most so many.

        Raises:
            VideoXLError: there is no place.
        """
        ...

    def start_worker(self, job: Job, device: str) -> Connection:
        """Begin a worker."""
        ...

    def wait(self, connections: Sequence[Connection], timeout: float | None) -> Sequence[Connection]:
        """Wait until there is something to receive, and return the connections on which there is.

        Args:
            connections: at least one.
            timeout: seconds, after which nothing is returned; None waits for as long as it takes.
        """
        ...


@dataclass(frozen=True)
class Unfit:
    """A worker could not be set up; `replaced` tells whether another takes its place."""

    reason: str
    replaced: bool


@dataclass(frozen=True)
class Lost:
    """A worker that had been set up is gone; it is to be replaced, or dismissed.

    Args:
        reason: for example "was ended by SIGKILL".
        overdue: it was ended because its item took more than so many seconds.
    """

    reason: str
    overdue: float | None = None


@dataclass(frozen=True)
class Report:
    """What came of an item, or of a worker that had none."""

    worker: int
    item: Item | None
    outcome: Done | Raised | Lost | Unfit


@dataclass
class _Slot:
    """The place of a worker, the way to the one that fills it at the moment, and its item and the next.

    What began is the worker, until it is set up, and then its item; for that there is a limit.
    """

    device: str
    connection: Connection
    limit: float | None
    setup_deaths: int = 0
    began: float = field(default_factory=time.monotonic)
    ready: bool = False
    ahead: bool = False
    items: list[Item] = field(default_factory=list)

    @property
    def deadline(self) -> float | None:
        """When the worker is to be ended, as `time.monotonic()` has it."""
        return None if self.limit is None else self.began + self.limit

    def begin(self, limit: float | None) -> None:
        """Count the time from now."""
        self.began, self.limit = time.monotonic(), limit


class RemotePool:
    """Workers of a backend, named by numbers from 0. None outlives this pool.

    Args:
        job: makes them.
        backend: has them.
        most: so many at most.
        on_item_progress: told how far they are.
        item_timeout: seconds that an item may take, from its beginning in a worker; None is what items say.
    """

    def __init__(
        self,
        job: Job,
        backend: WorkerBackend,
        most: int,
        on_item_progress: OnItemProgress,
        item_timeout: float | None = None,
    ) -> None:
        self._job, self._backend, self._on_item_progress, self._item_timeout = (
            job,
            backend,
            on_item_progress,
            item_timeout,
        )
        self._slots: dict[int, _Slot] = {}
        self._error: VideoXLError = RunError("no device is given", "Name at least one, for example cpu.")
        try:
            for worker, device in enumerate(backend.devices(most)):
                self._begin(worker, device)
        except BaseException:  # also Ctrl-C; a job that cannot be pickled
            self.close()
            raise

    @property
    def size(self) -> int:
        """Number of workers, also of those that are not set up yet."""
        return len(self._slots)

    @property
    def busy(self) -> bool:
        """Whether an item is with a worker."""
        return any(slot.items for slot in self._slots.values())

    def free(self) -> list[int]:
        """Return the workers that have no item and can be given one."""
        return [worker for worker, slot in self._slots.items() if slot.ready and not slot.items]

    def ahead(self) -> list[int]:
        """Return the workers that have one item and can be given the next."""
        return [worker for worker, slot in self._slots.items() if slot.ahead and len(slot.items) == 1]

    def give(self, worker: int, item: Item) -> None:
        """Give an item to a worker; behind the one that it may have."""
        slot = self._slots[worker]
        slot.items.append(item)
        slot.connection.send(item)
        if len(slot.items) == 1:
            self._begin_item(slot)

    def wait(self) -> list[Report]:
        """Wait until something happens; it need not be about an item.

        A worker that is lost had the item that is reported; the next one, if it had that too, is not with it any more.

        Raises:
            VideoXLError: no worker is left, or can be set up.
        """
        if not self._slots:
            raise self._error
        deadlines = [slot.deadline for slot in self._slots.values() if slot.deadline is not None]
        timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        ready = self._backend.wait([slot.connection for slot in self._slots.values()], timeout)
        now = time.monotonic()
        reports = []
        for worker, slot in [*self._slots.items()]:
            if slot.connection in ready:  # also one that is late: what it has to say may be that it is done
                reports.append(self._receive(worker, slot))
            elif slot.deadline is not None and slot.deadline <= now:
                reports.append(self._overdue(worker, slot))
        return [report for report in reports if report is not None]

    def replace(self, worker: int) -> None:
        """End a worker, with what it does, and begin another in its place."""
        self._begin(worker, self._drop(worker).device)

    def dismiss(self, worker: int, problem: str, advice: str) -> None:
        """End a worker, with what it does, and let its place be empty; that is the error if it was the last.

        Args:
            worker: which.
            problem: what is wrong with "the worker on DEVICE".
            advice: what can be done.
        """
        slot = self._drop(worker)
        self._error = RunError(f"the worker on {slot.device} {problem}", advice)

    def reduce(self) -> None:
        """End all workers and begin one.

        Raises:
            VideoXLError: no worker is left.
        """
        if not self._slots:
            raise self._error
        first, *others = self._slots
        for worker in others:
            self._drop(worker)
        self.replace(first)

    def close(self) -> None:
        """End all workers at once; what they were doing is lost."""
        for slot in self._slots.values():
            slot.connection.kill()
        for slot in self._slots.values():
            slot.connection.end()

    def _begin(self, worker: int, device: str, setup_deaths: int = 0) -> None:
        limit = self._backend.setup_seconds
        self._slots[worker] = _Slot(device, self._backend.start_worker(self._job, device), limit, setup_deaths)

    def _drop(self, worker: int) -> _Slot:
        slot = self._slots[worker]
        slot.connection.kill()
        slot.connection.end()
        del self._slots[worker]
        return slot

    def _begin_item(self, slot: _Slot) -> None:
        slot.begin(slot.items[0].timeout_seconds if self._item_timeout is None else self._item_timeout)

    def _receive(self, worker: int, slot: _Slot) -> Report | None:
        try:
            message = slot.connection.receive()
        except EOFError:
            return self._ended(worker, slot)
        if isinstance(message, Ready):
            slot.ready, slot.setup_deaths = True, 0
            slot.begin(None)
        elif isinstance(message, SetupFailed):
            if message.traceback:
                message.error.add_note(message.traceback)
            return self._unfit(worker, message.error)
        elif isinstance(message, ItemProgress):
            self._on_item_progress(worker, slot.items[0], message)
        elif isinstance(message, Allowed):
            if self._item_timeout is None:
                slot.limit = message.seconds
        elif isinstance(message, Ahead):
            slot.ahead = True
        else:
            slot.ahead = False
            item = slot.items.pop(0)
            if slot.items:
                self._begin_item(slot)
            else:
                slot.begin(None)
            return Report(worker, item, message)
        return None

    def _ended(self, worker: int, slot: _Slot) -> Report:
        reason = slot.connection.end()
        if slot.ready:
            return Report(worker, slot.items[0] if slot.items else None, Lost(reason))
        deaths = slot.setup_deaths + 1
        if deaths < _SETUP_DEATHS:
            self._begin(worker, slot.device, deaths)
            return Report(worker, None, Unfit(reason, replaced=True))
        problem = f"the worker on {slot.device} {reason} while it was set up"
        return self._unfit(worker, RunError(problem, "See that the device has enough memory, or use fewer workers."))

    def _overdue(self, worker: int, slot: _Slot) -> Report:
        if not slot.ready:
            problem = f"the worker on {slot.device} was not set up within {slot.limit:g} s"
            return self._unfit(worker, RunError(problem, "See whether the device works, and the disk of the model."))
        slot.connection.kill()
        slot.connection.end()
        reason = f"was ended: its item took more than {slot.limit:g} s"
        return Report(worker, slot.items[0], Lost(reason, overdue=slot.limit))

    def _unfit(self, worker: int, error: VideoXLError) -> Report:
        self._error = error
        self._drop(worker)
        return Report(worker, None, Unfit(str(error), replaced=False))
