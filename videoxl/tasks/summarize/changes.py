"""Files that have changed since a run read them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...runs import rows
from ...runs.folder import RESULTS
from .inputs import Source


def file_marks(path: str) -> dict[str, Any]:
    """Return what identifies a version of a file: `size` in bytes, `modified` in seconds since 1970.

    Both are None if there is no such file.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return {"size": None, "modified": None}
    return {"size": status.st_size, "modified": round(status.st_mtime, 3)}


def changed_sources(sources: Sequence[Source], folder: Path) -> list[Source]:
    """Return the videos that have a row in a run's folder but a different file now; a missing file has not changed.

    Raises:
        RunError: the rows cannot be read.
    """
    results, _ = rows.read(folder / RESULTS)
    return [source for source in sources if _is_changed(source, results.get(source.item.key))]


def _is_changed(source: Source, saved: list[dict[str, Any]] | None) -> bool:
    now = file_marks(source.path)
    return saved is not None and now["size"] is not None and any(saved[0]["video"][name] != now[name] for name in now)
