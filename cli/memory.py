"""`videoxl memory`: the memories in the cache, and what is in a memory file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoxl.errors import MemoryFileError
from videoxl.files import local_path
from videoxl.timestamps import format_timestamp

from . import options, render

if TYPE_CHECKING:
    from videoxl.memory.cache import CachedFile, MemoryCache

app = typer.Typer(help="List, show and remove the memories of videos.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(metavar="ID|FILE", help="From `videoxl memory list`, or a .vxm file.", show_default=False)
]


@app.command("list")
def list_memories(json: options.Json = False, debug: options.Debug = False) -> None:
    """List the memories in the cache, the most recently used first."""
    with render.error_boundary(debug):
        cache = _cache()
        files = cache.files()
        metadata = [_record(file.path, file) for file in files]
        if json:
            render.print_json(metadata)
            return
        header = ["ID", "VIDEO", "LENGTH", "FRAMES", "RATIO", "MODEL", "SIZE", "USED"]
        rows = [
            [
                entry["id"],
                Path((entry["video"] or {}).get("path", "-")).name if entry["model"] else "damaged",
                _length(entry["video"]),
                str(entry["frames"] or "-"),
                str(entry["ratio"] or "-"),
                entry["model"] or "-",
                render.size(entry["size_bytes"]),
                render.ago(time.time() - file.last_used),
            ]
            for entry, file in zip(metadata, files, strict=True)
        ]
        render.table(header, rows)
        total = sum(file.size for file in files)
        render.message(f"{render.size(total)} of {render.size(cache.limit)} in {cache.folder}")


@app.command("show")
def show_memory(name: Name, json: options.Json = False, debug: options.Debug = False) -> None:
    """Verify a memory, and show what it holds."""
    with render.error_boundary(debug):
        from videoxl.memory.file import MemoryFile

        path, file = _find(name)
        with MemoryFile(path) as contents:
            contents.verify()
        metadata = _record(path, file)
        if json:
            render.print_json(metadata)
            return
        video = metadata["video"] or {}
        rows = [
            ["video", video.get("path", "-")],
            ["length", _length(metadata["video"])],
            ["sampling", _sampling(metadata["options"])],
            ["frames", str(metadata["frames"])],
            ["ratio", str(metadata["ratio"] or "-")],
            ["slots", str(metadata["slots"])],
            [
                "model",
                f"{metadata['model']} ({metadata['fingerprint']}), {metadata['dtype']}"
                f"{', in 8 bit' * metadata['is_quantised']}",
            ],
            ["made by", f"videoxl {metadata['version']}, revision {metadata['revision']} of what memories mean"],
            ["sections", ", ".join(f"{name} {version}" for name, version in metadata["sections"].items()) or "-"],
            ["size", render.size(metadata["size_bytes"])],
            ["damage in the video", "; ".join(metadata["warnings"]) or "-"],
        ]
        render.table([path.name, ""], rows)


@app.command("remove")
def remove_memories(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="From `videoxl memory list`.", show_default=False)],
    debug: options.Debug = False,
) -> None:
    """Remove memories from the cache."""
    with render.error_boundary(debug):
        cache = _cache()
        for file in [cache.find(id) for id in ids]:
            cache.remove(file)


@app.command("prune")
def prune_memories(
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            parser=options.size_of,
            metavar="SIZE",
            help="Keep at most this much, for example 5GB; 0 removes all.",
            show_default=False,
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Remove the least recently used memories until the rest fit a size, by default the cache's limit."""
    with render.error_boundary(debug):
        removed = _cache().prune(size)
        files = "1 file" if len(removed) == 1 else f"{len(removed)} files"
        render.line(f"removed {files}, {render.size(sum(file.size for file in removed))}")


@app.command("export")
def export_memory(
    id: Annotated[str, typer.Argument(metavar="ID", help="From `videoxl memory list`.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="For example talk.vxm.")],
    debug: options.Debug = False,
) -> None:
    """Copy a memory out of the cache.

    The file can be asked in place of the video: `videoxl ask FILE QUESTION`.
    """
    with render.error_boundary(debug):
        from videoxl.memory.file import MemoryFile, check_output

        check_output(output)
        with MemoryFile(_cache().find(id).path) as contents:
            contents.verify()
            contents.copy(output)


def _cache() -> "MemoryCache":
    from videoxl.memory.cache import MemoryCache

    return MemoryCache.of_user()


def _find(name: str) -> "tuple[Path, CachedFile | None]":
    """Return the file that an id or a path names."""
    name = local_path(name)
    if Path(name).is_file():
        return Path(name), None
    if Path(name).suffix or "/" in name:
        raise MemoryFileError(f"{name}: no such file", "Check the path.")
    file = _cache().find(name)
    return file.path, file


def _record(path: Path, file: "CachedFile | None") -> dict[str, Any]:
    """Return what `--json` prints of a memory; of a damaged one, little."""
    from videoxl.memory.file import MemoryFile
    from videoxl.memory.header import MemoryHeader

    header: MemoryHeader | None = None
    sections: dict[str, int] = {}
    if file is None or not file.is_damaged:
        try:
            with MemoryFile(path) as contents:
                header = MemoryHeader.parse(contents.metadata, path)
                sections = {name: section.version for name, section in contents.sections.items()}
        except MemoryFileError:
            if file is None:
                raise
    metadata = header.metadata() if header is not None else {}
    kept = ("video", "options", "model", "fingerprint", "dtype", "is_quantised", "version", "revision", "warnings")
    return {
        "id": None if file is None else file.id,
        "path": str(path),
        "size_bytes": path.stat().st_size if file is None else file.size,  # another process may have removed it by now
        "used": None if file is None else file.last_used,
        "frames": metadata.get("num_frames"),
        "ratio": max(metadata.get("ratios") or [], default=None),
        "slots": header.length if header is not None else None,
        **{name: metadata.get(name) for name in kept},
        "sections": sections,
    }


def _sampling(options: dict[str, Any] | None) -> str:
    """Return in words how the frames of a memory were chosen."""
    if options is None:
        return "-"
    rate = "any rate" if options["fps"] is None else f"at most {options['fps']:g} frames/s"
    whole = options["start"] is None and options["end"] is None
    end = "the end" if options["end"] is None else format_timestamp(options["end"])
    part = "" if whole else f", from {format_timestamp(options['start'] or 0)} to {end}"
    return f"{options['mode']}, at most {options['max_frames']} frames, {rate}{part}"


def _length(video: dict[str, Any] | None) -> str:
    """Return how long a video is; "-" if that is unknown."""
    return "-" if video is None else format_timestamp(video["duration"])
