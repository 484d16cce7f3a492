"""Folders and patterns: the videos that they stand for, and what is passed over."""

import glob
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...video.checks import looks_like_video

# Files of such names are taken for videos in a folder, whatever is in them, so that a broken one is reported. Not .ts,
# which programs have too.
_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".m2ts", ".mpg", ".mpeg", ".flv"),
    *(".f4v", ".ogv", ".wmv", ".asf", ".3gp", ".3g2", ".vob"),
    *(".h264", ".hevc", ".y4m", ".mxf", ".dv", ".ivf", ".nut", ".rm"),  # not read: the reason says how to convert them
)
_SEPARATORS = re.escape(os.sep + (os.altsep or ""))
_ANYWHERE = re.compile(rf"(?:^|(?<=[{_SEPARATORS}]))\*\*(?:[{_SEPARATORS}]+|$)")


@dataclass(frozen=True)
class Found:
    """What is in a folder and below: paths.

    Args:
        videos: by their content or by their names.
        others: files that are no videos.
        unreadable: folders that the system does not open.
    """

    videos: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def look_through(folder: str, output: Path) -> Found:
    """Return what is in a folder and below; what is hidden is left out.

    Links to folders are followed. Every folder is looked at once, however many ways lead to it, and by the way that
    goes through the fewest links, so that a link that is added does not rename what was there.

    Args:
        folder: its path.
        output: a folder that is left out.
    """
    found = Found()
    for place, names in _folders(folder, [os.path.realpath(output)], found.unreadable):
        for name in names:
            path = str(Path(place, name))
            is_video = os.path.splitext(name)[1].lower() in _ENDINGS or looks_like_video(path)
            (found.videos if is_video else found.others).append(path)
    return found


def matching(pattern: str, unreadable: list[str]) -> list[str]:
    """Return the paths that a pattern stands for, in order.

    Where `**` stands for folders, each is looked at once, as in `look_through`: `glob` would go round and round where
    links lead back.

    Args:
        pattern: see `glob.glob`.
        unreadable: folders that the system does not open are added to it.
    """
    anywhere = _ANYWHERE.search(pattern)
    if anywhere is None:
        return sorted(glob.glob(pattern))
    before, after = pattern[: anywhere.start()], pattern[anywhere.end() :]
    tops = [top for top in glob.glob(before) if os.path.isdir(top)] if before else ["."]
    if not after:
        return sorted(tops)
    found = (
        path
        for top in tops
        for place, _ in _folders(top, [], unreadable)
        for path in matching(os.path.join(glob.escape(place), after), unreadable)
    )
    return _each_once(found)


def _each_once(paths: Iterable[str]) -> list[str]:
    """Return paths in order, and of several to one place the one that goes through no link."""
    ways: dict[tuple[str, str], str] = {}
    for path in sorted(paths, key=lambda path: (_goes_through_links(path), path)):
        folder, name = os.path.split(path)
        ways.setdefault((os.path.realpath(folder), name), path)
    return sorted(ways.values())


def _goes_through_links(path: str) -> bool:
    folder = os.path.dirname(path)
    return os.path.realpath(folder) != os.path.abspath(folder)


def _folders(top: str, left_out: Iterable[str], unreadable: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and all below it, with the names of their files, both in order; those behind links come last."""
    seen = set(left_out)
    linked = deque([top])
    while linked:
        within = [linked.popleft()]
        while within:
            place = within.pop()
            real = os.path.realpath(place)
            if real in seen:
                continue
            seen.add(real)
            try:
                entries = _entries(place)
            except OSError:
                unreadable.append(place)
                continue
            yield place, [entry.name for entry in entries if not entry.is_dir()]
            folders = [entry for entry in entries if entry.is_dir()]
            linked.extend(entry.path for entry in folders if entry.is_symlink())
            within.extend(entry.path for entry in reversed(folders) if not entry.is_symlink())


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    """Return what is in a folder and not hidden, by name."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
