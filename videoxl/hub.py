"""From a model's name to a folder with its checkpoint: bundled names, folders, short names, hub ids."""

import importlib.resources
from dataclasses import dataclass
from pathlib import Path

from .errors import CheckpointError

BUNDLED = ("videoxl-nano",)


@dataclass(frozen=True)
class PublishedModel:
    """A checkpoint that others have published.

    Args:
        hub_id: its repository on the Hugging Face hub.
        num_parameters: all of them.
        download_bytes: what a download takes, in 16 bit.
        memory_bytes: what running it takes in 16 bit, with 1024 frames at ratio 16.
    """

    hub_id: str
    num_parameters: int
    download_bytes: int
    memory_bytes: int


PUBLISHED = {"video-xl-7b": PublishedModel("sy1998/Video_XL", 8_398_000_000, 16_800_000_000, 20_000_000_000)}


def checkpoint_folder(name: str | Path) -> Path:
    """Return the local folder of a checkpoint, downloading it if it is a hub id that is not here yet.

    Args:
        name: a bundled name ("videoxl-nano"), a short name ("video-xl-7b"), a folder ("./videoxl-nano", when it has
            the name of one of those), or a hub id ("owner/name").

    Raises:
        CheckpointError: nothing of that name exists, or it cannot be downloaded.
    """
    text = str(name)
    path = Path(name).expanduser()
    if text in BUNDLED:
        return _bundled(text)
    if text in PUBLISHED:
        return _folder_with_config(_download(PUBLISHED[text].hub_id))
    if path.is_dir():
        return _folder_with_config(path)
    if path.exists() or text.count("/") != 1 or text.startswith((".", "/", "~")):
        known = ", ".join([*BUNDLED, *PUBLISHED])
        raise CheckpointError(
            f"{text}: no model of that name", f"Give a checkpoint folder, a hub id, or one of: {known}."
        )
    return _folder_with_config(_download(text))


def _bundled(name: str) -> Path:
    try:
        folder = Path(str(importlib.resources.files("videoxl.assets").joinpath(name)))
    except ModuleNotFoundError:
        folder = Path(name)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{name}: this installation has no bundled model", "Install videoxl again, with pip.")
    return folder


def _download(hub_id: str) -> Path:
    """Return the folder of a snapshot; only safetensors and text files are fetched, never code or pickles."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, HTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except (HTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(
            f"{hub_id}: not on this machine, and it cannot be downloaded ({reason})",
            "Check the name and the network, or download it elsewhere and give its folder.",
        ) from None


def _folder_with_config(folder: Path) -> Path:
    """Return the folder, or its only subfolder that is a checkpoint: some repositories keep theirs one level down."""
    if (folder / "config.json").is_file():
        return folder
    inside = [path.parent for path in folder.glob("*/config.json") if any(path.parent.glob("*.safetensors"))]
    if len(inside) == 1:
        return inside[0]
    raise CheckpointError(f"{folder}: no config.json in this folder", "Give a folder that holds a Video-XL checkpoint.")
