"""Rendered videos of several scenes with a card in each: what is where is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ...tasks.needle.cards import Card, draw_card, random_card, random_layout
from ...tasks.needle.scenes import scene

CARD_SECONDS = 3
_FPS = 4
_SIZE = (256, 144)


@dataclass(frozen=True)
class SceneFilm:
    """A rendered video.

    Args:
        path: of the file.
        boundaries: seconds at which its scenes begin, the first left out.
        cards: the card in each scene.
        shown: seconds at which each card comes up; it stays for `CARD_SECONDS`.
    """

    path: Path
    boundaries: tuple[int, ...]
    cards: tuple[Card, ...]
    shown: tuple[int, ...]


def write_scenes(path: Path, seed: int, lengths: Sequence[int], kind: str | None = None) -> SceneFilm:
    """Encode scenes of so many seconds; a card is on screen for 3 of them, away from the scene's ends.

    Args:
        path: of the file.
        seed: the same one gives the same pictures.
        lengths: of the scenes, at least 5 each.
        kind: of the cards; numbers and shapes if None.
    """
    rng = np.random.default_rng(seed)
    cards = [random_card(rng, kind or ("number", "shape")[int(rng.integers(2))]) for _ in lengths]
    ends = np.cumsum(lengths)
    shown = []

    def pictures() -> Iterator[np.ndarray]:
        for length, card, end in zip(lengths, cards, ends, strict=True):
            layout, begin = random_layout(rng, card), int(rng.integers(1, length - CARD_SECONDS))
            shown.append(int(end) - length + begin)
            for index, picture in enumerate(scene(rng, length * _FPS, _SIZE)):
                has_card = begin <= index / _FPS < begin + CARD_SECONDS
                yield np.asarray(draw_card(card, layout, picture)[0] if has_card else picture)

    _encode(path, pictures())
    return SceneFilm(path, tuple(int(second) for second in ends[:-1]), tuple(cards), tuple(shown))


def random_films(folder: Path, seed: int, videos: int, scenes: int) -> Iterator[SceneFilm]:
    """Render so many videos into a folder, with so many scenes of 12 to 30 seconds each."""
    for number in range(videos):
        rng = np.random.default_rng((seed, number))
        yield write_scenes(folder / f"{number}.mp4", seed + number, rng.integers(12, 31, scenes).tolist())


def boundary_f1(found: Sequence[float], true: Sequence[float], tolerance: float = 2.0) -> float:
    """Return F1 of found boundaries; each true one is met by at most one found within `tolerance` seconds."""
    left = list(found)
    hits = 0
    for second in true:
        near = [each for each in left if abs(each - second) <= tolerance]
        if near:
            left.remove(min(near, key=lambda each: abs(each - second)))
            hits += 1
    return 2 * hits / (len(found) + len(true)) if found or true else 1.0


def _encode(path: Path, pictures: Iterator[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_FPS, options={"crf": "28"})
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, _FPS)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, _FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
