"""From the tower's input to visual tokens: the CLIP vision tower, the projector and the pooling.

The reference turns frames into tokens in one fixed order: resize and centre-crop on 8-bit pixels, CLIP up to a chosen
hidden state, drop the class token, project *every* patch into the language model's width, then pool the projected
patches on their grid. Shapes: t frames, p tokens per frame, s image size in pixels, h width of the language model.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import VisionConfig
from .stem import ConvStem


class QuickGELU(nn.Module):
    """Return `x * sigmoid(1.702 x)`, the activation that OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation elementwise."""
        return x * torch.sigmoid(1.702 * x)


_ACTIVATIONS: dict[str, type[nn.Module]] = {"quick_gelu": QuickGELU, "gelu": nn.GELU}


def build_tower(config: VisionConfig) -> nn.Module:
    """Return an open_clip VisionTransformer of the given sizes, with random weights and without the output head."""
    from open_clip.transformer import LayerNorm, VisionTransformer  # open_clip takes seconds to import

    tower = VisionTransformer(
        image_size=config.image_size,
        patch_size=config.patch_size,
        width=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        # open_clip truncates width * ratio: half a unit keeps rounding errors from losing one.
        mlp_ratio=(config.intermediate_size + 0.5) / config.hidden_size,
        act_layer=_ACTIVATIONS[config.hidden_act],
        norm_layer=functools.partial(LayerNorm, eps=config.layer_norm_eps),
    )
    tower.proj = None
    if config.stem == "conv":
        tower.conv1 = ConvStem(config.hidden_size)
    return tower


class VisionEncoder(nn.Module):
    """Vision tower, projector and pooling: pixels in, visual tokens out.

    Args:
        config: sizes of the tower.
        language_size: width of the language model.
    """

    def __init__(self, config: VisionConfig, language_size: int) -> None:
        super().__init__()
        self.config = config
        self.tower: Any = build_tower(config)
        self.projector = nn.Sequential(
            nn.Linear(config.hidden_size, language_size), nn.GELU(), nn.Linear(language_size, language_size)
        )

    @property
    def device(self) -> torch.device:
        """Where pixels go."""
        return self.tower.class_embedding.device

    def features(self, pixels: Tensor) -> Tensor:
        """Return the selected hidden state without the class token, [t, grid * grid, width]."""
        output = self.tower.forward_intermediates(
            pixels.to(next(self.projector.parameters()).dtype),
            indices=[self.config.num_blocks - 1],
            stop_early=True,
            intermediates_only=True,
            output_fmt="NLC",
        )
        return output["image_intermediates"][0]

    def pool(self, projected: Tensor) -> Tensor:
        """Return [t, p, h] tokens from [t, grid * grid, h] projected patches, row by row."""
        stride = self.config.pool_stride
        if stride == 1:
            return projected
        grid = projected.transpose(1, 2).unflatten(2, (self.config.grid, self.config.grid))
        pool = F.avg_pool2d if self.config.pool_mode == "average" else F.max_pool2d
        return pool(grid, stride).flatten(2).transpose(1, 2)

    def forward(self, pixels: Tensor, pool: bool = True, on_features: Callable[[Tensor], None] | None = None) -> Tensor:
        """Return the visual tokens of some frames.

        Args:
            pixels: [t, 3, s, s] from `preprocess`.
            pool: False leaves out the pooling, as the reference does for a single image.
            on_features: called with what `features` returns for them.

        Returns:
            [t, p, h] in the projector's dtype.
        """
        features = self.features(pixels)
        if on_features is not None:
            on_features(features)
        projected = self.projector(features)
        return self.pool(projected) if pool else projected
