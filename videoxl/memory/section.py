"""Sections: named, versioned, optional parts of a memory, in its file beside the core.

The core is what every memory has, and what it takes to answer. A section is anything else that is worth keeping with
it: whoever makes one gives it a name, a version that is raised when its content means something else, metadata in JSON,
and tensors. A section that this version does not know, or of a newer version, is left alone: it is read, and kept
when the memory is saved again, in whatever dtype. A memory that is sliced or extended has no sections: they would be of
the whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SEPARATOR = "/"  # in a file, tensors of sections are named SECTION/TENSOR, and no tensor of the core has one


@dataclass(frozen=True, eq=False)
class Section:
    """A named part of a memory.

    Args:
        name: lower-case letters, digits and "_".
        version: of what is in it, from 1 on.
        metadata: anything that JSON can hold.
        tensors: by name, on the CPU.

    Raises:
        ValueError: the name or the version is not valid.
    """

    name: str
    version: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tensors: "Mapping[str, Tensor]" = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not the name of a section")
        if not isinstance(self.version, int) or self.version < 1:
            raise ValueError(f"{self.version!r} is not the version of a section")


@dataclass(frozen=True)
class SectionHeader:
    """A section in the header of a file: all but its tensors.

    Args:
        version: see `Section`.
        metadata: see `Section`.
        tensors: their names.
    """

    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[str, ...]


def describe_sections(sections: Sequence[Section]) -> dict[str, Any]:
    """Return the JSON object that `parse_sections` takes."""
    return {
        section.name: {
            "version": section.version,
            "metadata": dict(section.metadata),
            "tensors": sorted(section.tensors),
        }
        for section in sections
    }


def parse_sections(metadata: Mapping[str, Any]) -> dict[str, SectionHeader]:
    """Return headers by name; unknown keys are left out.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of another kind.
    """
    headers = {}
    for name, each in metadata.items():
        Section(name, each["version"])
        headers[name] = SectionHeader(each["version"], dict(each["metadata"]), tuple(map(str, each["tensors"])))
    return headers


def name_tensors(sections: Sequence[Section]) -> "dict[str, Tensor]":
    """Return the tensors of sections by their names in a file."""
    return {
        f"{section.name}{_SEPARATOR}{name}": tensor for section in sections for name, tensor in section.tensors.items()
    }


def read_sections(headers: Mapping[str, SectionHeader], tensors: "Mapping[str, Tensor]") -> tuple[Section, ...]:
    """Return sections with copies of their tensors.

    Args:
        headers: by name.
        tensors: all of a file.

    Raises:
        KeyError: a tensor is missing.
    """
    return tuple(
        Section(
            name,
            header.version,
            header.metadata,
            {each: tensors[f"{name}{_SEPARATOR}{each}"].clone() for each in header.tensors},
        )
        for name, header in headers.items()
    )
