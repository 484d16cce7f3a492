"""The header of a memory file: all but its tensors. Nothing here needs torch, so that files can be listed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import DamagedMemoryError, VideoXLError
from ..options import MemoryOptions
from ..video.identity import VideoRecord
from .file import REMAKE_ADVICE, MemoryFile

# Names in files of 0.1.0 and the present ones: of fields, and values of the options' `mode`.
_OLD_NAMES = {"room": "reserved_slots"}
_OLD_MODES = {"steady": "fixed-rate"}


@dataclass(frozen=True)
class MemoryHeader:
    """The part of a memory file that is not tensors.

    Args:
        fingerprint: identifies the model that made it.
        model: that model's name.
        version: of videoxl that made it.
        revision: see `version.MEMORY_REVISION`; 0 if the file was written before there was one.
        dtype: of keys and values when they were made, such as "float32".
        is_quantised: whether they are in 8 bit now.
        num_layers: how many layers have keys and values.
        reserved_slots: slots that were free after the memory, for a question and its answer.
        prefix_ids: the prompt's tokens before the video.
        ratios: the ratio of every window.
        window_vsts: the VSTs of every window.
        num_visual_tokens: visual tokens read.
        num_frames: frames read.
        video: the file that was read; None if it was not a file.
        options: how it was read; None if unknown.
        warnings: sentences about damage in the video.
    """

    fingerprint: str
    model: str
    version: str
    revision: int
    dtype: str
    is_quantised: bool
    num_layers: int
    reserved_slots: int
    prefix_ids: tuple[int, ...]
    ratios: tuple[int, ...]
    window_vsts: tuple[int, ...]
    num_visual_tokens: int
    num_frames: int
    video: VideoRecord | None
    options: MemoryOptions | None
    warnings: tuple[str, ...]

    @property
    def length(self) -> int:
        """Number of slots."""
        return len(self.prefix_ids) + sum(self.window_vsts)

    def metadata(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def parse(cls, metadata: Mapping[str, Any], path: Path) -> "MemoryHeader":
        """Return the header that `metadata` describes; unknown keys are left out. Options with an unknown key are None.

        Raises:
            DamagedMemoryError: something is missing or of another kind.
        """
        try:
            metadata = {"revision": 0, **_with_new_names(metadata)}  # format 1 has none
            known = {field.name: metadata[field.name] for field in fields(cls)}
            for name in ("prefix_ids", "ratios", "window_vsts"):
                known[name] = tuple(int(number) for number in known[name])
            known["warnings"] = tuple(str(sentence) for sentence in known["warnings"])
            known["revision"] = int(known["revision"])
            if known["video"] is not None:
                known["video"] = VideoRecord(**_known_fields(VideoRecord, known["video"]))
            if known["options"] is not None:
                known["options"]["mode"] = _OLD_MODES.get(known["options"]["mode"], known["options"]["mode"])
                asked = _known_fields(MemoryOptions, known["options"])
                known["options"] = MemoryOptions(**asked) if len(asked) == len(known["options"]) else None
            return cls(**known)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, VideoXLError) as error:
            raise DamagedMemoryError(f"{path}: its description cannot be read ({error!r})", REMAKE_ADVICE) from None


def _with_new_names(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a file under their present names."""
    return {_OLD_NAMES.get(name, name): value for name, value in metadata.items()}


def _known_fields(kind: type, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that a dataclass has fields for; a later version may write more."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in metadata.items() if name in names}


def read_header(path: Path) -> MemoryHeader:
    """Return the header of a memory file; its tensors are neither read nor verified.

    Raises:
        MemoryFileError: it is not a memory, or of a newer format, or its header is damaged.
    """
    with MemoryFile(path) as file:
        return MemoryHeader.parse(file.metadata, path)
