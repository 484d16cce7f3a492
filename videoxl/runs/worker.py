"""What a worker does: `run_item` for one item, `serve` for those that are sent to it, `main` of a spawned process."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from ..errors import RunError, VideoXLError
from .context import ItemContext, ItemProgress, Prepare
from .faults import Fault, fault_of
from .job import Item, ItemResult, Job, Worker
from .rows import encode

THREADS = "OMP_NUM_THREADS"
"""In the environment of a worker: how many threads it computes with."""


@dataclass(frozen=True)
class Ready:
    """The worker is set up."""


@dataclass(frozen=True)
class SetupFailed:
    """The worker cannot be set up; with the traceback, where the error was not raised on purpose."""

    error: VideoXLError
    traceback: str = ""


@dataclass(frozen=True)
class Ahead:
    """The worker can take its next item already, while it finishes the present one."""


@dataclass(frozen=True)
class Allowed:
    """The item may take so long, from its beginning."""

    seconds: float


@dataclass(frozen=True)
class Done:
    """The lines of an item's rows, how long it took, and the files that belong to the rows."""

    text: str
    seconds: float
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Raised:
    """The item raised an exception."""

    error: str
    message: str
    fault: Fault


Message = Ready | SetupFailed | Ahead | Allowed | ItemProgress | Done | Raised
"""What a worker says."""


def run_item(worker: Worker, item: Item, context: ItemContext) -> Done | Raised:
    """Do an item, whatever happens."""
    try:
        made = worker(item, context)
        if not isinstance(made, ItemResult):
            made = ItemResult(made)
        return Done(encode(item.key, made.rows), time.perf_counter() - context.began, made.files)
    except Exception as error:  # a bad item must not end a night's work
        return Raised(type(error).__name__, " ".join(str(error).split()), fault_of(error))


def serve(job: Job, device: str, receive: Callable[[], Item], send: Callable[[Message], None]) -> None:
    """Do items as they come, until there are no more.

    Args:
        job: makes the worker.
        device: for the worker.
        receive: waits for an item; EOFError is the end.
        send: takes what is to be said; called in this thread only.
    """
    try:
        worker = job.setup(device)
    except VideoXLError as error:
        send(SetupFailed(error))
        return
    except Exception as error:  # it may not survive pickling
        problem = f"the worker on {device} cannot be set up ({type(error).__name__}: {error})"
        send(SetupFailed(RunError(problem, "Run again with --debug for the whole traceback."), traceback.format_exc()))
        return
    send(Ready())
    prefetcher = _Prefetcher(receive, lambda: send(Ahead()))
    with contextlib.suppress(EOFError):
        while True:
            free = time.perf_counter()
            taken = prefetcher.take()
            began = max(free, taken.came)
            context = ItemContext(
                send, prefetcher.look_ahead, taken.prepared, began, lambda seconds: send(Allowed(seconds))
            )
            send(run_item(worker, taken.item, context))


@dataclass(frozen=True)
class _ReceivedItem:
    """An item, when it came, and what `ItemContext` wants to know of its preparing."""

    item: Item
    came: float
    prepared: Callable[[], Any] | None = None


class _Prefetcher:
    """Takes items in; the next one may come, and be prepared, while one is done."""

    def __init__(self, receive: Callable[[], Item], ask: Callable[[], None]) -> None:
        self._receive, self._ask = receive, ask
        self._thread = ThreadPoolExecutor(1)
        self._next: Future[_ReceivedItem] | None = None

    def take(self) -> _ReceivedItem:
        """Wait for an item, and for its preparing if that has begun."""
        following, self._next = self._next, None
        return _ReceivedItem(self._receive(), time.perf_counter()) if following is None else following.result()

    def look_ahead(self, prepare: Prepare) -> None:
        if self._next is None:
            self._ask()
            self._next = self._thread.submit(self._take_ahead, prepare)

    def _take_ahead(self, prepare: Prepare) -> _ReceivedItem:
        item, came, made = self._receive(), time.perf_counter(), Future[Any]()
        try:
            made.set_result(prepare(item))
        except Exception as error:
            made.set_exception(error)
        return _ReceivedItem(item, came, made.result)


def main(job: Job, device: str, connection: Connection) -> None:
    """Serve items until the connection ends, or the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(job, device, connection.recv, connection.send)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
