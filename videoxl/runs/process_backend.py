"""Workers as processes of this machine, spawned rather than forked; none outlives this process."""

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

_JOIN_SECONDS = 5.0
_SETUP_SECONDS = 1800.0  # weights of many gigabytes may come over a network
_MAX_WAIT_SECONDS = 3600.0  # the system's own limit is some weeks


class ProcessBackend:
    """Starts one process per device. Several processes share the cores: each gets an equal number of threads.

    Args:
        devices: names of devices.
    """

    setup_timeout = _SETUP_SECONDS

    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = devices
        self._threads: int | None = None

    def devices(self, max_workers: int) -> Sequence[str]:
        """See `WorkerBackend`."""
        devices = self._devices[:max_workers]
        self._threads = max(1, num_cores() // len(devices)) if len(devices) > 1 else None
        return devices

    def start_worker(self, job: Job, device: str) -> Connection:
        """See `WorkerBackend`."""
        return _ProcessConnection(job, device, self._threads)

    def wait(self, connections: Sequence[Connection], timeout: float | None) -> Sequence[Connection]:
        """See `WorkerBackend`."""
        by_pipe = {
            connection.pipe: connection for connection in connections if isinstance(connection, _ProcessConnection)
        }
        if timeout is not None:
            timeout = min(timeout, _MAX_WAIT_SECONDS)
        ready = multiprocessing.connection.wait([*by_pipe], timeout)
        return [by_pipe[pipe] for pipe in ready]  # type: ignore[index]


class _ProcessConnection:
    """The connection to a worker process, over a pipe."""

    def __init__(self, job: Job, device: str, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child_pipe = context.Pipe()
        self._process = context.Process(target=main, args=(job, device, child_pipe), daemon=True)
        with _interrupt_blocked(), _num_threads_in_environment(threads):
            self._process.start()
        child_pipe.close()  # so that the pipe is closed when the process ends

    def send(self, item: Item) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send(item)

    def receive(self) -> Message:
        try:
            return self.pipe.recv()
        except OSError:  # the process ended in the middle of a message
            raise EOFError from None

    def end(self) -> str:
        self.pipe.close()
        self._process.join(_JOIN_SECONDS)
        self.kill()
        self._process.join(_JOIN_SECONDS)  # one that waits for a device or a network drive may not react even to that
        code = self._process.exitcode
        return "does not end" if code is None else describe_exit(code)

    def kill(self) -> None:
        self._process.kill()


@contextlib.contextmanager
def _num_threads_in_environment(threads: int | None) -> Iterator[None]:
    """Set the number of compute threads of a process that is started inside, unless the user has set it.

    It must be in the environment from the start: unpickling the job may import a library that reads it.
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
def _interrupt_blocked() -> Iterator[None]:
    """Start a process with Ctrl-C blocked, which the terminal sends to all processes; here it is only delayed."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows: `main` ignores it
        yield
        return
    resource_tracker.ensure_running()  # else the first process starts it, which unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
