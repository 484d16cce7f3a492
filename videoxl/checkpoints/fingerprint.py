"""What identifies a model, so that no memory is read by a model that did not make it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from .parts import Parts
from .tokenizer import TextTokenizer
from .weights import published_state

_SAMPLE_BYTES = 1 << 16
_SAMPLE_TEXT = "The quick brown Fox's 1234567890 jumps;\n\tüber den größten Zaun: 世界 👋🏽!"


def tensor_digest(tensor: Tensor) -> str:
    """Return a short hash of a tensor: of dtype, shape, the sum of all its bits, and some of its values.

    Every weight counts in the sum, at the speed of memory; hashing all bytes would take as long as reading 17 GB.
    """
    data = tensor.detach().to("cpu").contiguous().flatten().view(torch.uint8).numpy()
    values = np.frombuffer(data[: len(data) // 8 * 8], np.uint64)  # of any alignment, as mapped files have it
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)} {int(values.sum())}".encode())
    digest.update(data[len(values) * 8 :].tobytes())
    digest.update(values[:: max(1, len(data) // _SAMPLE_BYTES)].tobytes())
    return digest.hexdigest()


def fingerprint(model: Parts, digests: Mapping[str, str] | None = None) -> str:
    """Return a short hash of a model: of its configuration, its tokenizer and all weights, but not of its name.

    Args:
        model: its parts.
        digests: of its weights by published name, if they were taken while it was loaded, in the files' precision.
    """
    if digests is None:
        digests = {name: tensor_digest(tensor) for name, tensor in published_state(model.vision, model.language)}
    settings = {name: value for name, value in asdict(model.config).items() if name != "name"}
    content = [settings, _vocabulary(model.tokenizer, model.config.prompt), sorted(digests.items())]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _vocabulary(tokenizer: TextTokenizer | None, prompt: str) -> list[object]:
    """Return what tokens there are and how text is cut into them, in no library's format, which may change."""
    if tokenizer is None:
        return []
    return [sorted(tokenizer.backend.get_vocab().items()), tokenizer.encode(prompt), tokenizer.encode(_SAMPLE_TEXT)]
