"""From decoded frames to the vision tower's input."""

from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..config import Preprocessing


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

    Raises:
        ValueError: the frames have another shape or dtype, or there is no such implementation.
    """
    if resize not in ("auto", "pillow", "torch"):
        raise ValueError(f"resize {resize!r} is not auto, pillow or torch")
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
