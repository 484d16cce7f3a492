"""A crew whose workers are elsewhere, and are reached by messages: in processes of this machine, or on others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import RunError, VideoXLError
from .crew import Lost, OnAmount, Report
from .job import Item, Job
from .process import Ahead, Message, Ready, Unready
from .turn import Amount

_SETUP_DEATHS = 3  # in a row, and a device is given up: a machine that is short of memory may have some again


class Line(Protocol):
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


class Employer(Protocol):
    """Has workers elsewhere: in processes of this machine, or on others."""

    def devices(self, most: int) -> Sequence[str]:
        """Return where workers are to be hired, at most so many.

        Raises:
            VideoXLError: there is no place.
        """
        ...

    def hire(self, job: Job, device: str) -> Line:
        """Begin a worker."""
        ...

    def wait(self, lines: Sequence[Line]) -> Sequence[Line]:
        """Wait until there is something to receive, and return the lines on which there is."""
        ...


@dataclass
class _Slot:
    """The place of a worker, the way to the one that fills it at the moment, and its item and the next."""

    device: str
    line: Line
    ready: bool = False
    ahead: bool = False
    items: list[Item] = field(default_factory=list)
    setup_deaths: int = 0


class Elsewhere:
    """Workers of an employer. One that ends is replaced, unless it cannot be set up; none outlives this crew."""

    def __init__(self, job: Job, employer: Employer, most: int, on_amount: OnAmount) -> None:
        self._job, self._employer, self._on_amount = job, employer, on_amount
        self._slots: dict[int, _Slot] = {}
        self._error: VideoXLError = RunError("no device is given", "Name at least one, for example cpu.")
        try:
            for worker, device in enumerate(employer.devices(most)):
                self._slots[worker] = _Slot(device, employer.hire(job, device))
        except BaseException:  # also Ctrl-C; a job that cannot be pickled
            self.close()
            raise

    @property
    def size(self) -> int:
        """See `Crew`."""
        return len(self._slots)

    @property
    def busy(self) -> bool:
        """See `Crew`."""
        return any(slot.items for slot in self._slots.values())

    def free(self) -> list[int]:
        """See `Crew`."""
        return [worker for worker, slot in self._slots.items() if slot.ready and not slot.items]

    def ahead(self) -> list[int]:
        """See `Crew`."""
        return [worker for worker, slot in self._slots.items() if slot.ahead and len(slot.items) == 1]

    def give(self, worker: int, item: Item) -> None:
        """See `Crew`."""
        self._slots[worker].items.append(item)
        self._slots[worker].line.send(item)

    def wait(self) -> list[Report]:
        """See `Crew`."""
        if not self._slots:
            raise self._error
        ready = self._employer.wait([slot.line for slot in self._slots.values()])
        workers = [worker for worker, slot in self._slots.items() if slot.line in ready]
        return [report for worker in workers if (report := self._receive(worker)) is not None]

    def close(self) -> None:
        """See `Crew`."""
        for slot in self._slots.values():
            slot.line.kill()
        for slot in self._slots.values():
            slot.line.end()

    def _receive(self, worker: int) -> Report | None:
        slot = self._slots[worker]
        try:
            message = slot.line.receive()
        except EOFError:
            return self._lost(worker)
        if isinstance(message, Ready):
            slot.ready, slot.setup_deaths = True, 0
            return None
        if isinstance(message, Unready):
            self._error = message.error
            self._slots.pop(worker).line.end()
            return Report(worker, None, Lost(str(message.error), replaced=False))
        if isinstance(message, Amount):
            self._on_amount(worker, slot.items[0], message)
            return None
        slot.ahead = isinstance(message, Ahead)
        return None if isinstance(message, Ahead) else Report(worker, slot.items.pop(0), message)

    def _lost(self, worker: int) -> Report:
        slot = self._slots.pop(worker)
        reason = slot.line.end()
        deaths = 0 if slot.ready else slot.setup_deaths + 1
        replaced = deaths < _SETUP_DEATHS
        if replaced:
            line = self._employer.hire(self._job, slot.device)
            self._slots[worker] = _Slot(slot.device, line, setup_deaths=deaths)
        else:
            self._error = RunError(
                f"the worker on {slot.device} {reason} while it was set up",
                "See that the device has enough memory, or use fewer workers.",
            )
        return Report(worker, slot.items[0] if slot.items else None, Lost(reason, replaced))
