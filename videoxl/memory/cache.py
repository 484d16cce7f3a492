"""Memories kept in the user's cache directory: bounded in size, the least recently used are removed first.

A command never removes what it has itself made or used: it has told the user that it is there, or will.

Any number of processes may use it at a time: files appear whole under their names and are never changed, so the worst
that two can do to each other is to make the same memory twice. It knows keys and files, and nothing of videos.
"""

import contextlib
import fnmatch
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import platformdirs

from ..errors import CacheError, DamagedMemoryError, MemoryFileError
from ..options import parse_size

DEFAULT_LIMIT = 20_000_000_000
_SUFFIX, _DAMAGED = ".vxm", ".damaged"
_ABANDONED_SECONDS = 3600  # since a temporary file was last written to: its process has ended
_FOLDER_ADVICE = "Set VIDEOXL_CACHE_DIR to another folder."
_LIMIT_ADVICE = "Set VIDEOXL_CACHE_SIZE to more, for example 50GB."

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class CachedFile:
    """A file in the cache.

    Args:
        path: the file.
        size: bytes.
        last_used: when it was last written or read, in seconds since 1970.
    """

    path: Path
    size: int
    last_used: float

    @property
    def id(self) -> str:
        """A short name for people: 8 hex digits."""
        return hashlib.sha256(self.path.name.encode()).hexdigest()[:8]

    @property
    def is_damaged(self) -> bool:
        """Whether it was set aside."""
        return self.path.suffix == _DAMAGED


class MemoryCache:
    """Memories by key, for one command.

    Args:
        folder: where they are; made when the first is put there.
        limit: bytes that all of them may take.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self._own: set[str] = set()  # names of the files that were made or used through this object
        self._is_full = False

    @classmethod
    def of_user(cls) -> "MemoryCache":
        """Return the user's: in `VIDEOXL_CACHE_DIR`, or where the system keeps caches; `VIDEOXL_CACHE_SIZE` bounds it.

        Raises:
            MemoryFileError: `VIDEOXL_CACHE_SIZE` is not a size.
            CacheError: the folder is in a home that is not known.
        """
        folder = os.environ.get("VIDEOXL_CACHE_DIR") or platformdirs.user_cache_dir("videoxl", appauthor=False)
        size = os.environ.get("VIDEOXL_CACHE_SIZE")
        try:
            limit = parse_size(size) if size else DEFAULT_LIMIT
        except ValueError as error:
            raise MemoryFileError(f"VIDEOXL_CACHE_SIZE: {error}", "Give for example 20GB or 500MB.") from None
        try:
            return cls(Path(folder).expanduser() / "memories", limit)
        except RuntimeError:
            raise CacheError(f"{folder}: that home folder is not known", _FOLDER_ADVICE) from None

    @property
    def is_full(self) -> bool:
        """Whether nothing more is kept: what was made and used here takes the whole limit."""
        return self._is_full or not self.limit

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the memories that begin with a prefix.

        Raises:
            CacheError: the folder cannot be read.
        """
        keys = [file.path.name.removesuffix(_SUFFIX) for file in self.files() if not file.is_damaged]
        return [key for key in keys if key.startswith(prefix)]

    def get(self, key: str, load: Callable[[Path], Loaded | None]) -> Loaded | None:
        """Return what `load` makes of the memory's file, and count it as used unless that is None.

        None also if there is no file, or another process removed or replaced it meanwhile.

        Raises:
            DamagedMemoryError: it is damaged. It is set aside then: the next `get` finds none.
            MemoryFileError: it cannot be read now, or the model cannot use it; it stays.
            CacheError: the folder cannot be searched.
        """
        path = self._path(key)
        before = _identity(path)
        if before is None:
            return None
        try:
            loaded = load(path)
        except MemoryFileError as error:
            if _identity(path) != before:
                return None
            if isinstance(error, DamagedMemoryError):
                with contextlib.suppress(OSError):
                    path.replace(path.with_name(path.name + _DAMAGED))
            raise
        if loaded is not None:
            self._own.add(path.name)
            with contextlib.suppress(OSError):  # it may be on a disk that can only be read, or be gone by now
                os.utime(path)
        return loaded

    def put(self, key: str, save: Callable[[Path], None]) -> None:
        """Let `save` write a memory to its file, and remove others if all take more than the limit; 0 keeps none.

        What was made or used here stays: where this one does not fit beside it, neither it nor any later one is kept.

        Raises:
            MemoryFileError: the folder cannot be written to, the disk is full, the memory alone is over the limit, or
                the cache is full.
        """
        if not self.limit:
            return
        if self._is_full:
            raise self._full()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(f"{self.folder}: cannot be made ({error.strerror})", _FOLDER_ADVICE) from None
        path = self._path(key)
        save(path)
        sizes = {file.path.name: file.size for file in self.files()}
        if sizes.get(path.name, 0) > self.limit:
            path.unlink(missing_ok=True)
            raise MemoryFileError(f"{path.name}: is larger than the cache may be", _LIMIT_ADVICE)
        own = self._own | {path.name}
        if sum(sizes.get(name, 0) for name in own) > self.limit:
            path.unlink(missing_ok=True)
            self._is_full = True
            raise self._full()
        self._own = own
        self.prune()

    def files(self) -> list[CachedFile]:
        """Return all files, the most recently used first, with those that were set aside.

        Raises:
            CacheError: the folder cannot be read.
        """
        found = []
        for path in self._matching(f"[!.]*{_SUFFIX}*"):
            with contextlib.suppress(OSError):  # another process removed it just now
                status = path.stat()
                found.append(CachedFile(path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda file: file.last_used, reverse=True)

    def prune(self, limit: int | None = None) -> list[CachedFile]:
        """Remove files until the rest is within the limit, and return them.

        Damaged ones go first, then the least recently used, and what was made or used here last; one that alone is over
        the limit does not displace others. Files that a killed process left half written are removed too.

        Args:
            limit: bytes; the cache's own if None.

        Raises:
            CacheError: the folder cannot be read, or a file cannot be removed.
        """
        for path in self._matching(f".*{_SUFFIX}.*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()
        limit = self.limit if limit is None else limit
        removed, free, is_full = [], limit, False
        # Sorting keeps the order of equals.
        for file in sorted(self.files(), key=lambda file: (file.path.name not in self._own, file.is_damaged)):
            if not is_full and file.size <= free:
                free -= file.size
                continue
            is_full = is_full or file.size <= limit
            self.remove(file)
            removed.append(file)
        return removed

    def remove(self, file: CachedFile) -> None:
        """Remove a file, if it is still there.

        Raises:
            CacheError: it cannot be removed.
        """
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(
                f"{file.path}: cannot be removed ({error.strerror})", "Check the folder and its permissions."
            ) from None

    def find(self, id: str) -> CachedFile:
        """Return the file whose id begins with some digits.

        Raises:
            MemoryFileError: there is none, or there are several.
            CacheError: the folder cannot be read.
        """
        found = [file for file in self.files() if id and file.id.startswith(id)]
        if len(found) != 1:
            how_many = "several memories" if found else "no memory"
            raise MemoryFileError(
                f"{id}: {how_many} of that id in {self.folder}", "videoxl memory list shows the ids there are."
            )
        return found[0]

    def path(self, key: str) -> Path | None:
        """Return the memory's file, if there is one."""
        path = self._path(key)
        return path if os.path.isfile(path) else None

    def _full(self) -> MemoryFileError:
        return MemoryFileError(
            f"the cache is full of what this command made or used; VIDEOXL_CACHE_SIZE allows {self.limit / 1e9:g} GB",
            _LIMIT_ADVICE,
        )

    def _matching(self, pattern: str) -> list[Path]:
        try:
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):  # `put` makes it, or reports why it cannot
            return []
        except OSError as error:
            raise CacheError(f"{self.folder}: cannot be read ({error.strerror})", _FOLDER_ADVICE) from None
        return [self.folder / name for name in fnmatch.filter(names, pattern)]

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what distinguishes a file from one that replaces it; None if it does not exist.

    Raises:
        CacheError: the folder cannot be searched.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CacheError(f"{path.parent}: cannot be read ({error.strerror})", _FOLDER_ADVICE) from None
    return status.st_dev, status.st_ino, status.st_size
