"""Rendered clips of several scenes, with a card in each: what is where is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from video_clips import write_clip

from videoxl.world.cards import Card, draw_card, random_card, random_layout
from videoxl.world.scenes import scene

FPS = 4
CARD_SECONDS = 3


@dataclass(frozen=True)
class SceneClip:
    """A clip: the seconds at which its scenes begin, the first left out, and the card in each scene."""

    path: Path
    boundaries: tuple[int, ...]
    cards: tuple[Card, ...]


def write_scenes(path: Path, seed: int, lengths: tuple[int, ...], kind: str | None = None) -> SceneClip:
    """Encode scenes of so many seconds; a card is on screen for 3 of them, away from the scene's ends."""
    rng = np.random.default_rng(seed)
    cards = [random_card(rng, kind or ("number", "shape")[int(rng.integers(2))]) for _ in lengths]

    def pictures() -> Iterator[np.ndarray]:
        for length, card in zip(lengths, cards, strict=True):
            layout, begin = random_layout(rng, card), int(rng.integers(1, length - CARD_SECONDS))
            for index, picture in enumerate(scene(rng, length * FPS, (256, 144))):
                shown = begin <= index / FPS < begin + CARD_SECONDS
                yield np.asarray(draw_card(card, layout, picture)[0] if shown else picture)

    write_clip(path, pictures(), fps=FPS, crf="28")
    return SceneClip(path, tuple(int(second) for second in np.cumsum(lengths)[:-1]), tuple(cards))


def boundary_f1(found: list[float], true: tuple[int, ...], tolerance: float = 2.0) -> float:
    """Return F1 of found boundaries; each true one is met by at most one found within `tolerance` seconds."""
    left = list(found)
    hits = 0
    for second in true:
        near = [each for each in left if abs(each - second) <= tolerance]
        if near:
            left.remove(min(near, key=lambda each: abs(each - second)))
            hits += 1
    return 2 * hits / (len(found) + len(true)) if found or true else 1.0
