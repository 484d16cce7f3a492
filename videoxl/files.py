"""Atomic writes: a reader sees the old file or the whole new one, also after a crash. Paths, assets and digests."""

import contextlib
import hashlib
import importlib.resources
import json
import os
import re
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

# Files of up to this many pieces are hashed whole; of larger ones, pieces from the first to the last, evenly spaced.
_PIECES = 16
_PIECE_BYTES = 1 << 20


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Give a binary file to write to; it replaces `path` once the block ends without an error.

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
    """Replace a file by a finished one in the same folder, so that a power loss leaves one of the two."""
    temporary.chmod(0o666 & ~_umask())  # temporary files are private
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that the names of new files in a folder are on disk."""
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


def local_path(path: str | os.PathLike[str]) -> str:
    """Return the path that a file URL names, such as "file:///films/a%20b.mp4"; a path is returned as it is.

    Also "file://localhost/films/a.mp4" and "file:/films/a.mp4" (RFC 8089). A URL with another host is
    not a local path, and returned as it is.
    """
    name = os.fspath(path)
    match = re.fullmatch(r"file:(?://(?:localhost)?)?(/(?!/).*)", name, re.IGNORECASE | re.DOTALL)
    if match is None or os.path.lexists(name):
        return name
    if os.name == "nt":
        from urllib.request import url2pathname  # slow to import: it loads http

        return url2pathname(match[1])
    return os.fsdecode(urllib.parse.unquote_to_bytes(match[1]))


def asset(name: str) -> Path:
    """Return the path of what comes with the package: a folder or a file in `assets/`, which may not be there."""
    try:
        return Path(str(importlib.resources.files("videoxl.assets").joinpath(name)))
    except ModuleNotFoundError:
        # Python run in a clone imports the clone, where assets lie beside the package, rather than what is installed.
        return Path(__file__).resolve().parents[1] / "assets" / name


def sampled_digest(path: str | os.PathLike[str], size: int | None = None) -> str:
    """Return a digest of a file's size and content, read at head, tail and evenly between; 32 hex digits.

    Files of up to 16 MiB are read whole.

    Args:
        path: of the file.
        size: number of bytes from its beginning that count; None for all.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size if size is None else size
        digest = hashlib.sha256(str(size).encode())
        if size <= _PIECES * _PIECE_BYTES:
            digest.update(file.read(size))
        else:
            for piece in range(_PIECES):
                file.seek((size - _PIECE_BYTES) * piece // (_PIECES - 1))
                digest.update(file.read(_PIECE_BYTES))
    return digest.hexdigest()[:32]


def _umask() -> int:
    """Return the process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
