"""First stage: the vision tower learns to read single pictures, through heads that are thrown away afterwards."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoxl.config import Preprocessing
from videoxl.nano.pictures import CHARACTERS, NO_LABEL, PicturePool
from videoxl.nano.trainer import Metrics
from videoxl.network.vision import VisionEncoder
from videoxl.tasks.needle.cards import COLOURS, KINDS, MAX_LETTERS, SHAPES

_LABELS = {"kind": 1 + len(KINDS), "colour": len(COLOURS), "ink": len(COLOURS), "shape": len(SHAPES)}


CELL = 8  # pixels along each side of a label cell


class Reader(nn.Module):
    """A vision encoder with two sets of heads.

    The heads on the visual tokens make what is on the card readable from the few tokens of a frame. The heads on the
    patches (which character is here, which letter of the word is it) say where to look, which speeds learning up.
    """

    def __init__(self, encoder: VisionEncoder, language_size: int) -> None:
        super().__init__()
        self.encoder = encoder
        # Characters are smaller than patches: each patch answers for a square of `fine` x `fine` label cells.
        self.fine = encoder.config.patch_size // CELL
        width = encoder.config.tokens_per_frame * language_size
        self.norm_head = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, classes) for name, classes in _LABELS.items()})
        self.characters_head = nn.Linear(width, MAX_LETTERS * (1 + len(CHARACTERS)))
        self.patch_norm_head = nn.LayerNorm(encoder.config.hidden_size)
        cells = self.fine * self.fine
        self.patch_character_head = nn.Linear(encoder.config.hidden_size, cells * (1 + len(CHARACTERS)))
        self.patch_index_head = nn.Linear(encoder.config.hidden_size, cells * (1 + MAX_LETTERS))
        # The last convolution but one still has the label cells' resolution: a head there teaches the stem its letters
        # without the detour through the transformer.
        fine_layer = encoder.tower.conv1[-2]
        self.fine_head = nn.Conv2d(fine_layer.conv.out_channels, 1 + len(CHARACTERS), 1)
        self._fine: Tensor | None = None
        fine_layer.register_forward_hook(self._keep_fine)

    def _keep_fine(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._fine = output

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return logits by label name from pixels [b, 3, s, s]."""
        features = self.encoder.features(pixels)
        tokens = self.encoder.pool(self.encoder.projector(features))
        flat = self.norm_head(tokens.flatten(1))
        logits = {name: head(flat) for name, head in self.heads.items()}
        logits["characters"] = self.characters_head(flat).unflatten(1, (MAX_LETTERS, -1))
        patches = self.patch_norm_head(features)
        logits["patch_character"] = self._cells(self.patch_character_head(patches))
        logits["patch_index"] = self._cells(self.patch_index_head(patches))
        assert self._fine is not None  # the hook has run
        logits["fine_character"] = self.fine_head(self._fine).flatten(2).transpose(1, 2)
        # Small on purpose: visual tokens share the language model's width with word embeddings of about unit size.
        logits["size"] = tokens.float().pow(2).mean()
        return logits

    def _cells(self, logits: Tensor) -> Tensor:
        """Return logits of all cells, row by row, [b, cells, classes] from [b, patches, fine * fine * classes]."""
        grid, fine = self.encoder.config.grid, self.fine
        cells = logits.unflatten(2, (fine, fine, -1)).unflatten(1, (grid, grid))
        return cells.permute(0, 1, 3, 2, 4, 5).flatten(1, 4)  # [b, grid, grid, fine, fine, c] -> rows of cells


def augment(images: Tensor, cells: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the pictures as another camera would see them, at another size, and their cell labels along with them.

    Two thirds are moved, turned, sheared and stretched a little; all get another brightness and contrast.

    Args:
        images: uint8 [b, h, w, 3].
        cells: int64 [b, k, g, g] labels of square cells, k kinds of label.
        size: of the pictures returned, which have as many pixels a cell as before.

    Returns:
        float [b, size, size, 3] in 0..255, and int64 [b, k, g * size / h, g * size / h].
    """
    batch = len(images)

    def spread(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator)

    # The affine map leads from places in the new picture to places in the old: above 1 is a smaller picture.
    turn, shear = spread(-0.1, 0.1), spread(-0.12, 0.12)
    rows = (spread(0.97, 1.12), turn + shear, spread(-0.04, 0.04), -turn, spread(0.97, 1.12), spread(-0.04, 0.04))
    same = torch.tensor([1.0, 0, 0, 0, 1, 0])
    theta = torch.where(torch.rand(batch, 1, generator=generator) < 2 / 3, torch.stack(rows, 1), same).view(-1, 2, 3)
    places = F.affine_grid(theta, [batch, 1, size, size], align_corners=False)
    pixels = images.permute(0, 3, 1, 2).float()
    moved = F.grid_sample(pixels, places, "bilinear", "reflection", align_corners=False).permute(0, 2, 3, 1)
    grid = cells.shape[2] * size // images.shape[1]
    places = F.affine_grid(theta, [batch, 1, grid, grid], align_corners=False)
    labels = F.grid_sample(cells.float(), places, "nearest", "zeros", align_corners=False).long()
    gain, shift = spread(0.85, 1.15).view(-1, 1, 1, 1), spread(-10, 10).view(-1, 1, 1, 1)
    return ((moved - 128) * gain + 128 + shift).clamp(0, 255), labels


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return [b, 3, s, s] float32 from 8-bit values [b, s, s, 3] that have the model's size already."""
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
    pixels = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)  # the faster for convolutions
    return pixels.float().mul_((1 / (255 * std)).view(1, 3, 1, 1)).sub_((mean / std).view(1, 3, 1, 1))


def batch(pool: PicturePool, indices: np.ndarray, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the named arrays of some pictures as tensors; labels int64 with -100 where there is none."""
    out = {}
    for name in names:
        values = torch.from_numpy(np.ascontiguousarray(getattr(pool, name)[indices]))
        if name != "images":
            values = values.long()
            values[values == NO_LABEL] = -100
        out[name] = values
    return out


LABEL_NAMES = (*_LABELS, "characters", "patch_character", "patch_index")


def reading_loss(logits: dict[str, Tensor], labels: dict[str, Tensor]) -> tuple[Tensor, Metrics]:
    """Return the summed cross-entropies and the accuracies; `word` counts cards whose every character is right."""
    weights = {"characters": 6.0, "fine_character": 2.0, "patch_character": 1.0, "patch_index": 1.0}
    labels = {**labels, "fine_character": labels["patch_character"]}
    total = 0.01 * (logits["size"] - 0.1).clamp(min=0)
    metrics: Metrics = {}
    for name in (*LABEL_NAMES, "fine_character"):
        scores, wanted = logits[name].float().flatten(0, -2), labels[name].flatten()
        # Most cells and many places of a word hold no character: without the weights they would drown the letters.
        rare = torch.ones(scores.shape[1])
        rare[0] = {"characters": 0.5, "patch_character": 0.1, "patch_index": 0.1, "fine_character": 0.1}.get(name, 1.0)
        loss = F.cross_entropy(scores, wanted, rare.to(scores.device), ignore_index=-100)
        total = total + weights.get(name, 0.5) * loss
        known = wanted != -100
        if name in _LABELS:
            metrics[name] = (scores.argmax(-1) == wanted)[known].float().mean().item()
    right = (logits["characters"].argmax(-1) == labels["characters"]).all(-1)
    for name, kind in (("word", 1), ("number", 2)):
        metrics[name] = right[labels["kind"] == kind].float().mean().item()
    lettered = labels["patch_character"] > 0
    metrics["patch"] = (
        (logits["patch_character"].argmax(-1) == labels["patch_character"])[lettered].float().mean().item()
    )
    return total, {"loss": round(total.item(), 4), **{name: round(value, 4) for name, value in metrics.items()}}
