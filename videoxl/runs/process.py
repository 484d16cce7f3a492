"""Doing items one by one: `attempt` in any process, and the main function of a spawned one."""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from ..errors import RunError, VideoXLError
from .job import Item, Job, Worker
from .rows import encode
from .turn import Turn


@dataclass(frozen=True)
class Ready:
    """The worker is set up."""


@dataclass(frozen=True)
class Unready:
    """The worker cannot be set up."""

    error: VideoXLError


@dataclass(frozen=True)
class Done:
    """The lines of an item's rows, and how long it took."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Raised:
    """The item raised an exception."""

    error: str
    message: str


def attempt(worker: Worker, item: Item, turn: Turn) -> Done | Raised:
    """Do an item, whatever happens."""
    began = time.perf_counter()
    try:
        return Done(encode(item.key, worker(item, turn)), time.perf_counter() - began)
    except Exception as error:  # a bad item must not end a night's work
        return Raised(type(error).__name__, " ".join(str(error).split()))


def main(job: Job, device: str, connection: Connection) -> None:
    """Serve items until the connection ends, or the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        worker = job.setup(device)
    except VideoXLError as error:
        connection.send(Unready(error))
        return
    except Exception as error:  # it may not survive pickling
        problem = f"the worker on {device} cannot be set up ({type(error).__name__}: {error})"
        connection.send(Unready(RunError(problem, "Try one device, in this process, for the whole traceback.")))
        return
    connection.send(Ready())
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        connection.send(attempt(worker, item, Turn(connection.send)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
