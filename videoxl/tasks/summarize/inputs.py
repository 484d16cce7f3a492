"""The videos of a run, from its arguments: files, folders, patterns and manifests."""

import csv
import glob
import io
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
from ..text_files import numbered_lines, parse_object, read_text
from .folders import find_matching, scan_folder
from .names import item_key

MANIFESTS = (".jsonl", ".csv")
_FIELDS = ("video", "id", "prompt", "start", "end", "ratio", "max_frames", "video_stream")
_ADVICE = f"A row has video and, optionally, {', '.join(_FIELDS[1:])}."
_TEXT_ADVICE = "Give a text file in UTF-8."


@dataclass(frozen=True)
class Source:
    """A video to summarise.

    Args:
        id: shown to people; the path, unless a manifest gives another.
        path: of the file.
        prompt: for the summary; None is the run's.
        start: seconds; what comes before is left out.
        end: seconds; what comes after is left out.
        ratio: see `MemoryOptions`; None is the run's.
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
        """The item of the run engine; the same video with other options is another item."""
        data = {name: value for name, value in asdict(self).items() if value is not None}
        return Item(item_key(self.id, data), data, {"id": self.id, "path": self.path}, name=self.id)


@dataclass(frozen=True)
class Inputs:
    """The videos of a run, and what was skipped.

    Args:
        sources: the videos, in order.
        passed_over: files in folders that are not videos, neither by content nor by name.
        unreadable: folders that cannot be opened.
        repeated: ids of videos that were given more than once with the same options; `sources` has them once.
    """

    sources: list[Source] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def read_inputs(arguments: Sequence[str], output: Path) -> Inputs:
    """Return the videos that the arguments name.

    A folder stands for all videos in and below it, except hidden ones. A file that ends in .jsonl or .csv is a
    manifest. Everything else is a video; a missing file is an error only if all are missing, else its item fails.

    Args:
        arguments: paths, and patterns such as "talks/*.mp4".
        output: folder of the run; files in it are not inputs.

    Raises:
        RunError: there is no video, none exists, or a manifest cannot be read.
    """
    inputs = Inputs()
    for argument in arguments:
        for path in _expand(local_path(argument), inputs.unreadable):
            if os.path.isdir(path):
                content = scan_folder(_normalized(path), output)
                inputs.sources.extend(Source(video, video) for video in content.videos)
                inputs.passed_over.extend(content.others)
                inputs.unreadable.extend(content.unreadable)
            elif path.lower().endswith(MANIFESTS):
                inputs.sources.extend(_read_manifest(Path(path)))
            else:
                inputs.sources.append(Source(_normalized(path), _normalized(path)))
    if not inputs.sources:
        raise RunError(f"{', '.join(arguments)}: no videos found", "Give video files, a folder, or a manifest.")
    if not any(os.path.lexists(source.path) for source in inputs.sources):
        num_others = len(inputs.sources) - 1
        raise RunError(
            f"{inputs.sources[0].path}: no such file" + (f", nor any of {num_others} more" if num_others else ""),
            "Check the path.",
        )
    counts = Counter(inputs.sources)
    return replace(inputs, sources=[*counts], repeated=[source.id for source in counts if counts[source] > 1])


def _expand(argument: str, unreadable: list[str]) -> list[str]:
    """Return the paths that match a pattern; a plain path is returned as it is."""
    if os.path.lexists(argument) or not glob.has_magic(argument):
        return [argument]
    paths = find_matching(argument, unreadable)
    if not paths:
        raise RunError(f"{argument}: no file matches this pattern", "Check the pattern.")
    return paths


def _normalized(path: str) -> str:
    """Return "a" for "./a": the path is a video's name in the run."""
    return str(Path(path)) if path else path


def _read_manifest(path: Path) -> list[Source]:
    ids: set[str] = set()
    sources = []
    for position, row in _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path):
        if id := str(row.get("id", "")):
            if id in ids:
                raise RunError(f"{position}: id {id!r} appears twice", "Give each row its own id, or none.")
            ids.add(id)
        sources.append(_parse_source(position, row, id, path.parent))
    return sources


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a CSV manifest after their positions, without empty cells."""
    reader = csv.DictReader(io.StringIO(read_text(path, RunError, _TEXT_ADVICE, newline=""), newline=""))
    try:
        for row in reader:
            if None in row:
                raise RunError(f"{path}:{reader.line_num}: more cells than the header", "Quote cells with commas.")
            yield f"{path}:{reader.line_num}", {name: value for name, value in row.items() if value}
    except csv.Error as error:
        raise RunError(f"{path}:{reader.line_num}: not valid CSV ({error})", _TEXT_ADVICE) from None


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a JSONL manifest after their positions, without nulls."""
    for position, line in numbered_lines(read_text(path, RunError, _TEXT_ADVICE), path):
        row = parse_object(line, position, RunError, _ADVICE)
        yield position, {name: value for name, value in row.items() if value is not None}


def _parse_source(position: str, row: dict[str, Any], id: str, folder: Path) -> Source:
    """Return the video of a row; its path is relative to the manifest's folder."""
    unknown = [name for name in row if name not in _FIELDS]
    if unknown:
        raise RunError(f"{position}: {unknown[0]!r} is unknown", _ADVICE)
    video, prompt = row.get("video"), row.get("prompt")
    if not isinstance(video, str):
        raise RunError(f"{position}: video is missing or not text", _ADVICE)
    if not isinstance(prompt, str | None):
        raise RunError(f"{position}: prompt {prompt!r} is not text", _ADVICE)
    path = str(folder / local_path(video))
    return Source(
        id=id or path,
        path=path,
        prompt=prompt,
        start=_time(position, row, "start"),
        end=_time(position, row, "end"),
        ratio="auto" if row.get("ratio") == "auto" else _integer(position, row, "ratio"),
        max_frames=_integer(position, row, "max_frames"),
        video_stream=_integer(position, row, "video_stream", min_value=0),
    )


def _time(position: str, row: dict[str, Any], name: str) -> float | None:
    if name not in row:
        return None
    try:
        return parse_timestamp(str(row[name]))
    except ValueError:
        raise RunError(f"{position}: {name} {row[name]!r} is not a time", "Give seconds, MM:SS or HH:MM:SS.") from None


def _integer(position: str, row: dict[str, Any], name: str, min_value: int = 1) -> int | None:
    text = str(row.get(name, min_value))
    if not (text.isdecimal() and int(text) >= min_value):
        problem = f"{name} {row[name]!r} is not a whole number{' above 0' if min_value else ''}"
        raise RunError(f"{position}: {problem}", _ADVICE)
    return int(text) if name in row else None
