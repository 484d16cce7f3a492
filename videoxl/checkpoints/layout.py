"""The files of a checkpoint folder: `ModelConfig`, read from and written to its JSON files.

The published Video-XL layout has `config.json` (Qwen2 keys, `beacon_*` for VSTs, `mm_*` for vision) and
`generation_config.json`. Ours adds what that lacks: `vision_tower/config.json`, `vision_tower/preprocessor_config.json`
and `videoxl.json` (name, ratios, prompt).
"""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..config import (
    CHAT_PROMPT,
    CLIP_MEAN,
    CLIP_STD,
    PUBLISHED_RATIOS,
    LanguageConfig,
    ModelConfig,
    Preprocessing,
    VisionConfig,
)
from ..errors import CheckpointError
from ..files import sampled_digest

_ADVICE = "Use a checkpoint in the Video-XL layout; download it again if a file is damaged."
_LANGUAGE_KEYS = {field.name for field in fields(LanguageConfig)}
_TOWER_KEYS = {field.name for field in fields(VisionConfig)} - {"select_layer", "pool_stride", "pool_mode"}
# What this code computes. A checkpoint that asks for something else must not be run as if it did not.
_SUPPORTED: dict[str, Any] = {
    "beacon_pos": "interleave",
    "beacon_attn": "full-coverage",
    "beacon_sink_size": 0,
    "beacon_parallel_window": 1,
    "beacon_accum": True,
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_feature": "patch",
    "use_sliding_window": False,
    "hidden_act": "silu",
}


def read_config(folder: Path) -> ModelConfig:
    """Return the configuration of a checkpoint folder, published layout or ours.

    Raises:
        CheckpointError: a file or key is missing or damaged, or the model is of a kind that is not supported.
    """
    config = _without_nulls(read_json(folder / "config.json"))
    generation = _without_nulls(read_json(folder / "generation_config.json", required=False))
    ours = read_json(folder / "videoxl.json", required=False)
    eos = generation.get("eos_token_id", config.get("eos_token_id"))
    try:
        _check_supported(config, folder)
        vision = _read_vision(config, folder)
        return ModelConfig(
            language=_read_language(config),
            vision=vision,
            preprocessing=_read_preprocessing(config, folder, vision.image_size),
            window=config["beacon_window"],
            ratios=tuple(sorted(ours.get("ratios", _published_ratios(config)))),
            name=ours.get("name", folder.name),
            prompt=ours.get("prompt", CHAT_PROMPT),
            eos_token_ids=tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,),
            repetition_penalty=float(generation.get("repetition_penalty") or 1.0),
        )
    except KeyError as error:
        raise CheckpointError(f"{folder / 'config.json'}: key {error} is missing", _ADVICE) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / 'config.json'}: {_one_line(error)}", _ADVICE) from None


def config_files(config: ModelConfig) -> dict[str, dict[str, Any]]:
    """Return the JSON files of our layout by their paths inside the folder; `read_config` reads them back."""
    language, vision, preprocessing = config.language, config.vision, config.preprocessing
    size = preprocessing.image_size
    square = {"height": size, "width": size}
    eos = list(config.eos_token_ids)
    return {
        "config.json": {
            **{key: getattr(language, key) for key in sorted(_LANGUAGE_KEYS)},
            "eos_token_id": eos,
            "architectures": ["LlavaQwenForCausalLM"],
            "model_type": "llava_qwen",
            **_SUPPORTED,
            "beacon_window": config.window,
            "beacon_stride": config.window,
            "beacon_ratio": list(config.ratios),
            "beacon_ratio_mix": "step-random",
            "beacon_param": ["q", "k", "v"],
            "enable_beacon": True,
            "mm_vision_tower": "./vision_tower",
            "mm_hidden_size": vision.hidden_size,
            "mm_vision_select_layer": vision.select_layer,
            "mm_spatial_pool_stride": vision.pool_stride,
            "mm_spatial_pool_mode": vision.pool_mode,
        },
        "generation_config.json": {"eos_token_id": eos, "repetition_penalty": config.repetition_penalty},
        "vision_tower/config.json": {
            "model_type": "clip_vision_model",
            **{key: getattr(vision, key) for key in sorted(_TOWER_KEYS)},
        },
        "vision_tower/preprocessor_config.json": {
            "size": {"shortest_edge": size} if preprocessing.mode == "shortest" else square,
            "crop_size": square,
            "do_center_crop": preprocessing.mode == "shortest",
            "resample": 3,
            "image_mean": list(preprocessing.mean),
            "image_std": list(preprocessing.std),
        },
        "videoxl.json": {"name": config.name, "ratios": list(config.ratios), "prompt": config.prompt},
    }


def read_json(path: Path, required: bool = True) -> dict[str, Any]:
    """Return a JSON object from a file, or an empty one if the file is absent and not required."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise CheckpointError(f"{path}: no such file", "Give a folder that holds a Video-XL checkpoint.") from None
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({_one_line(error)})", _ADVICE) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: does not hold a JSON object", _ADVICE)
    return content


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _without_nulls(content: dict[str, Any]) -> dict[str, Any]:
    """Return the entries that have a value: libraries write null for what is not set."""
    return {key: value for key, value in content.items() if value is not None}


def _check_supported(config: dict[str, Any], folder: Path) -> None:
    """Raise if the model needs something that this code does not compute."""
    wrong = {key: config[key] for key, value in _SUPPORTED.items() if config.get(key, value) != value}
    if set(config.get("beacon_param", "qkv")) != set("qkv"):
        wrong["beacon_param"] = config["beacon_param"]
    if config.get("beacon_stride", config.get("beacon_window")) != config.get("beacon_window"):
        wrong["beacon_stride"] = config["beacon_stride"]
    if wrong:
        listed = ", ".join(f"{key} = {value!r}" for key, value in wrong.items())
        raise CheckpointError(f"{folder / 'config.json'}: {listed} is not supported", "Use a Video-XL checkpoint.")


def _read_language(config: dict[str, Any]) -> LanguageConfig:
    """Return the language model's sizes. Nothing has a default: a wrong one would give plausible nonsense.

    Raises:
        KeyError: a size is missing.
        CheckpointError: positions are rotated, or heads are cut, in a way that this code does not compute.
    """
    nested = config.get("rope_parameters") or {}
    for rope in (nested, config.get("rope_scaling") or {}):
        kind = rope.get("rope_type") or rope.get("type") or "default"
        if kind != "default":
            raise CheckpointError(f"rope type {kind!r} is not supported", "Use a Video-XL checkpoint.")
    thetas = {float(keys["rope_theta"]) for keys in (config, nested) if keys.get("rope_theta") is not None}
    if len(thetas) > 1:
        raise CheckpointError(f"rope_theta has two values, {_listed_values(thetas)}", _ADVICE)
    if not thetas:
        raise KeyError("rope_theta")
    sizes = {key: config[key] for key in _LANGUAGE_KEYS - {"rope_theta", "tie_word_embeddings"}}
    tied = bool(config.get("tie_word_embeddings", False))  # absent in Qwen2's own files where it is false
    language = LanguageConfig(**sizes, rope_theta=thetas.pop(), tie_word_embeddings=tied)
    if config.get("head_dim", language.head_dim) not in (None, language.head_dim):
        raise CheckpointError(f"head_dim {config['head_dim']} is not hidden_size / num_attention_heads", _ADVICE)
    return language


def _listed_values(values: set[float]) -> str:
    return " and ".join(f"{value:g}" for value in sorted(values))


def _published_ratios(config: dict[str, Any]) -> set[int]:
    """Return the ratios of a published checkpoint: those it was trained with, and powers of two that fit a window."""
    beyond = {ratio for ratio in PUBLISHED_RATIOS if ratio <= config["beacon_window"]}
    return {*config.get("beacon_ratio", ()), *beyond} - {0}


def _tower_folder(config: dict[str, Any], folder: Path) -> Path:
    """Return where the tower's own files may be: a published `mm_vision_tower` names a hub id or somebody's disk."""
    named = Path(str(config.get("mm_vision_tower", "vision_tower")))
    inside = not named.is_absolute() and ".." not in named.parts
    return folder / named if inside and (folder / named).is_dir() else folder / "vision_tower"


def _read_vision(config: dict[str, Any], folder: Path) -> VisionConfig:
    """Return the tower's configuration: from its own file, or CLIP ViT-L/14-336, the tower of Video-XL."""
    path = _tower_folder(config, folder) / "config.json"
    found = read_json(path, required=False)
    sizes = {key: value for key, value in found.get("vision_config", found).items() if key in _TOWER_KEYS}
    vision = VisionConfig(
        **sizes,
        select_layer=config.get("mm_vision_select_layer", -2),
        pool_stride=config.get("mm_spatial_pool_stride", 2),
        pool_mode=config.get("mm_spatial_pool_mode", "average"),
    )
    if config.get("mm_hidden_size", vision.hidden_size) != vision.hidden_size:
        raise CheckpointError(
            f"{folder / 'config.json'}: mm_hidden_size {config['mm_hidden_size']} is not the width of the vision tower "
            f"({vision.hidden_size})",
            f"Put the tower's own config.json into {path.parent}.",
        )
    return vision


def _read_preprocessing(config: dict[str, Any], folder: Path, image_size: int) -> Preprocessing:
    """Return the preprocessing from the image processor's file, or CLIP's."""
    tower = _tower_folder(config, folder) / "preprocessor_config.json"
    path = tower if tower.exists() else folder / "preprocessor_config.json"
    found = read_json(path, required=False)
    size = found.get("size", {"shortest_edge": image_size})
    squash = isinstance(size, dict) and "height" in size
    edge = size if isinstance(size, int) else size["height"] if squash else size["shortest_edge"]
    crop = found.get("crop_size", edge)
    crop = crop if isinstance(crop, int) else crop["height"]
    if crop != edge or found.get("resample", 3) != 3 or (squash and size["height"] != size["width"]):
        raise CheckpointError(
            f"{path}: only bicubic resizing to a square of the crop's size is supported", "Use a Video-XL checkpoint."
        )
    return Preprocessing(
        edge,
        "squash" if squash else "shortest",
        tuple(found.get("image_mean", CLIP_MEAN)),
        tuple(found.get("image_std", CLIP_STD)),
    )


def folder_digest(folder: Path) -> str:
    """Return a digest of a checkpoint's files, read in parts where they are large; no weights are loaded.

    Raises:
        CheckpointError: one of them cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors") and path.is_file())
    try:
        digests = [[path.relative_to(folder).as_posix(), sampled_digest(path)] for path in files]
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror})", _ADVICE) from None
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:16]
