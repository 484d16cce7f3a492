"""The workers of a run. A crew is given items and asked what came of them; it knows no folder."""

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Protocol

from ..errors import RunError, VideoXLError
from ..machine import how_ended
from .job import Item, Job
from .process import Done, Raised, Ready, Unready, attempt, main
from .turn import Amount, Turn

_SETUP_DEATHS = 3  # in a row, and a device is given up: a machine that is short of memory may have some again
_END_SECONDS = 5.0

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
    """Workers, each with at most one item. They are named by numbers from 0."""

    @property
    def busy(self) -> bool:
        """Whether an item is with a worker."""
        ...

    def free(self) -> list[int]:
        """Return the workers that can be given an item."""
        ...

    def give(self, worker: int, item: Item) -> None:
        """Give an item to a free worker."""
        ...

    def wait(self) -> list[Report]:
        """Wait until something happens; it need not be about an item.

        Raises:
            VideoXLError: no worker is left, or can be set up.
        """
        ...

    def close(self) -> None:
        """End all workers at once; what they were doing is lost."""
        ...


class Here:
    """One worker, in this process. What `job.setup` raises is raised here."""

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


@dataclass
class _Slot:
    """The place of a worker, and the process that fills it at the moment."""

    device: str
    process: multiprocessing.process.BaseProcess
    connection: multiprocessing.connection.Connection
    ready: bool = False
    item: Item | None = None
    setup_deaths: int = 0


class Spawned:
    """One process a device. A process that ends is replaced, unless it cannot be set up; none outlives this one."""

    def __init__(self, job: Job, devices: Sequence[str], on_amount: OnAmount) -> None:
        self._job, self._on_amount = job, on_amount
        self._slots: dict[int, _Slot] = {}
        self._error: VideoXLError = RunError("no device is given", "Name at least one, for example cpu.")
        try:
            for worker, device in enumerate(devices):
                self._slots[worker] = self._spawn(device)
        except BaseException:  # also Ctrl-C; a job that cannot be pickled
            self.close()
            raise

    @property
    def busy(self) -> bool:
        """See `Crew`."""
        return any(slot.item is not None for slot in self._slots.values())

    def free(self) -> list[int]:
        """See `Crew`."""
        return [worker for worker, slot in self._slots.items() if slot.ready and slot.item is None]

    def give(self, worker: int, item: Item) -> None:
        """See `Crew`."""
        slot = self._slots[worker]
        slot.item = item
        with contextlib.suppress(OSError):  # it has just ended: `wait` finds the end of its connection
            slot.connection.send(item)

    def wait(self) -> list[Report]:
        """See `Crew`."""
        if not self._slots:
            raise self._error
        ready = multiprocessing.connection.wait([slot.connection for slot in self._slots.values()])
        workers = [worker for worker, slot in self._slots.items() if slot.connection in ready]
        return [report for worker in workers if (report := self._receive(worker)) is not None]

    def close(self) -> None:
        """See `Crew`."""
        for slot in self._slots.values():
            slot.process.kill()
        for slot in self._slots.values():
            slot.process.join()
            slot.connection.close()

    def _spawn(self, device: str) -> _Slot:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=main, args=(self._job, device, theirs), daemon=True)
        with _ctrl_c_held_back():
            process.start()
        theirs.close()  # so that the connection ends when the process does
        return _Slot(device, process, ours)

    def _receive(self, worker: int) -> Report | None:
        slot = self._slots[worker]
        try:
            message = slot.connection.recv()
        except (EOFError, OSError):  # also in the middle of a message
            return self._lost(worker)
        if isinstance(message, Ready):
            slot.ready, slot.setup_deaths = True, 0
            return None
        if isinstance(message, Unready):
            self._error = message.error
            self._end(self._slots.pop(worker))
            return Report(worker, None, Lost(str(message.error), replaced=False))
        assert slot.item is not None
        if isinstance(message, Amount):
            self._on_amount(worker, slot.item, message)
            return None
        item, slot.item = slot.item, None
        return Report(worker, item, message)

    def _lost(self, worker: int) -> Report:
        slot = self._slots.pop(worker)
        reason = self._end(slot)
        deaths = 0 if slot.ready else slot.setup_deaths + 1
        replaced = deaths < _SETUP_DEATHS
        if replaced:
            self._slots[worker] = self._spawn(slot.device)
            self._slots[worker].setup_deaths = deaths
        else:
            self._error = RunError(
                f"the worker on {slot.device} {reason} while it was set up",
                "See that the device has enough memory, or use fewer workers.",
            )
        return Report(worker, slot.item, Lost(reason, replaced))

    @staticmethod
    def _end(slot: _Slot) -> str:
        """Return how the process of a slot ended; it is ending, and given some seconds."""
        slot.connection.close()
        slot.process.join(_END_SECONDS)
        slot.process.kill()
        slot.process.join()
        assert slot.process.exitcode is not None
        return how_ended(slot.process.exitcode)


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Let a process start deaf to Ctrl-C, which the terminal sends to all; this one hears of it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows: the process is deaf once it is in `main`
        yield
        return
    resource_tracker.ensure_running()  # the first process would start it, which lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
