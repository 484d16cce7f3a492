"""Videos to ask about: real footage, encoded once, with cards put into some frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...tasks.needle.cards import Card, draw_card, random_card, random_layout
from .evaluated_model import EvaluatedModel

# English words of 3 to 6 letters that `is_held_out` keeps out of training.
WORDS = (
    *("apple", "author", "boxing", "butter", "calm", "canvas", "castle", "cat", "cherry", "circus", "clown", "denim"),
    *("drill", "drum", "earth", "eraser", "field", "full", "goat", "horse", "ivory", "jade", "knife", "knight", "left"),
    *("loud", "monkey", "moon", "motor", "news", "orange", "page", "parcel", "party", "plane", "purse", "robin", "run"),
    *("shirt", "stamp", "story", "swim", "think", "tower", "virus", "wet", "winter", "zinc"),
)


@dataclass(frozen=True)
class Haystack:
    """A video without cards: its pictures, uint8 [h, w, 3] of several sizes, and their visual tokens [t, p, hidden]."""

    pictures: Sequence[np.ndarray]
    tokens: Tensor


class Footage:
    """Clips that videos are cut from.

    Args:
        clips: uint8 [t, h, w, 3] each, at least one.
        subject: encodes them, once.
    """

    def __init__(self, clips: Sequence[np.ndarray], subject: EvaluatedModel) -> None:
        self.clips = clips
        self._pictures = [picture for clip in clips for picture in clip]
        self._tokens = torch.cat([subject.encode(list(clip)) for clip in clips])
        ends = np.cumsum([len(clip) for clip in clips])
        self._ranges = [np.arange(end - len(clip), end) for clip, end in zip(clips, ends, strict=True)]

    def _cut(self, indices: np.ndarray) -> Haystack:
        return Haystack([self._pictures[index] for index in indices], self._tokens[torch.from_numpy(indices)])

    def joined(self, rng: np.random.Generator, frames: int) -> Haystack:
        """Return `frames` frames, evenly spaced over as many clips, joined in random order, as they take."""
        pieces: list[np.ndarray] = []
        while sum(map(len, pieces)) < frames:
            pieces.append(self._ranges[int(rng.integers(len(self._ranges)))])
        indices = np.concatenate(pieces)
        return self._cut(indices[np.linspace(0, len(indices) - 1, frames, dtype=int)])

    def stretch(self, rng: np.random.Generator, frames: int) -> Haystack:
        """Return `frames` frames that follow each other in one clip, or all of it if it has fewer."""
        clip = self._ranges[int(rng.integers(len(self._ranges)))]
        start = int(rng.integers(max(1, len(clip) - frames + 1)))
        return self._cut(clip[start : start + frames])


def held_out_card(rng: np.random.Generator, kind: str, english: bool) -> Card:
    """Return a card whose word, if it has one, training never shows: an English one, or any letters."""
    card = random_card(rng, kind, held_out=True)
    text = str(rng.choice(WORDS)) if kind == "word" and english else card.text
    return Card(kind, text, card.colour, card.ink)


def put(
    rng: np.random.Generator, subject: EvaluatedModel, hay: Haystack, cards: Mapping[int, Card], held_out: bool
) -> Tensor:
    """Return the visual tokens of a video in which cards cover some frames.

    Args:
        rng: draws their layouts.
        subject: encodes the frames with cards; those of the haystack are encoded already.
        hay: all other frames.
        cards: by the number of the frame.
        held_out: fonts and styles of plate are such as training never shows.
    """
    if not cards:
        return hay.tokens
    drawn = []
    for place, card in cards.items():
        layout = random_layout(rng, card, held_out=held_out)
        picture, _ = draw_card(card, layout, Image.fromarray(hay.pictures[place]))
        drawn.append(np.asarray(picture))
    tokens = hay.tokens.clone()
    tokens[list(cards)] = subject.encode(drawn)
    return tokens
