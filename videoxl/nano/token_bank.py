"""What training videos are cut from: visual tokens of cards and of frames without any, computed once.

The vision tower stays as it is while the language model learns, so no picture needs to be encoded twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from videoxl.config import Preprocessing
from videoxl.files import atomic_write
from videoxl.nano.pictures import PicturePool
from videoxl.nano.reader import normalise
from videoxl.network.vision import VisionEncoder
from videoxl.tasks.needle.cards import KINDS, Card

_PART = 2048  # pictures read from the pool at a time


@dataclass(frozen=True)
class Bank:
    """Visual tokens of frames, float16 [n, p, hidden] each.

    Args:
        cards: frames with a card; `labels` says what is on each.
        scenes: rendered frames without a card, one array per scene, in order of time.
        footage: real ones, one array per clip; may be empty.
    """

    cards: np.ndarray
    labels: Sequence[Card]
    scenes: Sequence[np.ndarray]
    footage: Sequence[np.ndarray] = ()

    def by_kind(self) -> dict[str, np.ndarray]:
        """Return the indices of the cards of each kind."""
        kinds = np.array([card.kind for card in self.labels])
        return {kind: np.flatnonzero(kinds == kind) for kind in KINDS}


@torch.no_grad()
def encode_pictures(
    encoder: VisionEncoder, images: np.ndarray, preprocessing: Preprocessing, device: torch.device
) -> np.ndarray:
    """Return visual tokens float16 [n, p, hidden] of pictures uint8 [n, s, s, 3]."""
    pieces = []
    for start in range(0, len(images), 256):
        pixels = normalise(torch.from_numpy(np.array(images[start : start + 256])), preprocessing)
        pieces.append(encoder(pixels.to(device)).half().cpu().numpy())
    return np.concatenate(pieces)


def make_bank(
    path: Path,
    encoder: VisionEncoder,
    preprocessing: Preprocessing,
    device: torch.device,
    pool: PicturePool,
    limit: int,
    scenes: Iterable[np.ndarray],
    footage: Iterable[np.ndarray],
) -> Bank:
    """Return the visual tokens that training videos are made of, from the file `path` if it is there already.

    Args:
        path: an `npz` file.
        encoder: makes them.
        preprocessing: of its pictures.
        device: where the encoder is.
        pool: rendered pictures; those with a card are used.
        limit: of the pool's pictures, how many may be used.
        scenes: pictures uint8 [n, s, s, 3] of each rendered scene.
        footage: of each real one.
    """
    shown = [(index, card) for index in range(min(limit, len(pool.kind))) if (card := pool.card(index))]
    indices, labels = np.array([index for index, _ in shown]), [card for _, card in shown]
    if not path.exists():

        def encode(pictures: np.ndarray) -> np.ndarray:
            return encode_pictures(encoder, pictures, preprocessing, device)

        parts = np.split(indices, range(_PART, len(indices), _PART))
        cards = np.concatenate([encode(pool.images[part]) for part in parts])
        rendered, real = [encode(pictures) for pictures in scenes], [encode(pictures) for pictures in footage]
        with atomic_write(path) as file:
            np.savez(file, cards=cards, haystacks=np.concatenate(rendered + real),
                     lengths=[len(frames) for frames in rendered + real], scenes=len(rendered))  # fmt: skip
    stored = np.load(path)
    haystacks = np.split(stored["haystacks"], np.cumsum(stored["lengths"])[:-1])
    return Bank(stored["cards"], labels, haystacks[: stored["scenes"]], haystacks[stored["scenes"] :])
