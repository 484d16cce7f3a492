"""Weights on disk: names, shards, and a strict load that never holds a checkpoint twice.

Published names are Hugging Face's; the vision tower is open_clip's, so its names are translated by one table.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import CheckpointError
from ..files import replace_file
from ..network.parts import Network
from ..network.qwen2 import VSTQwen2
from ..network.vision import VisionEncoder
from .layout import read_json

_TOWER = "model.vision_tower.vision_tower."
_PROJECTOR = "model.mm_projector."
# Published name -> open_clip name, inside the tower. Each pair is a piece of a name and reads both ways.
_TOWER_NAMES = (
    ("embeddings.class_embedding", "class_embedding"),
    ("embeddings.patch_embedding.weight", "conv1.weight"),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("pre_layrnorm.", "ln_pre."),  # sic
    ("post_layernorm.", "ln_post."),
    ("encoder.layers.", "transformer.resblocks."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
_INDEX = "model.safetensors.index.json"
_OWN_FILE = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_HEAD = "language.lm_head.weight"
_FUSED = re.compile(r"\.self_attn\.([qkv])_proj\.(weight|bias)$")
_DOWNLOAD_ADVICE = "Download the checkpoint again; every file of it is needed."


def local_name(published: str) -> tuple[str, int | None] | None:
    """Return our parameter's name, and which third of it (0, 1, 2 for q, k, v) if it is fused; None to ignore.

    Our names start with `language.`, `vision.projector.` or `vision.tower.`.
    """
    if published.startswith(_PROJECTOR):
        return "vision.projector." + published.removeprefix(_PROJECTOR), None
    if not published.startswith(_TOWER):
        # Old versions of transformers saved the rotation's frequencies.
        return None if published.endswith(".rotary_emb.inv_freq") else ("language." + published, None)
    # Newer transformers write the tower without "vision_model.".
    name = published.removeprefix(_TOWER).removeprefix("vision_model.")
    if name == "embeddings.position_ids":
        return None
    for theirs, ours in _TOWER_NAMES:
        name = name.replace(theirs, ours)
    fused = _FUSED.search(name)
    name = _FUSED.sub(r".attn.in_proj_\2", name)
    return f"vision.tower.{name}", "qkv".index(fused[1]) if fused else None


def published_tensors(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield one of our parameters under its published name or names."""
    if name.startswith("vision.projector."):
        yield _PROJECTOR + name.removeprefix("vision.projector."), tensor
        return
    if not name.startswith("vision.tower."):
        yield name.removeprefix("language."), tensor
        return
    name = name.removeprefix("vision.tower.")
    for theirs, ours in _TOWER_NAMES:
        name = name.replace(ours, theirs)
    prefix = _TOWER + "vision_model."
    stem, fused, kind = name.partition(".attn.in_proj_")
    if not fused:
        yield prefix + name, tensor
        return
    for letter, part in zip("qkv", tensor.chunk(3), strict=True):
        yield f"{prefix}{stem}.self_attn.{letter}_proj.{kind}", part


def shard_paths(folder: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint folder, in order.

    Raises:
        CheckpointError: there are none, or one that the index names is missing.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        paths = [folder / Path(name).name for name in sorted(set(read_json(index).get("weight_map", {}).values()))]
    else:
        paths = sorted(folder.glob("*.safetensors"))
    for path in paths:
        if not path.exists():
            raise CheckpointError(f"{path}: this part of the checkpoint is missing", _DOWNLOAD_ADVICE)
    if not paths:
        raise CheckpointError(
            f"{folder}: no *.safetensors file", "Give a folder that holds the weights as safetensors."
        )
    return paths


def load_weights(
    network: Network,
    folder: Path,
    device_of: Callable[[str], torch.device | int],
    dtype: torch.dtype,
    on_tensor: Callable[[str, Tensor], None] | None = None,
) -> None:
    """Fill a model that was built on the meta device, one tensor at a time, on the final device in the final dtype.

    Args:
        network: to be filled.
        folder: holds the shards.
        device_of: where a parameter goes, by our name for it.
        dtype: of all weights.
        on_tensor: called with the published name and the tensor as it is in the file, for all that are used.

    Raises:
        CheckpointError: a shard is missing or damaged; weights are missing, unexpected, or of another shape. It names
            them.
    """
    tied = network.language.config.tie_word_embeddings
    expected = {name: tensor for name, tensor in network.state_dict().items() if not (tied and name == _HEAD)}
    missing = set(expected)
    parts: dict[str, dict[int, Tensor]] = {}
    unexpected: list[str] = []
    for path in shard_paths(folder):
        for published, tensor in _read_shard(path):
            local = local_name(published)
            if local is None or (tied and local[0] == _HEAD):
                continue
            name, part = local
            if name not in expected:
                unexpected.append(published)
                continue
            if on_tensor is not None:
                on_tensor(published, tensor)
            # Counters (of batch norms) stay integers.
            tensor = tensor.to(device_of(name), dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
            if part is not None:
                thirds = parts.setdefault(name, {})
                thirds[part] = tensor
                if len(thirds) < 3:
                    continue
                tensor = torch.cat([thirds[index] for index in range(3)])
                del parts[name]
            _assign(network, name, _without_extra_row(name, tensor, expected[name]), path)
            missing.discard(name)
    if tied:
        network.language.tie_weights()
    _check_complete(folder, sorted(missing), sorted(unexpected))


def published_state(vision: VisionEncoder, language: VSTQwen2) -> Iterator[tuple[str, Tensor]]:
    """Yield all weights under their published names; a tied head is left out."""
    for part, module in (("vision", vision), ("language", language)):
        for name, tensor in module.state_dict().items():
            if f"{part}.{name}" != _HEAD or not language.config.tie_word_embeddings:
                yield from published_tensors(f"{part}.{name}", tensor)


def save_weights(vision: VisionEncoder, language: VSTQwen2, folder: Path, dtype: torch.dtype) -> None:
    """Write all weights under their published names, sharded above 5 GB; a tied head is left out."""
    published = {
        name: tensor.to("cpu", dtype if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()
        for name, tensor in published_state(vision, language)
    }
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as temporary:  # never half a file under its name
        save_torch_state_dict(published, temporary, max_shard_size="5GB")
        written = sorted(Path(temporary).iterdir())
        for path in written:
            replace_file(path, folder / path.name)
    # What an earlier model left in this folder; its index first, because readers believe an index.
    for path in (folder / _INDEX, *folder.iterdir()):
        if _OWN_FILE.fullmatch(path.name) and path.name not in {new.name for new in written}:
            path.unlink(missing_ok=True)


def _read_shard(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a file, on the CPU, as they are mapped from disk: copy what is kept."""
    try:
        with safe_open(path, framework="pt") as shard:
            names = list(shard.keys())
        for name in names:
            # Opened again for each: the pages of all tensors read so far would count as memory in use.
            with safe_open(path, framework="pt") as shard:
                yield name, shard.get_tensor(name)
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: damaged or cut off ({reason})", _DOWNLOAD_ADVICE) from None


def _without_extra_row(name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    """Drop the one row that the reference's loader appends to embeddings and head: it is random and never trained."""
    is_vocabulary = name in ("language.model.embed_tokens.weight", _HEAD)
    return tensor[:-1].clone() if is_vocabulary and len(tensor) == len(expected) + 1 else tensor


def _assign(network: nn.Module, name: str, tensor: Tensor, path: Path) -> None:
    """Replace a parameter by a tensor."""
    module_name, _, parameter_name = name.rpartition(".")
    module = network.get_submodule(module_name)
    shape = tuple(getattr(module, parameter_name).shape)
    if tuple(tensor.shape) != shape:
        raise CheckpointError(
            f"{path}: {next(published_tensors(name, tensor))[0]} has shape {list(tensor.shape)}, not {list(shape)}",
            "config.json and the weights belong to different models: download both again.",
        )
    is_parameter = parameter_name in dict(module.named_parameters(recurse=False))
    setattr(module, parameter_name, nn.Parameter(tensor) if is_parameter else tensor)


def _check_complete(folder: Path, missing: list[str], unexpected: list[str]) -> None:
    """Raise if names are missing or left over."""
    for names, what in ((missing, "missing"), (unexpected, "unexpected")):
        if names:
            published = [next(published_tensors(name, torch.empty(3)))[0] for name in names[:5]]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise CheckpointError(
                f"{folder}: {len(names)} {what} weights: {', '.join(published)}{more}",
                "Use a complete Video-XL checkpoint (language model, VSTs, projector and vision tower).",
            )
