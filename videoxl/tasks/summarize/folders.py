"""Scanning folders for videos, and matching path patterns."""

import glob
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...video.checks import looks_like_video

# Files with these extensions count as videos whatever their content, so that a broken one is reported. Not .ts, which
# TypeScript uses, too.
_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".m2ts", ".mpg", ".mpeg", ".flv"),
    *(".f4v", ".ogv", ".wmv", ".asf", ".3gp", ".3g2", ".vob"),
    *(".h264", ".hevc", ".y4m", ".mxf", ".dv", ".ivf", ".nut", ".rm"),  # not supported
)
_SEPARATORS = re.escape(os.sep + (os.altsep or ""))
_ANY_DEPTH = re.compile(rf"(?:^|(?<=[{_SEPARATORS}]))\*\*(?:[{_SEPARATORS}]+|$)")


@dataclass(frozen=True)
class FolderContent:
    """The paths of the files in and below a folder.

    Args:
        videos: files that are videos by content or by name.
        others: all other files.
        unreadable: folders that cannot be opened.
    """

    videos: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def scan_folder(folder: str, output: Path) -> FolderContent:
    """Return the files in and below a folder, except hidden ones.

    Links to folders are followed. Every folder is scanned once, however many paths lead to it, and by the path with the
    fewest links, so that a new link does not change the paths of existing files.

    Args:
        folder: its path.
        output: a folder to skip.
    """
    content = FolderContent()
    for subfolder, names in _folders(folder, [os.path.realpath(output)], content.unreadable):
        for name in names:
            path = str(Path(subfolder, name))
            is_video = os.path.splitext(name)[1].lower() in _EXTENSIONS or looks_like_video(path)
            (content.videos if is_video else content.others).append(path)
    return content


def find_matching(pattern: str, unreadable: list[str]) -> list[str]:
    """Return the paths that match a pattern, in order.

    For `**`, every folder is scanned once, as in `scan_folder`: `glob` would follow links that form a loop.

    Args:
        pattern: see `glob.glob`.
        unreadable: folders that cannot be opened are added to it.
    """
    any_depth = _ANY_DEPTH.search(pattern)
    if any_depth is None:
        return sorted(glob.glob(pattern))
    before, after = pattern[: any_depth.start()], pattern[any_depth.end() :]
    tops = [top for top in glob.glob(before) if os.path.isdir(top)] if before else ["."]
    if not after:
        return sorted(tops)
    matches = (
        path
        for top in tops
        for subfolder, _ in _folders(top, [], unreadable)
        for path in find_matching(os.path.join(glob.escape(subfolder), after), unreadable)
    )
    return _without_duplicates(matches)


def _without_duplicates(paths: Iterable[str]) -> list[str]:
    """Return paths in order; of several to the same file, the one without links."""
    by_target: dict[tuple[str, str], str] = {}
    for path in sorted(paths, key=lambda path: (_goes_through_links(path), path)):
        folder, name = os.path.split(path)
        by_target.setdefault((os.path.realpath(folder), name), path)
    return sorted(by_target.values())


def _goes_through_links(path: str) -> bool:
    folder = os.path.dirname(path)
    return os.path.realpath(folder) != os.path.abspath(folder)


def _folders(top: str, skipped: Iterable[str], unreadable: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and all folders below it with the names of their files, in order; linked folders come last."""
    seen = set(skipped)
    links = deque([top])
    while links:
        stack = [links.popleft()]
        while stack:
            folder = stack.pop()
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            try:
                entries = _entries(folder)
            except OSError:
                unreadable.append(folder)
                continue
            yield folder, [entry.name for entry in entries if not entry.is_dir()]
            folders = [entry for entry in entries if entry.is_dir()]
            links.extend(entry.path for entry in folders if entry.is_symlink())
            stack.extend(entry.path for entry in reversed(folders) if not entry.is_symlink())


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    """Return the entries of a folder that are not hidden, by name."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
