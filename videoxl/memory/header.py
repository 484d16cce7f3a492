"""What a saved memory says about itself, besides its tensors. Nothing here needs torch, so that files can be listed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import DamagedMemoryError, VideoXLError
from ..options import WatchOptions
from ..video.identity import VideoRecord
from .file import AGAIN, Contents


@dataclass(frozen=True)
class MemoryHeader:
    """The part of a memory file that is no tensor.

    Args:
        fingerprint: identifies the model that made it.
        model: that model's name.
        version: of videoxl that made it.
        dtype: of keys and values when they were made, such as "float32".
        is_quantised: whether they are in 8 bit now.
        num_layers: how many layers have keys and values.
        room: slots that were free behind the memory, for a question.
        prefix_ids: the prompt's tokens before the video.
        ratios: the ratio of every window.
        window_vsts: the VSTs of every window.
        num_visual_tokens: visual tokens read.
        num_frames: frames read.
        video: the file that was watched; None if it was none.
        options: how it was watched; None if unknown.
        warnings: sentences about damage in the video.
    """

    fingerprint: str
    model: str
    version: str
    dtype: str
    is_quantised: bool
    num_layers: int
    room: int
    prefix_ids: tuple[int, ...]
    ratios: tuple[int, ...]
    window_vsts: tuple[int, ...]
    num_visual_tokens: int
    num_frames: int
    video: VideoRecord | None
    options: WatchOptions | None
    warnings: tuple[str, ...]

    @property
    def length(self) -> int:
        """Number of slots."""
        return len(self.prefix_ids) + sum(self.window_vsts)

    def said(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def parse(cls, said: Mapping[str, Any], path: Path) -> "MemoryHeader":
        """Return what `said` gave; unknown keys are left out.

        Raises:
            DamagedMemoryError: something is missing or of another kind.
        """
        try:
            known = {field.name: said[field.name] for field in fields(cls)}
            for name in ("prefix_ids", "ratios", "window_vsts"):
                known[name] = tuple(int(number) for number in known[name])
            known["warnings"] = tuple(str(sentence) for sentence in known["warnings"])
            for name, kind in (("video", VideoRecord), ("options", WatchOptions)):
                known[name] = None if known[name] is None else kind(**known[name])
            return cls(**known)
        except (KeyError, TypeError, ValueError, ArithmeticError, VideoXLError) as error:
            raise DamagedMemoryError(f"{path}: its description cannot be read ({error!r})", AGAIN) from None


def read_header(path: Path) -> MemoryHeader:
    """Return what a memory file says about its memory; its tensors are neither read nor verified.

    Raises:
        MemoryFileError: it is no memory, or of a newer format, or its header is damaged.
    """
    with Contents(path) as contents:
        return MemoryHeader.parse(contents.said, path)
