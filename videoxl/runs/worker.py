"""The worker: `run_item` processes one item, `serve` is the loop, `main` the entry point of a spawned process."""

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
"""Environment variable of a worker: its number of compute threads."""


@dataclass(frozen=True)
class Ready:
    """The worker is set up."""


@dataclass(frozen=True)
class SetupFailed:
    """The worker could not be set up; with the traceback if the error is unexpected."""

    error: VideoXLError
    traceback: str = ""


@dataclass(frozen=True)
class ReadyForNext:
    """The worker can receive its next item while it finishes the present one."""


@dataclass(frozen=True)
class TimeLimit:
    """The timeout of the present item, in seconds from its start."""

    seconds: float


@dataclass(frozen=True)
class Success:
    """The item is done: the lines of its rows, the seconds that it took, and the files that belong to the rows."""

    text: str
    seconds: float
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemError:
    """The item raised an exception: its class, its message, and its cause."""

    error: str
    message: str
    fault: Fault


Message = Ready | SetupFailed | ReadyForNext | TimeLimit | ItemProgress | Success | ItemError
"""What a worker sends."""


def run_item(worker: Worker, item: Item, context: ItemContext) -> Success | ItemError:
    """Process an item; an exception becomes a value."""
    try:
        result = worker(item, context)
        if not isinstance(result, ItemResult):
            result = ItemResult(result)
        return Success(encode(item.key, result.rows), time.perf_counter() - context.began, result.files)
    except Exception as error:  # a bad item must not end a night's work
        return ItemError(type(error).__name__, " ".join(str(error).split()), fault_of(error))


def serve(job: Job, device: str, receive: Callable[[], Item], send: Callable[[Message], None]) -> None:
    """Process items as they arrive, until there are no more.

    Args:
        job: makes the worker.
        device: for the worker.
        receive: waits for an item; raises EOFError at the end.
        send: sends a message; called in this thread only.
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
    prefetcher = _Prefetcher(receive, lambda: send(ReadyForNext()))
    with contextlib.suppress(EOFError):
        while True:
            idle_since = time.perf_counter()
            received = prefetcher.next_item()
            began = max(idle_since, received.received_at)
            context = ItemContext(
                send, prefetcher.prefetch_next, received.prepared, began, lambda seconds: send(TimeLimit(seconds))
            )
            send(run_item(worker, received.item, context))


@dataclass(frozen=True)
class _ReceivedItem:
    """An item, when it arrived, and `ItemContext`'s `prepared`."""

    item: Item
    received_at: float
    prepared: Callable[[], Any] | None = None


class _Prefetcher:
    """Receives items; the next one can arrive and be prepared while the present one is processed."""

    def __init__(self, receive: Callable[[], Item], request_next: Callable[[], None]) -> None:
        self._receive, self._request_next = receive, request_next
        self._thread = ThreadPoolExecutor(1)
        self._next: Future[_ReceivedItem] | None = None

    def next_item(self) -> _ReceivedItem:
        """Wait for an item, and until it is prepared if that has begun."""
        prefetched, self._next = self._next, None
        return _ReceivedItem(self._receive(), time.perf_counter()) if prefetched is None else prefetched.result()

    def prefetch_next(self, prepare: Prepare) -> None:
        if self._next is None:
            self._request_next()
            self._next = self._thread.submit(self._receive_and_prepare, prepare)

    def _receive_and_prepare(self, prepare: Prepare) -> _ReceivedItem:
        item, received_at, prepared = self._receive(), time.perf_counter(), Future[Any]()
        try:
            prepared.set_result(prepare(item))
        except Exception as error:
            prepared.set_exception(error)
        return _ReceivedItem(item, received_at, prepared.result)


def main(job: Job, device: str, connection: Connection) -> None:
    """Serve items until the connection is closed or the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    serve(job, device, connection.recv, connection.send)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
