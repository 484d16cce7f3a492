"""The models that have a name: what is known about them, and the folder of their checkpoint."""

import math
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError
from ..files import asset, local_path

BUNDLED = ("videoxl-nano",)
# All processes of `videoxl ask` together, an hour of 720p video, 1024 frames: scripts/bench_ask.py measures it.
_BUNDLED_MEMORY_BYTES = 1_500_000_000


@dataclass(frozen=True)
class PublishedModel:
    """A checkpoint that others have published.

    Args:
        hub_id: its repository on the Hugging Face hub.
        num_parameters: all of them.
        download_bytes: what a download takes, in 16 bit.
        memory_bytes: what running it takes in 16 bit, with 1024 frames at ratio 16; an estimate from the shapes.
    """

    hub_id: str
    num_parameters: int
    download_bytes: int
    memory_bytes: int


PUBLISHED = {"video-xl-7b": PublishedModel("sy1998/Video_XL", 8_398_000_000, 16_800_000_000, 20_000_000_000)}


@dataclass(frozen=True)
class ModelInfo:
    """What is known about a model that has a name.

    Args:
        name: what `--model` takes.
        kind: "bundled" or "published".
        hub_id: its repository on the Hugging Face hub; None if bundled.
        parameters: how many it has; None if its files are missing.
        size_bytes: of its files; None if they are missing.
        memory_bytes: what a run with 1024 frames takes: of main memory if bundled, of a GPU, in 16 bit, if published.
        memory_is_estimate: whether `memory_bytes` was computed rather than measured.
        how_to_get: one sentence.
    """

    name: str
    kind: str
    hub_id: str | None
    parameters: int | None
    size_bytes: int | None
    memory_bytes: int
    memory_is_estimate: bool
    how_to_get: str


def model_info(name: str) -> ModelInfo:
    """Return what is known about a bundled or published model.

    Raises:
        CheckpointError: there is no model of that name.
    """
    if name in BUNDLED:
        try:
            folder = checkpoint_folder(name)
        except CheckpointError:  # this installation lacks it
            return ModelInfo(name, "bundled", None, None, None, _BUNDLED_MEMORY_BYTES, False, "Install videoxl again.")
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        how, parameters = "It comes with videoxl.", _num_parameters(folder)
        return ModelInfo(name, "bundled", None, parameters, size, _BUNDLED_MEMORY_BYTES, False, how)
    if name not in PUBLISHED:
        known = ", ".join([*BUNDLED, *PUBLISHED])
        raise CheckpointError(f"{name}: no model of that name", f"Known names: {known}.")
    model = PUBLISHED[name]
    how = f"It is downloaded when it is first used; or: hf download {model.hub_id} --local-dir DIR, then --model DIR"
    return ModelInfo(
        name, "published", model.hub_id, model.num_parameters, model.download_bytes, model.memory_bytes, True, how
    )


def _num_parameters(folder: Path) -> int:
    """Return the number of weights in a folder's files, read from their headers."""
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as weights:
            total += sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    return total


def model_card(name: str) -> str:
    """Return the card of a bundled model, Markdown.

    Raises:
        CheckpointError: this installation lacks it.
    """
    card = checkpoint_folder(name) / "README.md"
    if not card.is_file():
        raise CheckpointError(f"{card}: this model has no card", "Install videoxl again, with pip.")
    return card.read_text(encoding="utf-8")


def checkpoint_folder(name: str | Path) -> Path:
    """Return the local folder of a checkpoint, downloading it if it is a hub id that is not here yet.

    Args:
        name: a bundled name ("videoxl-nano"), a short name ("video-xl-7b"), a folder ("./videoxl-nano", when it has
            the name of one of those), or a hub id ("owner/name").

    Raises:
        CheckpointError: nothing of that name exists, or it cannot be downloaded.
    """
    text = local_path(name)
    path = Path(text).expanduser()
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
    folder = asset(name)
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
