"""Looking at a run, while it goes on or later; nothing is changed."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import rows
from .folder import RESULTS, look, running_process
from .journal import text


@dataclass(frozen=True)
class Failure:
    """An item that failed, and why; `name` is what people are shown in place of the key."""

    key: str
    name: str
    error: str
    message: str

    @property
    def reason(self) -> str:
        """The message, for a place where the item's name stands already: without it at the beginning."""
        return self.message.removeprefix(f"{self.name}: ")


@dataclass(frozen=True)
class Running:
    """An item that a worker has; `seconds` since it got it, `name` is what people are shown in place of the key."""

    key: str
    name: str
    worker: int
    seconds: float


@dataclass(frozen=True)
class RunState:
    """Where a run is.

    Args:
        done: number of items, like the next three.
        failed: in input order in `failures`.
        running: with a worker at the moment, see `running_items`.
        waiting: neither of these.
        seconds: that the workers took for the items that are done, together.
        process: number and host of the process that works on the run; None if none does.
        failures: all of them.
        running_items: the items that are running.
    """

    done: int
    failed: int
    running: int
    waiting: int
    seconds: float
    process: tuple[int, str] | None
    failures: tuple[Failure, ...]
    running_items: tuple[Running, ...]

    @property
    def total(self) -> int:
        """All items."""
        return self.done + self.failed + self.running + self.waiting


def state(folder: Path) -> RunState:
    """Return where the run in a folder is.

    Raises:
        RunError: the folder holds no run, or its files cannot be read.
    """
    process = running_process(folder)
    with look(folder) as journal:
        counts = dict(journal.select("state, count(*) FROM items GROUP BY state"))
        ((seconds,),) = journal.select("total(seconds) FROM items WHERE state = 'done'")
        item = f"key, {journal.name}"
        failures = journal.select(f"{item}, error, message FROM items WHERE state = 'failed' ORDER BY position")
        running = journal.select(f"{item}, worker, started FROM items WHERE state = 'running' ORDER BY worker")
    if process is None:  # it was killed, and the next one will do these again
        counts["waiting"] = counts.get("waiting", 0) + counts.pop("running", 0)
        running = []
    now = time.time()
    return RunState(
        **{name: counts.get(name, 0) for name in ("done", "failed", "running", "waiting")},
        seconds=seconds,
        process=process,
        failures=tuple(Failure(*row) for row in failures),
        running_items=tuple(Running(key, name, at, max(0.0, now - since)) for key, name, at, since in running),
    )


def load_results(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all items that are done, in the order in which the items were given.

    Each has its item's `key`, and `of` if the worker gave a list. Rows of items that are no longer among those given
    are left out.

    Raises:
        RunError: the folder holds no run, or its files cannot be read.
    """
    with look(folder) as journal:
        position = {key: place for key, place in journal.select("key, position FROM items")}
    results, _ = rows.read(folder / RESULTS)
    given = [key for key in results if text(key) in position]
    return [row for key in sorted(given, key=lambda key: position[text(key)]) for row in results[key]]
