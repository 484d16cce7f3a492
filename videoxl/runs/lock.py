"""The lock of a run's folder: one process at a time."""

import contextlib
import sqlite3
from pathlib import Path

_TIMEOUT_SECONDS = 1.0  # `is_held` holds a read lock for a moment


class FolderLock:
    """Holds a folder's lock until it is closed or the process ends, however it ends.

    It is SQLite's lock on an empty database, which uses the operating system's file locks on every platform.

    Raises:
        BlockingIOError: another process, or another lock in this one, holds it.
        OSError: the file cannot be opened or locked.
    """

    def __init__(self, path: Path, timeout: float = _TIMEOUT_SECONDS) -> None:
        try:
            self._connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = MEMORY")  # no second file
            self._connection.execute("BEGIN EXCLUSIVE")  # readers notice it, too
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise BlockingIOError(f"{path} is locked") from error
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Release the lock."""
        self._connection.close()


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock; this needs only read access to the file.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.exists():
        return False
    try:
        reader = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
        with contextlib.closing(reader):
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            return True
        raise OSError(str(error)) from error
    return False
