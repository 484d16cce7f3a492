"""The SQLite table of a run's items: state, worker, duration, error. Other processes can read it while the run works.

The files of rows decide what is done and what failed; the journal is filled from them whenever a run is opened. A
journal that is lost or out of date costs only the durations and attempts that were saved in it.
"""

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..errors import RunError

ItemState = Literal["waiting", "running", "done", "failed"]

_TABLES = """
CREATE TABLE IF NOT EXISTS items (
    key TEXT PRIMARY KEY, position INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    worker INTEGER, started REAL, seconds REAL, error TEXT, message TEXT, name TEXT
);
CREATE TABLE IF NOT EXISTS process (pid INTEGER NOT NULL, host TEXT NOT NULL);
"""


class Journal:
    """An open journal; it is created if it does not exist.

    Args:
        path: of its file.
        read_only: the file must exist; neither it nor its folder is changed, so read access is enough.

    Raises:
        RunError: from every method: the file is damaged, or the disk is full.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._path = path
        with self._errors():
            if read_only:
                self._connection = _open_read_only(path)
            else:
                self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
                # A power loss may cost the last entries, which are also in the files of rows.
                self._connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_TABLES}")
                if not self._has_names():
                    self._connection.execute("ALTER TABLE items ADD COLUMN name TEXT")

    def fill(
        self, states: Mapping[str, ItemState], failures: Mapping[str, tuple[str, str]], names: Mapping[str, str]
    ) -> None:
        """Set the items, in order; the attempts and durations of those that are done or failed are kept.

        Args:
            states: of all items, by key.
            failures: error and message of those that failed, by key.
            names: shown to people in place of the keys, by key.
        """
        with self.transaction():
            saved = {key: rest for key, *rest in self._connection.execute("SELECT key, attempts, seconds FROM items")}
            self._connection.execute("DELETE FROM items")
            for position, (key, state) in enumerate(states.items()):
                attempts, seconds = saved.get(text(key), (0, None)) if state in ("done", "failed") else (0, None)
                error, message = failures.get(key, (None, None)) if state == "failed" else (None, None)
                self._connection.execute(
                    "INSERT INTO items (key, position, state, attempts, seconds, error, message, name) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(text(key), position, state, attempts, seconds),
                        *(error and text(error), message and text(message), text(names[key])),
                    ),
                )
            self._connection.execute("DELETE FROM process")
            self._connection.execute("INSERT INTO process VALUES (?, ?)", (os.getpid(), text(socket.gethostname())))

    def start(self, key: str, worker: int) -> None:
        """Record that a worker has started an item."""
        self._update(
            "state = 'running', attempts = attempts + 1, worker = ?, started = ? WHERE key = ?",
            (worker, time.time(), text(key)),
        )

    def finish(self, key: str, seconds: float) -> None:
        """Record that an item is done."""
        self._update("state = 'done', seconds = ? WHERE key = ?", (seconds, text(key)))

    def fail(self, key: str, error: str, message: str) -> None:
        """Record that an item has failed."""
        self._update("state = 'failed', error = ?, message = ? WHERE key = ?", (text(error), text(message), text(key)))

    def requeue(self, key: str | None = None) -> None:
        """Record that an item, or every running one, waits again."""
        if key is None:
            self._update("state = 'waiting' WHERE state = 'running'", ())
        else:
            self._update("state = 'waiting' WHERE key = ?", (text(key),))

    def process(self) -> tuple[int, str] | None:
        """Return id and host of the process that last opened the run."""
        return next(iter(self.select("pid, host FROM process")), None)

    @property
    def name_column(self) -> str:
        """The column with the names of items: in journals of older versions, their keys."""
        return "name" if self._has_names() else "key"

    def select(self, query: str) -> list[tuple]:
        """Return the rows of `SELECT query`."""
        with self._errors():
            return self._connection.execute(f"SELECT {query}").fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction: all of its changes or none, and reads of one state."""
        with self._errors(), self._connection:
            self._connection.execute("BEGIN")
            yield

    def close(self) -> None:
        """Close the journal."""
        self._connection.close()

    def _update(self, change: str, values: Sequence[object]) -> None:
        with self._errors():
            self._connection.execute(f"UPDATE items SET {change}", values)

    def _has_names(self) -> bool:
        return any(column == "name" for _, column, *_ in self.select("* FROM pragma_table_info('items')"))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunError(
                f"{self._path}: {error}",
                "Check the disk's free space and the permissions; a damaged journal can be deleted, "
                "the results are in other files.",
            ) from error


def _open_read_only(path: Path) -> sqlite3.Connection:
    # Without a log beside it no process has the journal open: read as immutable, SQLite creates no files beside it to
    # share it with others. With a log, SQLite uses the files that exist.
    has_log = path.with_name(f"{path.name}-wal").exists()
    options = "mode=ro" if has_log else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, timeout=30, isolation_level=None)


def text(value: str) -> str:
    """Return a text that SQLite can store: file names need not be Unicode."""
    return value.encode("utf-8", "backslashreplace").decode()
