"""`run`: process many items in one folder, and resume after any interruption."""

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
    """The result of a call of `run`.

    Args:
        done: number of items that have results, including those from earlier calls.
        failed: number of items that have failed, including those of earlier calls.
        total: number of all items; when `run` returns, each is done or failed.
        resumed: number of items that were done or had failed before this call.
        seconds: duration of this call.
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
    """Process all items that are not done yet.

    An item that raises an exception fails, and so does one that ends its worker's process more than `retries` times or
    exceeds its timeout; the run continues. If several items in a row fail for reasons that are not theirs (see
    `faults`), the worker is replaced and they are retried. A device on which nothing succeeds even then is given up; if
    it was the last one, the remaining items keep waiting. An item that runs out of memory is retried once, alone, after
    all others.

    Rows are on the disk before an item counts as done. However this call ends, the same call resumes the run. The
    job is set up only if there is an item to process.

    Args:
        folder: of the run; created if it does not exist. See `folder.py` for its files.
        settings: JSON; all that results depend on besides an item's key. A run's settings cannot be changed. See
            `RunFolder` for `format`.
        items: all items of the run. Items that are done are skipped; new ones may be added later.
        job: makes the workers.
        devices: one worker is started for each, in its own process.
        backend: starts the workers, in place of processes on this machine; it then chooses the devices itself.
        item_timeout: seconds that an item may take from its start in a worker; None is each item's own timeout, see
            `Item` and `ItemContext.set_timeout`. An item that exceeds it is ended with its worker, fails, and is not
            retried.
        retries: how often an item is retried whose worker's process ended.
        retry_failed: also process items that failed in earlier calls.
        redo: keys of items to process again even if they are done; see `RunFolder`.
        ordered: at the end, sort the rows in `results.jsonl` by the order of the items; else they stay in the order in
            which they were finished.
        on_event: called with every event, in this process.

    Raises:
        RunError: another process works in the folder, the folder's run has other settings, two items have one key, a
            file cannot be written, or no worker is left; items that are neither done nor failed keep waiting.
        VideoXLError: what `job.setup` raised.
        Exception: what `on_event` raised.
        KeyboardInterrupt: all workers are ended; finished items are kept.
    """
    began = time.perf_counter()
    notify = on_event or (lambda event: None)
    with RunFolder(folder, settings, items, retry_failed, redo) as run_folder:
        before = run_folder.progress
        notify(before)
        if run_folder.waiting:

            def on_item_progress(worker: int, item: Item, progress: ItemProgress) -> None:
                notify(ItemAdvanced(item, worker, progress))

            worker_backend = backend or ProcessBackend(devices)
            pool = RemotePool(job, worker_backend, len(run_folder.waiting), on_item_progress, item_timeout)
            with contextlib.closing(pool):
                Schedule(run_folder, pool, retries, notify).run_all()
        if ordered:
            run_folder.order_results()
        after = run_folder.progress
    resumed = before.done + before.failed
    return RunSummary(after.done, after.failed, after.total, resumed, time.perf_counter() - began)
