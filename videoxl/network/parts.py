"""The parts of a model that have weights, together."""

from torch import nn

from ..config import ModelConfig
from .qwen2 import VSTQwen2
from .vision import VisionEncoder


class Network(nn.Module):
    """The two parts that have weights.

    Args:
        config: their sizes. Weights start random, or nowhere under `torch.device("meta")`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vision = VisionEncoder(config.vision, config.language.hidden_size)
        self.language = VSTQwen2(config.language)
