"""From what is given on a command line to the videos of a run: files, folders, globs, and manifests."""

import csv
import glob
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...clock import seconds_of
from ...errors import RunError
from ...files import local_path
from ...runs.job import Item
from ...video.checks import looks_like_video

MANIFESTS = (".jsonl", ".csv")
_FIELDS = ("video", "id", "prompt", "start", "end", "ratio", "max_frames")
_KNOWN = f"A manifest has video, and if you like {', '.join(_FIELDS[1:])}."
# Files of such names are taken for videos in a folder, whatever is in them, so that a broken one is reported. Not .ts,
# which programs have too.
_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".m2ts", ".mpg", ".mpeg", ".flv"),
    *(".f4v", ".ogv", ".wmv", ".asf", ".3gp", ".3g2", ".vob"),
    *(".h264", ".hevc", ".y4m", ".mxf", ".dv", ".ivf", ".nut", ".rm"),  # not read: the reason says how to convert them
)


@dataclass(frozen=True)
class Source:
    """A video to summarise.

    Args:
        id: its name in the run, unique.
        path: of the file.
        prompt: asked for the summary, in place of the run's; None for that.
        start: seconds; the part before is left out.
        end: seconds; the part from there on is left out.
        ratio: see `WatchOptions`; None for the run's.
        max_frames: likewise.
    """

    id: str
    path: str
    prompt: str | None = None
    start: float | None = None
    end: float | None = None
    ratio: int | str | None = None
    max_frames: int | None = None

    @property
    def item(self) -> Item:
        """What the run engine does: a video that is asked for in another way is another item."""
        data = {name: value for name, value in asdict(self).items() if value is not None}
        own = {name: value for name, value in data.items() if name not in ("id", "path")}
        digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]
        return Item(f"{self.id} [{digest}]" if own else self.id, data, {"id": self.id, "path": self.path})


@dataclass(frozen=True)
class Inputs:
    """What is to be done.

    Args:
        sources: in order.
        passed_over: files in folders that are no videos, neither by their content nor by their names.
    """

    sources: list[Source] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def read_inputs(arguments: Sequence[str], output: Path) -> Inputs:
    """Return the videos that are meant.

    A folder stands for the videos in it and in the folders below, hidden ones left out. A manifest is a file that ends
    in .jsonl or .csv. Everything else is a video, also what does not exist while others do: it fails in its turn. What
    is named twice is done twice, under two ids.

    Args:
        arguments: paths, and patterns such as "talks/*.mp4".
        output: of the run; what is in it is no input.

    Raises:
        RunError: nothing is meant, nothing of it exists, or a manifest cannot be read.
    """
    found = Inputs()
    for argument in arguments:
        for path in _expand(local_path(argument)):
            if os.path.isdir(path):
                _add_folder(path, output, found)
            elif path.lower().endswith(MANIFESTS):
                found.sources.extend(_read_manifest(Path(path)))
            else:
                found.sources.append(Source("", _plain(path)))
    if not found.sources:
        raise RunError(f"{', '.join(arguments)}: no videos there", "Give video files, a folder, or a manifest.")
    if not any(os.path.lexists(source.path) for source in found.sources):
        more = len(found.sources) - 1
        raise RunError(
            f"{found.sources[0].path}: no such file" + (f", nor any of {more} more" if more else ""), "Check the path."
        )
    return Inputs(_named(found.sources), found.passed_over)


def _expand(argument: str) -> list[str]:
    """Return the paths that a pattern stands for; of what is no pattern, itself."""
    if os.path.lexists(argument) or not glob.has_magic(argument):
        return [argument]
    paths = sorted(glob.glob(argument, recursive=True))
    if not paths:
        raise RunError(f"{argument}: no file is named like this", "Check the pattern.")
    return paths


def _plain(path: str) -> str:
    """Return "a" for "./a", which is the same to people; a path is a video's name in the run."""
    return str(Path(path)) if path else path


def _add_folder(folder: str, output: Path, found: Inputs) -> None:
    own = output.resolve()
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and Path(place, name).resolve() != own)
        for name in sorted(name for name in files if name[0] != "."):
            path = _plain(os.path.join(place, name))
            if os.path.splitext(name)[1].lower() in _ENDINGS or looks_like_video(path):
                found.sources.append(Source("", path))
            else:
                found.passed_over.append(path)


def _named(sources: list[Source]) -> list[Source]:
    """Return the sources with an id each: the one that it was given, or its path, with a number if that is taken."""
    taken = {source.id for source in sources if source.id}
    named = []
    for source in sources:
        id, number = source.id or source.path, 1
        while not source.id and id in taken:
            number += 1
            id = f"{source.path}#{number}"
        taken.add(id)
        named.append(Source(**asdict(source) | {"id": id}))
    return named


def _read_manifest(path: Path) -> list[Source]:
    ids: set[str] = set()
    sources = []
    try:
        for place, row in _rows(path):
            source = _source(place, row, path.parent)
            if source.id in ids:
                raise RunError(f"{place}: id {source.id!r} is there twice", "Give each row an id of its own, or none.")
            ids |= {source.id} - {""}
            sources.append(source)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(f"{path}: cannot be read ({reason})", "Give a text file in UTF-8.") from None
    return sources


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a manifest with their places; what is empty is left out."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".csv":
            reader = csv.DictReader(file)
            for row in reader:
                if None in row:
                    raise RunError(f"{path}:{reader.line_num}: has more cells than the header", "Quote the commas.")
                yield f"{path}:{reader.line_num}", {name: value for name, value in row.items() if value}
            return
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise RunError(f"{path}:{number}: is no JSON ({error})", _KNOWN) from None
                if not isinstance(row, dict):
                    raise RunError(f"{path}:{number}: is no JSON object", _KNOWN)
                yield f"{path}:{number}", {name: value for name, value in row.items() if value is not None}


def _source(place: str, row: dict[str, Any], folder: Path) -> Source:
    """Return what a row asks for; a path in it is seen from the manifest's folder."""
    unknown = [name for name in row if name not in _FIELDS]
    if unknown:
        raise RunError(f"{place}: {unknown[0]!r} is not known", _KNOWN)
    video, prompt = row.get("video"), row.get("prompt")
    if not isinstance(video, str) or not isinstance(prompt, str | None):
        raise RunError(f"{place}: has no video, or a prompt that is no text", _KNOWN)
    return Source(
        id=str(row.get("id", "")),
        path=str(folder / local_path(video)),
        prompt=prompt,
        start=_number(place, row, "start"),
        end=_number(place, row, "end"),
        ratio="auto" if row.get("ratio") == "auto" else _whole(place, row, "ratio"),
        max_frames=_whole(place, row, "max_frames"),
    )


def _number(place: str, row: dict[str, Any], name: str) -> float | None:
    if name not in row:
        return None
    try:
        return seconds_of(str(row[name]))
    except ValueError:
        raise RunError(f"{place}: {name} {row[name]!r} is no time", "Give seconds, MM:SS or HH:MM:SS.") from None


def _whole(place: str, row: dict[str, Any], name: str) -> int | None:
    text = str(row.get(name, "1"))
    if not (text.isdecimal() and int(text) > 0):
        raise RunError(f"{place}: {name} {row[name]!r} is no whole number above 0", _KNOWN)
    return int(text) if name in row else None
