"""Crash-safe files of rows: appended rows are on the disk, and incomplete items do not count."""

import contextlib
import os
from pathlib import Path

from ..errors import RunError
from ..files import atomic_write, sync_folder


class RowFile:
    """A file of rows, open for appending; an incomplete item at its end is cut off.

    Args:
        path: created if it does not exist; its folder must exist.
        end: number of bytes that hold complete items, from `rows.read`.

    Raises:
        RunError: the file cannot be written.
    """

    def __init__(self, path: Path, end: int) -> None:
        self._path, self._end = path, end
        try:
            self._file = path.open("ab", buffering=0)
            self._file.truncate(end)
            os.fsync(self._file.fileno())  # a process that was killed may have left rows that are not on the disk yet
            sync_folder(path.parent)
        except OSError as error:
            raise unwritable(path, error) from error

    def append(self, text: str) -> None:
        """Write the lines of one item; they are on the disk when this returns.

        Raises:
            RunError: the disk is full, for example; the file is unchanged.
        """
        data = text.encode()
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # if not now, the incomplete item is cut off at the next opening
                self._file.truncate(self._end)
            raise unwritable(self._path, error) from error
        self._end += len(data)

    def replace(self, text: str) -> None:
        """Replace all lines, atomically.

        Raises:
            RunError: the disk is full, for example; the file is unchanged.
        """
        data = text.encode()
        self._file.close()  # some systems cannot replace an open file
        try:
            with atomic_write(self._path) as file:
                file.write(data)
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._end = len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def clear(path: Path) -> None:
    """Remove all rows of a file, atomically.

    Raises:
        RunError: the folder cannot be written to.
    """
    try:
        with atomic_write(path):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file of a run, atomically; its folder is created if it does not exist.

    Raises:
        RunError: it cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> RunError:
    """Return the error for a file of a run that could not be written."""
    return RunError(
        f"{path}: cannot be written ({error.strerror})",
        "Check the disk's free space and the permissions, then run the same command again: finished items are kept.",
    )
