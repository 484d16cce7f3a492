"""The schedule: dispatches items to workers, records their outcomes, retries items and replaces workers."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable

from .events import Event, ItemDone, ItemFailed, ItemStarted, WorkerLost
from .folder import RunFolder
from .health import Health
from .job import Item
from .remote_pool import RemotePool, Report, StartFailure, WorkerLoss
from .rows import decode
from .worker import ItemError, Success

_DEVICE_ADVICE = "Check the device. The same command resumes the run."


class Schedule:
    """Processes the waiting items of a run.

    Args:
        folder: of the run.
        pool: its workers.
        max_retries: how often an item is retried after it ended its worker, or failed on a worker that was replaced.
        notify: called with every event.
    """

    def __init__(self, folder: RunFolder, pool: RemotePool, max_retries: int, notify: Callable[[Event], None]) -> None:
        self._folder, self._pool, self._max_retries, self._notify = folder, pool, max_retries, notify
        self._waiting = deque(folder.waiting)
        self._waiting_alone: deque[Item] = deque()  # ran out of memory: run alone after all others
        self._next: dict[int, Item] = {}  # by worker: submitted while it still has another item
        self._health: defaultdict[int, Health] = defaultdict(Health)  # by worker
        self._attempts: Counter[str] = Counter()  # by key: attempts whose worker was ended
        self._out_of_memory: set[str] = set()  # keys of items that ran out of memory
        self._suspects: set[str] = set()  # keys of items that a worker had when it ended

    def run_all(self) -> None:
        """Process all waiting items.

        Raises:
            VideoXLError: no worker is left; items that are neither done nor failed keep waiting.
        """
        while True:
            while self._waiting or self._pool.is_busy:
                self._dispatch()
                for report in self._pool.wait():
                    self._record(report)
            self._resolve_held()
            if self._waiting:
                continue
            if not self._waiting_alone:
                return
            self._pool.shrink_to_one()
            self._health.clear()
            self._waiting.append(self._waiting_alone.popleft())

    def _resolve_held(self) -> None:
        """Decide about held items when no other item is left that would show the cause."""
        for worker, health in [*self._health.items()]:
            if any(self._attempts[item.key] for item, _ in health.held):  # also failed with the previous worker
                self._end_worker(worker, None, health.reason)
            else:
                self._fail_held(health)

    def _dispatch(self) -> None:
        for worker in self._pool.idle_workers():
            if self._waiting:
                item = self._waiting.popleft()
                self._start(item, worker)
                self._pool.submit(worker, item)
        for worker in self._pool.ready_for_next():
            # Only while every worker that may soon be idle has an item to get; never one that may end its worker.
            if len(self._waiting) >= self._pool.size and self._waiting[0].key not in self._suspects:
                self._next[worker] = self._waiting.popleft()
                self._pool.submit(worker, self._next[worker])

    def _start(self, item: Item, worker: int) -> None:
        self._folder.start(item, worker)
        self._notify(ItemStarted(item, worker))

    def _record(self, report: Report) -> None:
        worker, item, outcome = report.worker, report.item, report.outcome
        if isinstance(outcome, StartFailure):
            self._notify(WorkerLost(worker, None, outcome.reason, outcome.replaced))
            return
        if isinstance(outcome, WorkerLoss):
            self._record_loss(worker, item, outcome)
            return
        assert item is not None
        if isinstance(outcome, Success):
            self._record_success(worker, item, outcome)
        else:
            self._record_error(worker, item, outcome)
        if (next_item := self._next.pop(worker, None)) is not None:
            self._start(next_item, worker)

    def _record_success(self, worker: int, item: Item, success: Success) -> None:
        if worker in self._health:  # the worker is healthy, so the held items were the cause
            self._fail_held(self._health.pop(worker))
        self._folder.finish(item, success.text, success.seconds, success.files)
        self._notify(ItemDone(item, decode(success.text), success.seconds))
        self._notify(self._folder.progress)

    def _record_error(self, worker: int, item: Item, error: ItemError) -> None:
        health = self._health[worker]
        if error.fault == "input" or (error.fault == "memory" and item.key in self._out_of_memory):
            self._fail(item, error.error, error.message)
        elif error.fault == "memory":
            health.add(error, counts_for_device=False)
            self._out_of_memory.add(item.key)
            self._folder.requeue(item)
            self._waiting_alone.append(item)
            self._notify(ItemFailed(item, error.error, error.message, final=False))
        else:
            health.add(error, counts_for_device=not self._attempts[item.key])
            health.held.append((item, error))
            self._folder.requeue(item)
        if health.is_worker_unhealthy:
            self._end_worker(worker, None, health.reason)

    def _record_loss(self, worker: int, item: Item | None, loss: WorkerLoss) -> None:
        if item is None or not self._attempts[item.key]:
            self._health[worker].failures += 1
        self._end_worker(worker, item, loss.reason)
        if item is None:
            return
        if loss.timeout is not None:
            self._fail(item, "ItemTimeout", f"took more than {loss.timeout:g} s, its timeout")
        else:
            self._retry(item, "WorkerLost", f"its worker {loss.reason}")

    def _end_worker(self, worker: int, item: Item | None, reason: str) -> None:
        """Replace a worker, or give its device up; its items other than `item` are requeued."""
        health = self._health[worker]
        health.end_worker()
        if health.is_device_unhealthy:
            self._pool.remove(worker, f"{reason}, and the worker before it failed, too", _DEVICE_ADVICE)
        else:
            self._pool.replace(worker)
        self._notify(WorkerLost(worker, item, reason, replaced=not health.is_device_unhealthy))
        if (next_item := self._next.pop(worker, None)) is not None:
            self._suspects.add(next_item.key)
            self._waiting.appendleft(next_item)
        for held, error in health.release():
            self._retry(held, error.error, error.message)

    def _retry(self, item: Item, error: str, message: str) -> None:
        """Requeue an item whose attempt ended its worker, after the others, which may be harmless; or fail it."""
        self._attempts[item.key] += 1
        if self._attempts[item.key] > self._max_retries:
            times = f", {self._attempts[item.key]} times" if self._max_retries else ""
            self._fail(item, error, message + times)
            return
        self._suspects.add(item.key)
        self._folder.requeue(item)
        self._waiting.append(item)
        self._notify(ItemFailed(item, error, message, final=False))

    def _fail_held(self, health: Health) -> None:
        for item, error in health.release():
            self._fail(item, error.error, error.message)

    def _fail(self, item: Item, error: str, message: str) -> None:
        self._folder.fail(item, error, message)
        self._notify(ItemFailed(item, error, message, final=True))
        self._notify(self._folder.progress)
