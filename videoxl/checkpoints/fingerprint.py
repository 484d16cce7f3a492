"""What tells one model from another, so that no memory is read by a model that did not make it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import ModelConfig
from .layout import config_files
from .parts import Parts
from .tokenizer import TextTokenizer
from .weights import published_state

_SAMPLE_BYTES = 1 << 16


def tensor_digest(tensor: Tensor) -> str:
    """Return a short hash of a tensor: of dtype, shape, the sum of all its bits, and some of its places.

    Every weight counts in the sum, at the speed of memory; hashing all bytes would take as long as reading 17 GB.
    """
    data = tensor.detach().to("cpu").contiguous().flatten().view(torch.uint8).numpy()
    words = np.frombuffer(data[: len(data) // 8 * 8], np.uint64)  # of any alignment, as mapped files have it
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)} {int(words.sum())}".encode())
    digest.update(data[len(words) * 8 :].tobytes())
    digest.update(words[:: max(1, len(data) // _SAMPLE_BYTES)].tobytes())
    return digest.hexdigest()


def fingerprint(model: Parts, digests: Mapping[str, str] | None = None) -> str:
    """Return a short hash of a model: of its configuration, its tokenizer and all weights, but not of its name.

    Args:
        model: its parts.
        digests: of its weights by published name, if they were taken while it was loaded, in the files' precision.
    """
    if digests is None:
        digests = {name: tensor_digest(tensor) for name, tensor in published_state(model.vision, model.language)}
    said = [_settings(model.config), _vocabulary(model.tokenizer), sorted(digests.items())]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _settings(config: ModelConfig) -> dict[str, dict[str, Any]]:
    files = config_files(config)
    del files["videoxl.json"]["name"]  # a copy in another folder is the same model
    return files


def _vocabulary(tokenizer: TextTokenizer | None) -> str:
    return "" if tokenizer is None else tokenizer.backend.to_str()
