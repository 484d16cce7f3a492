"""Reading a run's state and results, while it runs or later; nothing is changed."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import rows
from .folder import RESULTS, open_journal, running_process
from .journal import text


@dataclass(frozen=True)
class Failure:
    """A failed item, and why it failed; `name` is shown to people in place of the key."""

    key: str
    name: str
    error: str
    message: str

    @property
    def reason(self) -> str:
        """The message without the item's name at its beginning, to be shown beside the name."""
        return self.message.removeprefix(f"{self.name}: ")


@dataclass(frozen=True)
class RunningItem:
    """An item in progress; `seconds` since it started, `name` is shown to people in place of the key."""

    key: str
    name: str
    worker: int
    seconds: float


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    Args:
        done: number of items that are done.
        failed: number of items that failed.
        running: number of items in progress.
        waiting: number of all other items.
        seconds: total time that the workers took for the items that are done.
        process: id and host of the process that works on the run; None if none does.
        failures: the failed items, in input order.
        running_items: the items in progress.
    """

    done: int
    failed: int
    running: int
    waiting: int
    seconds: float
    process: tuple[int, str] | None
    failures: tuple[Failure, ...]
    running_items: tuple[RunningItem, ...]

    @property
    def total(self) -> int:
        """Number of all items."""
        return self.done + self.failed + self.running + self.waiting


def state(folder: Path) -> RunState:
    """Return the state of the run in a folder.

    Raises:
        RunError: the folder holds no run, or its files cannot be read.
    """
    process = running_process(folder)
    with open_journal(folder) as journal:
        counts = dict(journal.select("state, count(*) FROM items GROUP BY state"))
        ((seconds,),) = journal.select("total(seconds) FROM items WHERE state = 'done'")
        item = f"key, {journal.name_column}"
        failures = journal.select(f"{item}, error, message FROM items WHERE state = 'failed' ORDER BY position")
        running = journal.select(f"{item}, worker, started FROM items WHERE state = 'running' ORDER BY worker")
    if process is None:  # it was killed; the next run processes these again
        counts["waiting"] = counts.get("waiting", 0) + counts.pop("running", 0)
        running = []
    now = time.time()
    running_items = [RunningItem(key, name, worker, max(0.0, now - started)) for key, name, worker, started in running]
    return RunState(
        **{name: counts.get(name, 0) for name in ("done", "failed", "running", "waiting")},
        seconds=seconds,
        process=process,
        failures=tuple(Failure(*row) for row in failures),
        running_items=tuple(running_items),
    )


def load_results(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all items that are done, in the order of the items.

    Each has its item's `key`, and `of` if the worker returned a list. Rows of items that are no longer part of the run
    are left out.

    Raises:
        RunError: the folder holds no run, or its files cannot be read.
    """
    with open_journal(folder) as journal:
        positions = {key: position for key, position in journal.select("key, position FROM items")}
    results, _ = rows.read(folder / RESULTS)
    keys = [key for key in results if text(key) in positions]
    return [row for key in sorted(keys, key=lambda key: positions[text(key)]) for row in results[key]]
