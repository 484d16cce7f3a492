"""From what is given on a command line to the videos of a run: files, folders, globs, and manifests."""

import csv
import glob
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...files import local_path
from ...runs.job import Item
from ...timestamps import parse_timestamp
from .folders import look_through, matching
from .names import item_key

MANIFESTS = (".jsonl", ".csv")
_FIELDS = ("video", "id", "prompt", "start", "end", "ratio", "max_frames", "video_stream")
_KNOWN = f"A manifest has video, and if you like {', '.join(_FIELDS[1:])}."


@dataclass(frozen=True)
class Source:
    """A video to summarise.

    Args:
        id: what people know it by; its path, unless a manifest has another.
        path: of the file.
        prompt: asked for the summary, in place of the run's; None for that.
        start: seconds; the part before is left out.
        end: seconds; the part from there on is left out.
        ratio: see `MemoryOptions`; None for the run's.
        max_frames: likewise.
        video_stream: likewise.
    """

    id: str
    path: str
    prompt: str | None = None
    start: float | None = None
    end: float | None = None
    ratio: int | str | None = None
    max_frames: int | None = None
    video_stream: int | None = None

    @property
    def item(self) -> Item:
        """What the run engine does: another video, or one that is asked for in another way, is another item."""
        data = {name: value for name, value in asdict(self).items() if value is not None}
        return Item(item_key(self.id, data), data, {"id": self.id, "path": self.path}, name=self.id)


@dataclass(frozen=True)
class Inputs:
    """What is to be done.

    Args:
        sources: in order.
        passed_over: files in folders that are no videos, neither by their content nor by their names.
        unreadable: folders that the system does not open.
        repeated: ids of what is asked for more than once in one way; it is in `sources` once.
    """

    sources: list[Source] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def read_inputs(arguments: Sequence[str], output: Path) -> Inputs:
    """Return the videos that are meant.

    A folder stands for the videos in it and in the folders below, hidden ones left out. A manifest is a file that ends
    in .jsonl or .csv. Everything else is a video, also what does not exist while others do: it fails in its turn.

    Args:
        arguments: paths, and patterns such as "talks/*.mp4".
        output: of the run; what is in it is no input.

    Raises:
        RunError: nothing is meant, nothing of it exists, or a manifest cannot be read.
    """
    found = Inputs()
    for argument in arguments:
        for path in _expand(local_path(argument), found.unreadable):
            if os.path.isdir(path):
                below = look_through(_plain(path), output)
                found.sources.extend(Source(video, video) for video in below.videos)
                found.passed_over.extend(below.others)
                found.unreadable.extend(below.unreadable)
            elif path.lower().endswith(MANIFESTS):
                found.sources.extend(_read_manifest(Path(path)))
            else:
                found.sources.append(Source(_plain(path), _plain(path)))
    if not found.sources:
        raise RunError(f"{', '.join(arguments)}: no videos there", "Give video files, a folder, or a manifest.")
    if not any(os.path.lexists(source.path) for source in found.sources):
        more = len(found.sources) - 1
        raise RunError(
            f"{found.sources[0].path}: no such file" + (f", nor any of {more} more" if more else ""), "Check the path."
        )
    counts = Counter(found.sources)
    return replace(found, sources=[*counts], repeated=[source.id for source in counts if counts[source] > 1])


def _expand(argument: str, unreadable: list[str]) -> list[str]:
    """Return the paths that a pattern stands for; of what is no pattern, itself."""
    if os.path.lexists(argument) or not glob.has_magic(argument):
        return [argument]
    paths = matching(argument, unreadable)
    if not paths:
        raise RunError(f"{argument}: no file is named like this", "Check the pattern.")
    return paths


def _plain(path: str) -> str:
    """Return "a" for "./a", which is the same to people; a path is a video's name in the run."""
    return str(Path(path)) if path else path


def _read_manifest(path: Path) -> list[Source]:
    ids: set[str] = set()
    sources = []
    try:
        for place, row in _rows(path):
            if id := str(row.get("id", "")):
                if id in ids:
                    raise RunError(f"{place}: id {id!r} is there twice", "Give each row an id of its own, or none.")
                ids.add(id)
            sources.append(_source(place, row, id, path.parent))
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


def _source(place: str, row: dict[str, Any], id: str, folder: Path) -> Source:
    """Return what a row asks for; a path in it is seen from the manifest's folder."""
    unknown = [name for name in row if name not in _FIELDS]
    if unknown:
        raise RunError(f"{place}: {unknown[0]!r} is not known", _KNOWN)
    video, prompt = row.get("video"), row.get("prompt")
    if not isinstance(video, str) or not isinstance(prompt, str | None):
        raise RunError(f"{place}: has no video, or a prompt that is no text", _KNOWN)
    path = str(folder / local_path(video))
    return Source(
        id=id or path,
        path=path,
        prompt=prompt,
        start=_number(place, row, "start"),
        end=_number(place, row, "end"),
        ratio="auto" if row.get("ratio") == "auto" else _whole(place, row, "ratio"),
        max_frames=_whole(place, row, "max_frames"),
        video_stream=_whole(place, row, "video_stream", least=0),
    )


def _number(place: str, row: dict[str, Any], name: str) -> float | None:
    if name not in row:
        return None
    try:
        return parse_timestamp(str(row[name]))
    except ValueError:
        raise RunError(f"{place}: {name} {row[name]!r} is no time", "Give seconds, MM:SS or HH:MM:SS.") from None


def _whole(place: str, row: dict[str, Any], name: str, least: int = 1) -> int | None:
    text = str(row.get(name, least))
    if not (text.isdecimal() and int(text) >= least):
        raise RunError(f"{place}: {name} {row[name]!r} is no whole number{' above 0' if least else ''}", _KNOWN)
    return int(text) if name in row else None
