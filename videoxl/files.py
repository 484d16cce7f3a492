"""Writing files so that whoever looks sees the old one or the whole new one, also after a crash."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Give a binary file to write to; it takes the place of `path` once the block ends without an error.

    Raises:
        OSError: the folder does not exist or cannot be written to, or the disk is full; the old file is still there.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        replace_file(temporary, path)
    except BaseException:  # also Ctrl-C
        temporary.unlink(missing_ok=True)
        raise


def replace_file(temporary: Path, path: Path) -> None:
    """Let a finished file take the place of another, in the same folder, so that a power loss leaves one of the two."""
    temporary.chmod(0o666 & ~_umask())  # temporary files are private
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that the names of new files in a folder are on the disk."""
    if os.name == "posix":  # elsewhere a folder cannot be opened, and its entry is written with the file
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object for people to read, atomically; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        # Names of files need not be Unicode; what replaces their bytes is JSON's own way to write them.
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def _umask() -> int:
    """Return the process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
