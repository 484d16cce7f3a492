"""Which item is done when, and again: hands out items, and records what comes of them."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable

from .events import Event, ItemDone, ItemFailed, ItemStarted, WorkerLost
from .folder import RunFolder
from .health import Health
from .job import Item
from .remote_pool import Lost, RemotePool, Report, Unfit
from .rows import decode
from .worker import Done, Raised

_UNFIT_ADVICE = "See whether the device works. The same command goes on with what is left."


class Schedule:
    """All that waits in a run.

    Args:
        folder: of the run.
        pool: does the items.
        retries: how often an item is tried again that a worker came to nothing with, and was ended.
        notify: told of all that happens.
    """

    def __init__(self, folder: RunFolder, pool: RemotePool, retries: int, notify: Callable[[Event], None]) -> None:
        self._folder, self._pool, self._retries, self._notify = folder, pool, retries, notify
        self._waiting = deque(folder.waiting)
        self._alone: deque[Item] = deque()  # ran out of memory, and wait for everything else
        self._next: dict[int, Item] = {}  # by worker: given while that still has another
        self._health: defaultdict[int, Health] = defaultdict(Health)  # by worker
        self._tries: Counter[str] = Counter()  # by key: workers that came to nothing with an item, and were ended
        self._too_big: set[str] = set()  # ran out of memory
        self._suspects: set[str] = set()  # were with a worker when that ended

    def do_all(self) -> None:
        """Do what waits.

        Raises:
            VideoXLError: no worker is left; what is not done or failed by then waits.
        """
        while True:
            while self._waiting or self._pool.busy:
                self._hand_out()
                for report in self._pool.wait():
                    self._record(report)
            self._settle()
            if self._waiting:
                continue
            if not self._alone:
                return
            self._pool.reduce()
            self._health.clear()
            self._waiting.append(self._alone.popleft())

    def _settle(self) -> None:
        """Decide about what is held back, when there is nothing more that would tell whose fault it was."""
        for worker, health in [*self._health.items()]:
            if any(self._tries[item.key] for item, _ in health.held):  # with the worker before this one, too
                self._end_worker(worker, None, health.reason)
            else:
                self._fail_held(health)

    def _hand_out(self) -> None:
        for worker in self._pool.free():
            if self._waiting:
                item = self._waiting.popleft()
                self._start(item, worker)
                self._pool.give(worker, item)
        for worker in self._pool.ahead():
            # Only while there is one for everybody who may be free soon; and none that may end the work of another.
            if len(self._waiting) >= self._pool.size and self._waiting[0].key not in self._suspects:
                self._next[worker] = self._waiting.popleft()
                self._pool.give(worker, self._next[worker])

    def _start(self, item: Item, worker: int) -> None:
        self._folder.start(item, worker)
        self._notify(ItemStarted(item, worker))

    def _record(self, report: Report) -> None:
        worker, item, outcome = report.worker, report.item, report.outcome
        if isinstance(outcome, Unfit):
            self._notify(WorkerLost(worker, None, outcome.reason, outcome.replaced))
            return
        if isinstance(outcome, Lost):
            self._lost(worker, item, outcome)
            return
        assert item is not None
        if isinstance(outcome, Done):
            self._done(worker, item, outcome)
        else:
            self._raised(worker, item, outcome)
        if (following := self._next.pop(worker, None)) is not None:
            self._start(following, worker)

    def _done(self, worker: int, item: Item, done: Done) -> None:
        if worker in self._health:  # the worker is fit
            self._fail_held(self._health.pop(worker))
        self._folder.finish(item, done.text, done.seconds, done.files)
        self._notify(ItemDone(item, decode(done.text), done.seconds))
        self._notify(self._folder.progress)

    def _raised(self, worker: int, item: Item, raised: Raised) -> None:
        health = self._health[worker]
        if raised.fault == "input" or (raised.fault == "memory" and item.key in self._too_big):
            self._fail(item, raised.error, raised.message)
        elif raised.fault == "memory":
            health.add(raised, is_news=False)
            self._too_big.add(item.key)
            self._folder.requeue(item)
            self._alone.append(item)
            self._notify(ItemFailed(item, raised.error, raised.message, final=False))
        else:
            health.add(raised, is_news=not self._tries[item.key])
            health.held.append((item, raised))
            self._folder.requeue(item)
        if health.is_worker_unfit:
            self._end_worker(worker, None, health.reason)

    def _lost(self, worker: int, item: Item | None, lost: Lost) -> None:
        if item is None or not self._tries[item.key]:
            self._health[worker].failures += 1
        self._end_worker(worker, item, lost.reason)
        if item is None:
            return
        if lost.overdue is not None:
            self._fail(item, "ItemTimeout", f"took more than {lost.overdue:g} s, which is all that it may take")
        else:
            self._try_again(item, "WorkerLost", f"its worker {lost.reason}")

    def _end_worker(self, worker: int, item: Item | None, reason: str) -> None:
        """Replace a worker, or give its device up; what it had besides `item` waits again."""
        health = self._health[worker]
        health.end_worker()
        if health.is_device_unfit:
            self._pool.dismiss(worker, f"{reason}, and the one before it fared no better", _UNFIT_ADVICE)
        else:
            self._pool.replace(worker)
        self._notify(WorkerLost(worker, item, reason, replaced=not health.is_device_unfit))
        if (following := self._next.pop(worker, None)) is not None:
            self._suspects.add(following.key)
            self._waiting.appendleft(following)
        for held, raised in health.release():
            self._try_again(held, raised.error, raised.message)

    def _try_again(self, item: Item, error: str, message: str) -> None:
        """Let an item wait again that a worker came to nothing with; behind the others, which may be harmless."""
        self._tries[item.key] += 1
        if self._tries[item.key] > self._retries:
            times = f", {self._tries[item.key]} times" if self._retries else ""
            self._fail(item, error, message + times)
            return
        self._suspects.add(item.key)
        self._folder.requeue(item)
        self._waiting.append(item)
        self._notify(ItemFailed(item, error, message, final=False))

    def _fail_held(self, health: Health) -> None:
        for item, raised in health.release():
            self._fail(item, raised.error, raised.message)

    def _fail(self, item: Item, error: str, message: str) -> None:
        self._folder.fail(item, error, message)
        self._notify(ItemFailed(item, error, message, final=True))
        self._notify(self._folder.progress)
