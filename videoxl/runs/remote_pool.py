"""The pool: the workers of a run, their connections, items and timeouts. It knows no folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import RunError, VideoXLError
from .context import ItemProgress
from .job import Item, Job
from .worker import ItemError, Message, Ready, ReadyForNext, SetupFailed, Success, TimeLimit

_MAX_SETUP_EXITS = 3  # in a row, then a device is given up; a machine short of memory may have some again before that

OnItemProgress = Callable[[int, Item, ItemProgress], None]
"""Called with a worker, its item, and the item's progress."""


class Connection(Protocol):
    """The connection to a worker that runs `worker.serve` in another process."""

    def send(self, item: Item) -> None:
        """Send an item. If the worker has ended, `receive` reports it."""
        ...

    def receive(self) -> Message:
        """Return the next message, which is available now or soon.

        Raises:
            EOFError: the worker has ended.
        """
        ...

    def end(self) -> str:
        """Wait for a worker that is ending, and return how it ended, for example "was ended by SIGKILL"."""
        ...

    def kill(self) -> None:
        """End the worker immediately."""
        ...


class WorkerBackend(Protocol):
    """Starts workers: as processes of this machine, or on others."""

    @property
    def setup_timeout(self) -> float | None:
        """Seconds until a worker must be set up; None for no limit."""
        ...

    def devices(self, max_workers: int) -> Sequence[str]:
        """Return the device of each worker to start, at most `max_workers`.

        Raises:
            VideoXLError: there is no device.
        """
        ...

    def start_worker(self, job: Job, device: str) -> Connection:
        """Start a worker."""
        ...

    def wait(self, connections: Sequence[Connection], timeout: float | None) -> Sequence[Connection]:
        """Wait until there is a message, and return the connections that have one.

        Args:
            connections: at least one.
            timeout: seconds, after which nothing is returned; None for no limit.
        """
        ...


@dataclass(frozen=True)
class StartFailure:
    """A worker could not be set up; `replaced` is whether another one was started."""

    reason: str
    replaced: bool


@dataclass(frozen=True)
class WorkerLoss:
    """A worker ended after it had been set up; the caller replaces or removes it.

    Args:
        reason: for example "was ended by SIGKILL".
        timeout: seconds of the timeout that its item exceeded; None if it ended by itself.
    """

    reason: str
    timeout: float | None = None


@dataclass(frozen=True)
class Report:
    """The outcome of an item, or of a worker that had none."""

    worker: int
    item: Item | None
    outcome: Success | ItemError | WorkerLoss | StartFailure


@dataclass
class _Slot:
    """A worker's slot: its device, the connection to the present worker, its item and the next one.

    `began` and `limit` time the worker's setup, then its present item.
    """

    device: str
    connection: Connection
    limit: float | None
    num_setup_exits: int = 0
    began: float = field(default_factory=time.monotonic)
    is_ready: bool = False
    is_ready_for_next: bool = False
    items: list[Item] = field(default_factory=list)

    @property
    def deadline(self) -> float | None:
        """When the worker is to be ended, on the clock of `time.monotonic()`."""
        return None if self.limit is None else self.began + self.limit

    def restart_clock(self, limit: float | None) -> None:
        """Count the time from now."""
        self.began, self.limit = time.monotonic(), limit


class RemotePool:
    """The workers of a backend, numbered from 0. None outlives the pool.

    Args:
        job: makes the workers.
        backend: starts the workers.
        max_workers: the largest number of workers to start.
        on_item_progress: called with the progress of items.
        item_timeout: seconds that an item may take from its start in a worker; None is each item's own timeout.
    """

    def __init__(
        self,
        job: Job,
        backend: WorkerBackend,
        max_workers: int,
        on_item_progress: OnItemProgress,
        item_timeout: float | None = None,
    ) -> None:
        self._job, self._backend = job, backend
        self._on_item_progress, self._item_timeout = on_item_progress, item_timeout
        self._slots: dict[int, _Slot] = {}
        self._error: VideoXLError = RunError("no device is given", "Name at least one, for example cpu.")
        try:
            for worker, device in enumerate(backend.devices(max_workers)):
                self._start(worker, device)
        except BaseException:  # also Ctrl-C; a job that cannot be pickled
            self.close()
            raise

    @property
    def size(self) -> int:
        """Number of workers, including those that are not set up yet."""
        return len(self._slots)

    @property
    def is_busy(self) -> bool:
        """Whether any worker has an item."""
        return any(slot.items for slot in self._slots.values())

    def idle_workers(self) -> list[int]:
        """Return the workers that are set up and have no item."""
        return [worker for worker, slot in self._slots.items() if slot.is_ready and not slot.items]

    def ready_for_next(self) -> list[int]:
        """Return the workers that have one item and can receive the next."""
        return [worker for worker, slot in self._slots.items() if slot.is_ready_for_next and len(slot.items) == 1]

    def submit(self, worker: int, item: Item) -> None:
        """Send an item to a worker, which processes it after the one that it may have."""
        slot = self._slots[worker]
        slot.items.append(item)
        slot.connection.send(item)
        if len(slot.items) == 1:
            self._start_item_clock(slot)

    def wait(self) -> list[Report]:
        """Wait for messages, and return the reports among them, perhaps none.

        A lost worker's report has the item that it was processing; its next item, if it had one, is no longer queued.

        Raises:
            VideoXLError: no worker is left.
        """
        if not self._slots:
            raise self._error
        deadlines = [slot.deadline for slot in self._slots.values() if slot.deadline is not None]
        timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        with_message = self._backend.wait([slot.connection for slot in self._slots.values()], timeout)
        now = time.monotonic()
        reports = []
        for worker, slot in [*self._slots.items()]:
            if slot.connection in with_message:  # also one that is late: the message may be that it is done
                reports.append(self._receive(worker, slot))
            elif slot.deadline is not None and slot.deadline <= now:
                reports.append(self._handle_timeout(worker, slot))
        return [report for report in reports if report is not None]

    def replace(self, worker: int) -> None:
        """End a worker, with its items, and start another one in its slot."""
        self._start(worker, self._stop(worker).device)

    def remove(self, worker: int, problem: str, advice: str) -> None:
        """End a worker, with its items, and start no other. If it was the last one, `wait` raises the error.

        Args:
            worker: its number.
            problem: what is wrong with "the worker on DEVICE".
            advice: what can be done.
        """
        slot = self._stop(worker)
        self._error = RunError(f"the worker on {slot.device} {problem}", advice)

    def shrink_to_one(self) -> None:
        """End all workers and start one.

        Raises:
            VideoXLError: no worker is left.
        """
        if not self._slots:
            raise self._error
        first, *others = self._slots
        for worker in others:
            self._stop(worker)
        self.replace(first)

    def close(self) -> None:
        """End all workers immediately; items in progress are lost."""
        for slot in self._slots.values():
            slot.connection.kill()
        for slot in self._slots.values():
            slot.connection.end()

    def _start(self, worker: int, device: str, num_setup_exits: int = 0) -> None:
        limit = self._backend.setup_timeout
        self._slots[worker] = _Slot(device, self._backend.start_worker(self._job, device), limit, num_setup_exits)

    def _stop(self, worker: int) -> _Slot:
        slot = self._slots[worker]
        slot.connection.kill()
        slot.connection.end()
        del self._slots[worker]
        return slot

    def _start_item_clock(self, slot: _Slot) -> None:
        slot.restart_clock(slot.items[0].timeout_seconds if self._item_timeout is None else self._item_timeout)

    def _receive(self, worker: int, slot: _Slot) -> Report | None:
        try:
            message = slot.connection.receive()
        except EOFError:
            return self._handle_exit(worker, slot)
        if isinstance(message, Ready):
            slot.is_ready, slot.num_setup_exits = True, 0
            slot.restart_clock(None)
        elif isinstance(message, SetupFailed):
            if message.traceback:
                message.error.add_note(message.traceback)
            return self._start_failure(worker, message.error)
        elif isinstance(message, ItemProgress):
            self._on_item_progress(worker, slot.items[0], message)
        elif isinstance(message, TimeLimit):
            if self._item_timeout is None:
                slot.limit = message.seconds
        elif isinstance(message, ReadyForNext):
            slot.is_ready_for_next = True
        else:
            slot.is_ready_for_next = False
            item = slot.items.pop(0)
            if slot.items:
                self._start_item_clock(slot)
            else:
                slot.restart_clock(None)
            return Report(worker, item, message)
        return None

    def _handle_exit(self, worker: int, slot: _Slot) -> Report:
        reason = slot.connection.end()
        if slot.is_ready:
            return Report(worker, slot.items[0] if slot.items else None, WorkerLoss(reason))
        num_exits = slot.num_setup_exits + 1
        if num_exits < _MAX_SETUP_EXITS:
            self._start(worker, slot.device, num_exits)
            return Report(worker, None, StartFailure(reason, replaced=True))
        problem = f"the worker on {slot.device} {reason} while it was set up"
        advice = "Check that the device has enough memory, or use fewer workers."
        return self._start_failure(worker, RunError(problem, advice))

    def _handle_timeout(self, worker: int, slot: _Slot) -> Report:
        if not slot.is_ready:
            problem = f"the worker on {slot.device} was not set up within {slot.limit:g} s"
            return self._start_failure(worker, RunError(problem, "Check the device, and the disk with the model."))
        slot.connection.kill()
        slot.connection.end()
        reason = f"was ended: its item took more than {slot.limit:g} s"
        return Report(worker, slot.items[0], WorkerLoss(reason, timeout=slot.limit))

    def _start_failure(self, worker: int, error: VideoXLError) -> Report:
        self._error = error
        self._stop(worker)
        return Report(worker, None, StartFailure(str(error), replaced=False))
