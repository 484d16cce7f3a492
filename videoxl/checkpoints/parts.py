"""What a model consists of, before it is wired up."""

from dataclasses import dataclass
from typing import Protocol

from ..config import ModelConfig
from ..network.qwen2 import VSTQwen2
from ..network.vision import VisionEncoder
from .tokenizer import TextTokenizer


class Parts(Protocol):
    """What a model consists of. Implemented by `Checkpoint` and `VideoXL`."""

    config: ModelConfig
    vision: VisionEncoder
    language: VSTQwen2
    tokenizer: TextTokenizer | None


@dataclass
class Checkpoint:
    """A loaded model.

    Args:
        config: everything but weights.
        vision: vision tower and projector.
        language: language model.
        tokenizer: None if the folder has none; then only token ids can be used.
        fingerprint: identifies the model; empty if it was not loaded from files.
    """

    config: ModelConfig
    vision: VisionEncoder
    language: VSTQwen2
    tokenizer: TextTokenizer | None = None
    fingerprint: str = ""
