"""The file that a memory is kept in: safetensors with a description and a checksum that covers every byte.

In the metadata of the safetensors header, "videoxl" is the version of this format, "memory" a JSON object that
describes the core, "sections" one that describes the sections, if there are any, and "checksum" the XXH3 hash of the
whole file, taken with zeros in place of the checksum. So no byte can change unnoticed: not in the tensors, nor in
the header, nor after the end. XXH3 keeps up with the disk; SHA-256 would take longer than all else.

A file of a newer format is refused: the format is raised only when the core changes its meaning for readers. The
checksum is the same in all formats, so that a newer file is distinguished from a damaged one. Format 1 had neither
sections nor a revision, and is still read.
"""

import json
import math
import mmap
import os
import stat
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import xxhash

from ..errors import DamagedMemoryError, MemoryFileError
from ..files import atomic_write
from .section import Section, describe_sections, name_tensors, parse_sections

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 2
REMAKE_ADVICE = "Make it again from the video, with videoxl index."
_CHECKSUM_KEY = b'"checksum":"'  # quotes inside of the description are escaped: nothing else reads like this
_EMPTY_CHECKSUM = b"0" * 32
_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit


def is_memory_file(path: Path) -> bool:
    """Return whether a path names a memory: by its extension, or by how the file begins."""
    if path.suffix == ".vxm":
        return True
    try:
        with MemoryFile(path):
            return True
    except MemoryFileError:
        return False


def check_output(path: Path) -> None:
    """Check that a memory can be written to a path, and replaces nothing but a memory.

    Raises:
        MemoryFileError: the folder does not exist, or the path names something else.
    """
    if not os.path.isdir(path.parent):
        raise MemoryFileError(f"{path}: its folder does not exist", "Make the folder first, or give another file.")
    if not os.path.lexists(path):
        return
    try:
        with MemoryFile(path):
            return
    except DamagedMemoryError:  # it can only be made again
        return
    except MemoryFileError:
        raise MemoryFileError(
            f"{path}: exists already, and is not a visual memory", "Give another file, for example talk.vxm."
        ) from None


def write_file(
    path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, Any], sections: Sequence[Section] = ()
) -> None:
    """Write a memory, atomically: a reader sees the old file or the whole new one.

    Args:
        path: of the file.
        tensors: of the core.
        metadata: a JSON object that describes the core.
        sections: the rest.

    Raises:
        MemoryFileError: the folder does not exist or cannot be written to, or the disk is full.
    """
    from safetensors.torch import save

    metadata = {"videoxl": str(FORMAT), "checksum": _EMPTY_CHECKSUM.decode(), "memory": json.dumps(metadata)}
    if sections:
        metadata["sections"] = json.dumps(describe_sections(sections))
    all_tensors = {**tensors, **name_tensors(sections)}
    content = memoryview(save({name: tensor.cpu().contiguous() for name, tensor in all_tensors.items()}, metadata))
    span = _checksum_span(content)
    _write(path, content[: span.start], _checksum(content, span), content[span.stop :])


class MemoryFile:
    """An open memory file. Opening it reads the header only; a context manager.

    Args:
        path: the file.

    Attributes:
        format: its version.
        metadata: the JSON object that describes the core.
        sections: the header of each section, by name.

    Raises:
        MemoryFileError: it is missing, cannot be read, is not a memory, or of a newer format.
        DamagedMemoryError: its header is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # reading from a pipe would wait
                raise MemoryFileError(f"{path}: is not a regular file", "Give a .vxm file.")
            with open(path, "rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise MemoryFileError(f"{path}: no such file", "Check the path.") from None
        except (OSError, ValueError) as error:  # ValueError: an empty file
            reason = getattr(error, "strerror", None) or str(error)
            raise MemoryFileError(f"{path}: cannot be read ({reason})", "Check the path and its permissions.") from None
        try:
            self._metadata = _read_metadata(path, self._map)
            self.format = int(self._metadata["videoxl"])
            self.metadata: dict[str, Any] = json.loads(self._metadata["memory"], parse_float=_finite)
            self.sections = parse_sections(json.loads(self._metadata.get("sections", "{}"), parse_float=_finite))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            self._map.close()
            raise DamagedMemoryError(f"{path}: the header is damaged ({error!r})", REMAKE_ADVICE) from None
        except MemoryFileError:
            self._map.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._map.close()

    def verify(self) -> None:
        """Compare every byte with the checksum.

        Raises:
            DamagedMemoryError: a byte has changed, or bytes are missing or were added.
        """
        if not _is_whole(self._map):
            raise DamagedMemoryError(f"{self._path}: damaged: its checksum does not match", REMAKE_ADVICE)

    def copy(self, path: Path) -> None:
        """Write the same file under another path, atomically.

        Raises:
            MemoryFileError: the other path cannot be written to.
        """
        _write(path, self._map)

    def tensors(self) -> dict[str, "Tensor"]:
        """Return all tensors, on the CPU, mapped from the file: copy what is kept. Call `verify` first.

        Raises:
            MemoryFileError: the file was removed or replaced since it was opened, or cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, framework="pt") as file:
                if file.metadata() != self._metadata:
                    raise MemoryFileError(f"{self._path}: was replaced while it was read", "Try again.")
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise MemoryFileError(f"{self._path}: cannot be read ({reason})", "Try again.") from None


def _write(path: Path, *parts: bytes | memoryview | mmap.mmap) -> None:
    try:
        with atomic_write(path) as file:
            for part in parts:
                file.write(part)
    except OSError as error:
        raise MemoryFileError(
            f"{path}: cannot be written ({error.strerror or error})", "Check the folder, its permissions and the disk."
        ) from None


def _read_metadata(path: Path, content: mmap.mmap) -> dict[str, str]:
    """Return the strings in the header.

    Raises:
        MemoryFileError: it is not a memory, or of a newer format.
        ValueError: the header is not valid JSON, or names a newer format only because it is damaged.
    """
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    is_safetensors = 0 < length <= _MAX_HEADER_BYTES and content[8:9] == b"{"
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {}) if is_safetensors else {}
    if "videoxl" not in metadata:
        raise MemoryFileError(f"{path}: is not a visual memory", "Give a .vxm file, or make one with videoxl index.")
    if int(metadata["videoxl"]) > FORMAT:
        if not _is_whole(content):
            raise ValueError("the checksum is wrong")
        raise MemoryFileError(
            f"{path}: is of format {int(metadata['videoxl'])}; this videoxl reads up to {FORMAT}", "Update videoxl."
        )
    return metadata


def _is_whole(mapped: mmap.mmap) -> bool:
    """Return whether every byte is as it was written."""
    with memoryview(mapped) as content:
        try:
            span = _checksum_span(content)
            return _checksum(content, span) == bytes(content[span])
        except ValueError:  # it has no checksum
            return False


def _finite(text: str) -> float:
    """Return a number; a damaged digit can make it one that no float can hold."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number


def _checksum_span(content: memoryview) -> slice:
    """Return where in the file the checksum is."""
    length = struct.unpack("<Q", content[:8])[0]
    start = bytes(content[: 8 + length]).index(_CHECKSUM_KEY) + len(_CHECKSUM_KEY)
    return slice(start, start + len(_EMPTY_CHECKSUM))


def _checksum(content: memoryview, span: slice) -> bytes:
    """Return the checksum of a file, whatever the bytes of the checksum itself are."""
    total = xxhash.xxh3_128()
    for part in (content[: span.start], _EMPTY_CHECKSUM, content[span.stop :]):
        total.update(part)
    return total.hexdigest().encode()
