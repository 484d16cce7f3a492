"""Workers in processes of this machine, spawned and not forked; none outlives this one."""

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker

from ..machine import how_ended
from .elsewhere import Line
from .job import Item, Job
from .process import Message, main

_END_SECONDS = 5.0


class Spawned:
    """Employs a process a device.

    Args:
        devices: names of devices.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = devices

    def devices(self, most: int) -> Sequence[str]:
        """See `Employer`."""
        return self._devices[:most]

    def hire(self, job: Job, device: str) -> Line:
        """See `Employer`."""
        return _Process(job, device)

    def wait(self, lines: Sequence[Line]) -> Sequence[Line]:
        """See `Employer`."""
        ours = {line.connection: line for line in lines if isinstance(line, _Process)}
        return [ours[ready] for ready in multiprocessing.connection.wait([*ours])]  # type: ignore[index]


class _Process:
    """The way to a process, and the process."""

    def __init__(self, job: Job, device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(job, device, theirs), daemon=True)
        with _ctrl_c_held_back():
            self._process.start()
        theirs.close()  # so that the connection ends when the process does

    def send(self, item: Item) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(item)

    def receive(self) -> Message:
        try:
            return self.connection.recv()
        except OSError:  # it ended in the middle of a message
            raise EOFError from None

    def end(self) -> str:
        self.connection.close()
        self._process.join(_END_SECONDS)
        self.kill()
        self._process.join()
        assert self._process.exitcode is not None
        return how_ended(self._process.exitcode)

    def kill(self) -> None:
        self._process.kill()


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
