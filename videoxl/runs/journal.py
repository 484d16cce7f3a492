"""The table of a run's items: who does what, how long it took, what failed. Anybody may look while the run goes on.

What is done and what failed is in the files of rows; the journal is filled from them whenever a run is opened, so a
journal that is lost, or behind, costs nothing but the seconds and attempts that were noted in it.
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
    """An open journal; it is made if it does not exist.

    Args:
        path: of its file.
        read_only: it exists, and neither it nor its folder is changed; nor need that be allowed.

    Raises:
        RunError: from every method: the file is damaged, or the disk is full.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._path = path
        with self._errors():
            if read_only:
                self._connection = _open_to_read(path)
            else:
                self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
                # A power loss may cost the last entries, which are in the files of rows.
                self._connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_TABLES}")
                if not self._has_names():
                    self._connection.execute("ALTER TABLE items ADD COLUMN name TEXT")

    def fill(
        self, states: Mapping[str, ItemState], failures: Mapping[str, tuple[str, str]], names: Mapping[str, str]
    ) -> None:
        """Take these items in this order; what is known of those that are done or failed is kept.

        Args:
            states: of all items, by key.
            failures: error and message of those that failed, by key.
            names: what people are shown in place of the keys, by key.
        """
        with self.transaction():
            known = {key: rest for key, *rest in self._connection.execute("SELECT key, attempts, seconds FROM items")}
            self._connection.execute("DELETE FROM items")
            for position, (key, state) in enumerate(states.items()):
                attempts, seconds = known.get(text(key), (0, None)) if state in ("done", "failed") else (0, None)
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
        """Note that a worker has an item."""
        self._update(
            "state = 'running', attempts = attempts + 1, worker = ?, started = ? WHERE key = ?",
            (worker, time.time(), text(key)),
        )

    def finish(self, key: str, seconds: float) -> None:
        """Note that an item is done."""
        self._update("state = 'done', seconds = ? WHERE key = ?", (seconds, text(key)))

    def fail(self, key: str, error: str, message: str) -> None:
        """Note that an item has failed."""
        self._update("state = 'failed', error = ?, message = ? WHERE key = ?", (text(error), text(message), text(key)))

    def requeue(self, key: str | None = None) -> None:
        """Let an item, or all that are running, wait again."""
        if key is None:
            self._update("state = 'waiting' WHERE state = 'running'", ())
        else:
            self._update("state = 'waiting' WHERE key = ?", (text(key),))

    def process(self) -> tuple[int, str] | None:
        """Return number and host of the process that last opened the run."""
        return next(iter(self.select("pid, host FROM process")), None)

    @property
    def name(self) -> str:
        """What to select for the names of items: those of older versions have none but their keys."""
        return "name" if self._has_names() else "key"

    def select(self, query: str) -> list[tuple]:
        """Return the rows of `SELECT query`."""
        with self._errors():
            return self._connection.execute(f"SELECT {query}").fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all that is inside, or nothing; what is read inside is of one moment."""
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
                "the results are elsewhere.",
            ) from error


def _open_to_read(path: Path) -> sqlite3.Connection:
    # Without a log beside it nobody has the journal open: to read it as if nothing could change it needs no more files,
    # where SQLite would make some to share it with others. With a log it uses those that are there.
    has_log = path.with_name(f"{path.name}-wal").exists()
    options = "mode=ro" if has_log else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, timeout=30, isolation_level=None)


def text(value: str) -> str:
    """Return what SQLite can hold: names of files need not be Unicode."""
    return value.encode("utf-8", "backslashreplace").decode()
