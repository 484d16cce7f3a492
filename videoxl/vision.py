"""From pixels to visual tokens: preprocessing, the CLIP vision tower, the projector and the pooling.

The reference turns frames into tokens in one fixed order: resize and centre-crop on 8-bit pixels, CLIP up to a chosen
hidden state, drop the class token, project *every* patch into the language model's width, then pool the projected
patches on their grid. Shapes: t frames, p tokens per frame, s image size in pixels, h width of the language model.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import CheckpointError
from .network.stem import STEM_PATCH, ConvStem

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_CONFIG_ADVICE = "Use a checkpoint in the Video-XL layout, with a CLIP vision tower."


class QuickGELU(nn.Module):
    """Return `x * sigmoid(1.702 x)`, the activation that OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation elementwise."""
        return x * torch.sigmoid(1.702 * x)


_ACTIVATIONS: dict[str, type[nn.Module]] = {"quick_gelu": QuickGELU, "gelu": nn.GELU}


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of the vision tower, and which of its states become visual tokens.

    The defaults are CLIP ViT-L/14 at 336 pixels, the tower of Video-XL 7B.

    Args:
        image_size: edge of the square input, pixels.
        patch_size: edge of a patch, pixels; divides `image_size`.
        select_layer: index into the hidden states as transformers counts them: 0 is the embedding, k the output of
            block k, negative numbers count from the end (-2: the output of the last block but one).
        hidden_act: "quick_gelu" or "gelu".
        pool_stride: edge of the square of patches that is pooled into one token; 1 keeps every patch.
        pool_mode: "average" or "max".
        stem: "patch" is CLIP's single convolution; "conv" is a small stack of convolutions to the same grid (Xiao et
            al. 2021, "Early convolutions help transformers see better"), which learns to read from far fewer pictures.
    """

    image_size: int = 336
    patch_size: int = 14
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    select_layer: int = -2
    pool_stride: int = 2
    pool_mode: str = "average"
    stem: str = "patch"

    def __post_init__(self) -> None:
        for wrong, problem in (
            (self.image_size % self.patch_size, f"image_size {self.image_size} is no multiple of {self.patch_size}"),
            (self.hidden_size % self.num_attention_heads, f"hidden_size {self.hidden_size} does not split into heads"),
            (self.hidden_act not in _ACTIVATIONS, f"hidden_act {self.hidden_act!r} is not one of {[*_ACTIVATIONS]}"),
            (self.stem not in ("patch", "conv"), f"stem {self.stem!r} is not patch or conv"),
            (
                self.stem == "conv" and self.patch_size != STEM_PATCH,
                f"the conv stem has patches of {STEM_PATCH}, not {self.patch_size}",
            ),
            (self.pool_mode not in ("average", "max"), f"pool mode {self.pool_mode!r} is not average or max"),
            (
                not 1 <= self.pool_stride <= self.grid,
                f"pool stride {self.pool_stride} does not fit {self.grid} patches",
            ),
            (not 1 <= self.num_blocks <= self.num_hidden_layers, f"select layer {self.select_layer} does not exist"),
        ):
            if wrong:
                raise CheckpointError(f"vision configuration: {problem}", _CONFIG_ADVICE)

    @property
    def grid(self) -> int:
        """Patches along one edge of the image."""
        return self.image_size // self.patch_size

    @property
    def num_blocks(self) -> int:
        """Number of transformer blocks that must run to reach the selected state."""
        return self.select_layer if self.select_layer >= 0 else self.num_hidden_layers + 1 + self.select_layer

    @property
    def tokens_per_frame(self) -> int:
        """Visual tokens that one frame becomes."""
        return (self.grid // self.pool_stride) ** 2


@dataclass(frozen=True)
class Preprocessing:
    """How frames become the tower's input.

    Args:
        image_size: edge of the square result, pixels.
        mode: "shortest" resizes the shorter edge to `image_size` and crops the centre, as the reference does (the ends
            of the long side are cut off); "squash" resizes the whole picture to the square, so nothing is lost.
        mean: subtracted per channel after scaling to 0..1.
        std: divided by per channel.
    """

    image_size: int = 336
    mode: Literal["shortest", "squash"] = "shortest"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __post_init__(self) -> None:
        if self.mode not in ("shortest", "squash"):
            raise CheckpointError(f"preprocessing mode {self.mode!r} is not shortest or squash", _CONFIG_ADVICE)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) that a frame is resized to before the centre crop."""
        size = self.image_size
        if self.mode == "squash":
            return size, size
        # int(), not round(): CLIPImageProcessor truncates the long side.
        return (size, int(size * width / height)) if height <= width else (int(size * height / width), size)


def preprocess(
    frames: np.ndarray | Tensor,
    preprocessing: Preprocessing,
    device: torch.device | str = "cpu",
    resize: Literal["auto", "pillow", "torch"] = "auto",
) -> Tensor:
    """Return the tower's input for some frames.

    Pillow's resize is the reference's and gives its numbers exactly. The torch resize runs in batch on `device` and
    differs by at most one 8-bit step before normalisation. "auto" is Pillow on the CPU and torch elsewhere.

    Args:
        frames: [t, h, w, 3] uint8 RGB of any size.
        preprocessing: what the model wants.
        device: where the result is made.
        resize: which implementation.

    Returns:
        [t, 3, s, s] float32.
    """
    pixels = torch.as_tensor(frames)
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 [t, h, w, 3], not {pixels.dtype} {tuple(pixels.shape)}")
    device = torch.device(device)
    height, width = preprocessing.resized(*pixels.shape[1:3])
    if (height, width) == tuple(pixels.shape[1:3]):
        resized = pixels.to(device).permute(0, 3, 1, 2)
    elif resize == "pillow" or (resize == "auto" and device.type == "cpu"):
        resized = _resize_pillow(pixels, height, width).to(device).permute(0, 3, 1, 2)
    else:
        resized = _resize_torch(pixels.to(device), height, width)
    size = preprocessing.image_size
    top, left = (height - size) // 2, (width - size) // 2
    return _normalise(resized[:, :, top : top + size, left : left + size], preprocessing)


def _resize_pillow(frames: Tensor, height: int, width: int) -> Tensor:
    """Return [t, height, width, 3] uint8."""
    resized = np.empty((len(frames), height, width, 3), np.uint8)
    for index, frame in enumerate(frames.cpu().numpy()):
        # Rows, then columns. In one call Pillow does the same, but from version 13 on columns first where they shrink
        # more: 8-bit rounding between the passes would make results depend on the version.
        rows = Image.fromarray(frame).resize((width, frame.shape[0]), Image.Resampling.BICUBIC)
        resized[index] = np.asarray(rows.resize((width, height), Image.Resampling.BICUBIC))
    return torch.from_numpy(resized)


def _resize_torch(frames: Tensor, height: int, width: int) -> Tensor:
    """Return [t, 3, height, width], 8-bit values as float32."""
    pixels = frames.permute(0, 3, 1, 2).float()
    # Pillow resizes the rows, rounds to 8 bit, then the columns. One pass without the rounding and clamping between
    # differs by many steps at sharp edges, where bicubic overshoots.
    for size in ((pixels.shape[2], width), (height, width)):
        pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False)
        pixels = (pixels + 0.5).floor().clamp(0, 255)  # halves go up, as in Pillow
    return pixels


def _normalise(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return float32 [t, 3, s, s] from 8-bit values."""
    # The reference scales in double precision and normalises in single: same order, same bits.
    scaled = (pixels.double() * (1 / 255)).float() if pixels.device.type == "cpu" else pixels.float() * (1 / 255)
    mean = torch.tensor(preprocessing.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(preprocessing.std, device=pixels.device).view(3, 1, 1)
    return (scaled - mean) / std


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

    def forward(self, pixels: Tensor, pool: bool = True) -> Tensor:
        """Return the visual tokens of some frames.

        Args:
            pixels: [t, 3, s, s] from `preprocess`.
            pool: False leaves out the pooling, as the reference does for a single image.

        Returns:
            [t, p, h] in the projector's dtype.
        """
        projected = self.projector(self.features(pixels))
        return self.pool(projected) if pool else projected
