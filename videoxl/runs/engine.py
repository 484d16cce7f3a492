"""`run`: do many items, in one folder, and go on after whatever happens."""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .crew import Crew, Here, Lost, Report
from .elsewhere import Elsewhere, Employer
from .events import Event, ItemDone, ItemFailed, ItemProgress, ItemStarted, WorkerLost
from .folder import RunFolder
from .job import Item, Job
from .process import Done, Raised
from .rows import decode
from .spawned import Spawned
from .state import load_results, state
from .turn import Amount

__all__ = ["RunSummary", "load_results", "run", "state"]

Notify = Callable[[Event], None]


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
    employer: Employer | None = None,
    isolate: bool = False,
    retries: int = 2,
    retry_failed: bool = False,
    redo: Collection[str] = (),
    ordered: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> RunSummary:
    """Do all items that are not done yet.

    An item that raises an exception fails, and so does one that ends its worker's process more than `retries` times;
    the run goes on. Rows are on the disk before an item counts as done. Whatever ends this call, the same call goes on
    where it was. The job is set up only if there is something to do.

    Args:
        folder: of the run; made if it does not exist. See `folder.py` for what is in it.
        settings: JSON; all that results depend on besides an item's key. A folder keeps to its settings. See
            `RunFolder` for `format`.
        items: all of the run. Those that are done are not done again; new ones may be added later.
        job: makes the workers.
        devices: a worker each; one works in this process, several in spawned ones.
        employer: has the workers, in place of this machine; then it says how many there are.
        isolate: spawn a process for one device too, so that an item that ends its process does not end the run.
        retries: how often an item is tried again whose worker's process ended.
        retry_failed: also do those that failed before.
        redo: keys of items that are done and to be done again; see `RunFolder`.
        ordered: at the end, put the rows in `results.jsonl` in the order of the items; else they stay in the order in
            which they were finished.
        on_event: told of all that happens, in this process.

    Raises:
        RunError: another process works in the folder, the folder's run has other settings, two items have one key, a
            file cannot be written, or no worker is left.
        Exception: what `job.setup` raised, or `on_event`.
        KeyboardInterrupt: all workers are ended; what is finished is kept.
    """
    began = time.perf_counter()
    notify = on_event or (lambda event: None)
    with RunFolder(folder, settings, items, retry_failed, redo) as opened:
        before = opened.progress
        notify(before)
        if opened.waiting:
            crew: Crew

            def on_amount(worker: int, item: Item, amount: Amount) -> None:
                notify(ItemProgress(item, worker, amount))

            if employer is None and len(devices) == 1 and not isolate:
                crew = Here(job, devices[0], on_amount)
            else:
                crew = Elsewhere(job, employer or Spawned(devices), len(opened.waiting), on_amount)
            with contextlib.closing(crew):
                _Work(opened, crew, retries, notify).do_all()
        if ordered:
            opened.order_results()
        after = opened.progress
    resumed = before.done + before.failed
    return RunSummary(after.done, after.failed, after.total, resumed, time.perf_counter() - began)


class _Work:
    """Hands out items and records what comes of them."""

    def __init__(self, folder: RunFolder, crew: Crew, retries: int, notify: Notify) -> None:
        self._folder, self._crew, self._retries, self._notify = folder, crew, retries, notify
        self._waiting = deque(folder.waiting)
        self._next: dict[int, Item] = {}  # by worker: given while that still has another
        self._losses: Counter[str] = Counter()
        self._suspects: set[str] = set()  # were with a worker when that ended

    def do_all(self) -> None:
        while self._waiting or self._crew.busy:
            self._hand_out()
            for report in self._crew.wait():
                self._record(report)

    def _hand_out(self) -> None:
        for worker in self._crew.free():
            if self._waiting:
                item = self._waiting.popleft()
                self._start(item, worker)
                self._crew.give(worker, item)
        for worker in self._crew.ahead():
            # Only while there is one for everybody who may be free soon; and none that may end the work of another.
            if len(self._waiting) >= self._crew.size and self._waiting[0].key not in self._suspects:
                self._next[worker] = self._waiting.popleft()
                self._crew.give(worker, self._next[worker])

    def _start(self, item: Item, worker: int) -> None:
        self._folder.start(item, worker)
        self._notify(ItemStarted(item, worker))

    def _record(self, report: Report) -> None:
        item, outcome, following = report.item, report.outcome, self._next.pop(report.worker, None)
        if isinstance(outcome, Lost):
            self._notify(WorkerLost(report.worker, item, outcome.reason, outcome.replaced))
            if following is not None:
                self._suspects.add(following.key)
                self._waiting.appendleft(following)
            if item is not None:
                self._lost_with(item, outcome.reason)
            return
        assert item is not None
        if isinstance(outcome, Done):
            self._folder.finish(item, outcome.text, outcome.seconds, outcome.files)
            self._notify(ItemDone(item, decode(outcome.text), outcome.seconds))
            self._notify(self._folder.progress)
        elif isinstance(outcome, Raised):
            self._fail(item, outcome.error, outcome.message)
        if following is not None:
            self._start(following, report.worker)

    def _lost_with(self, item: Item, reason: str) -> None:
        """Let an item wait again that was with a worker when that ended; behind the others, which may be harmless."""
        self._losses[item.key] += 1
        self._suspects.add(item.key)
        if self._losses[item.key] > self._retries:
            self._fail(item, "WorkerLost", f"its worker {reason}, {self._losses[item.key]} times")
            return
        self._folder.give_back(item)
        self._waiting.append(item)
        self._notify(ItemFailed(item, "WorkerLost", f"its worker {reason}", final=False))

    def _fail(self, item: Item, error: str, message: str) -> None:
        self._folder.fail(item, error, message)
        self._notify(ItemFailed(item, error, message, final=True))
        self._notify(self._folder.progress)
