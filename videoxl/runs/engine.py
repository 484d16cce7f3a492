"""`run`: do many items, in one folder, and go on after whatever happens."""

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .context import ItemProgress
from .events import Event, ItemAdvanced
from .folder import RunFolder
from .job import Item, Job
from .process_backend import ProcessBackend
from .remote_pool import RemotePool, WorkerBackend
from .schedule import Schedule
from .state import load_results, state

__all__ = ["RunSummary", "load_results", "run", "state"]


@dataclass(frozen=True)
class RunSummary:
    """How a run ended.

    Args:
        done: items that have results, also from before.
        failed: items that have failed, also before.
        total: all items; when `run` returns, each is done or failed.
        resumed: items that were done or had failed before this call.
        seconds: that this call took.
    """

    done: int
    failed: int
    total: int
    resumed: int
    seconds: float


def run(
    folder: Path,
    settings: dict[str, Any],
    items: Sequence[Item],
    job: Job,
    *,
    devices: Sequence[str] = ("cpu",),
    backend: WorkerBackend | None = None,
    item_timeout: float | None = None,
    retries: int = 2,
    retry_failed: bool = False,
    redo: Collection[str] = (),
    ordered: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> RunSummary:
    """Do all items that are not done yet.

    An item that raises an exception fails, and so does one that ends its worker's process more than `retries` times, or
    that takes too long; the run goes on. Where one after another fails for reasons that are not theirs (see `faults`),
    the worker is replaced and they are tried again; a device on which nothing succeeds then is given up, and what is
    left waits. An item that runs out of memory is tried once more, at the end and alone.

    Rows are on the disk before an item counts as done. Whatever ends this call, the same call goes on where it was. The
    job is set up only if there is something to do.

    Args:
        folder: of the run; made if it does not exist. See `folder.py` for what is in it.
        settings: JSON; all that results depend on besides an item's key. A folder keeps to its settings. See
            `RunFolder` for `format`.
        items: all of the run. Those that are done are not done again; new ones may be added later.
        job: makes the workers.
        devices: a worker each, in a process of its own.
        backend: has the workers, in place of this machine; then it says how many there are.
        item_timeout: seconds that an item may take, from its beginning in a worker; None is what each says, see `Item`
            and `ItemContext.allow`. One that takes more is ended with its worker, and fails; it is not tried again.
        retries: how often an item is tried again whose worker's process ended.
        retry_failed: also do those that failed before.
        redo: keys of items that are done and to be done again; see `RunFolder`.
        ordered: at the end, put the rows in `results.jsonl` in the order of the items; else they stay in the order in
            which they were finished.
        on_event: told of all that happens, in this process.

    Raises:
        RunError: another process works in the folder, the folder's run has other settings, two items have one key, a
            file cannot be written, or no worker is left: what is not done or failed waits.
        VideoXLError: what `job.setup` raised.
        Exception: what `on_event` raised.
        KeyboardInterrupt: all workers are ended; what is finished is kept.
    """
    began = time.perf_counter()
    notify = on_event or (lambda event: None)
    with RunFolder(folder, settings, items, retry_failed, redo) as opened:
        before = opened.progress
        notify(before)
        if opened.waiting:

            def on_item_progress(worker: int, item: Item, progress: ItemProgress) -> None:
                notify(ItemAdvanced(item, worker, progress))

            started = backend or ProcessBackend(devices)
            pool = RemotePool(job, started, len(opened.waiting), on_item_progress, item_timeout)
            with contextlib.closing(pool):
                Schedule(opened, pool, retries, notify).do_all()
        if ordered:
            opened.order_results()
        after = opened.progress
    resumed = before.done + before.failed
    return RunSummary(after.done, after.failed, after.total, resumed, time.perf_counter() - began)
