"""Workers in processes of this machine, spawned and not forked; none outlives this one."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker

from ..machine import describe_exit, num_cores
from .job import Item, Job
from .remote_pool import Connection
from .worker import THREADS, Message, main

_END_SECONDS = 5.0
_SETUP_SECONDS = 1800.0  # weights of many gigabytes may come over a network
_MAX_WAIT_SECONDS = 3600.0  # systems have limits of weeks


class ProcessBackend:
    """Employs a process a device. Several get as many threads each as there are cores for them.

    Args:
        devices: names of devices.
    """

    setup_seconds = _SETUP_SECONDS

    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = devices
        self._threads: int | None = None

    def devices(self, most: int) -> Sequence[str]:
        """See `WorkerBackend`."""
        started = self._devices[:most]
        self._threads = max(1, num_cores() // len(started)) if len(started) > 1 else None
        return started

    def start_worker(self, job: Job, device: str) -> Connection:
        """See `WorkerBackend`."""
        return _Process(job, device, self._threads)

    def wait(self, connections: Sequence[Connection], timeout: float | None) -> Sequence[Connection]:
        """See `WorkerBackend`."""
        ours = {line.connection: line for line in connections if isinstance(line, _Process)}
        if timeout is not None:
            timeout = min(timeout, _MAX_WAIT_SECONDS)
        ready = multiprocessing.connection.wait([*ours], timeout)
        return [ours[connection] for connection in ready]  # type: ignore[index]


class _Process:
    """The way to a process, and the process."""

    def __init__(self, job: Job, device: str, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(job, device, theirs), daemon=True)
        with _ctrl_c_held_back(), _threads_set(threads):
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
        self._process.join(_END_SECONDS)  # one that waits for a device or a network drive may not even hear of that
        code = self._process.exitcode
        return "does not end" if code is None else describe_exit(code)

    def kill(self) -> None:
        self._process.kill()


@contextlib.contextmanager
def _threads_set(threads: int | None) -> Iterator[None]:
    """Let a process start with so many threads for numbers, unless that is chosen already.

    It has to be in its environment from the start: the job may import what reads it before `main` runs.
    """
    if threads is None or THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = str(threads)
    try:
        yield
    finally:
        del os.environ[THREADS]


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
