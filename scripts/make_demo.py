"""Render the bundled demo video: moving scenes with three cards at known times.

    python scripts/make_demo.py [OUT.mp4]

It writes assets/demo.mp4 unless told otherwise, and prints what can be asked about it. The same seed gives the same
pictures.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from videoxl.tasks.needle.cards import COLOURS, Card, Layout, draw_card
from videoxl.tasks.needle.scenes import scene

SIZE = (640, 360)  # pixels
SCENE_SIZE = (320, 180)  # enlarged to SIZE, which softens the grain of the scenes: grain is what costs bytes
FPS = 8
NUM_SCENES = 24
SCENE_SECONDS = 12
CARD_SECONDS = 3  # one frame per second meets every card
SEED = 20
# Long stretches between key frames and a coarse picture: several minutes in less than a megabyte.
ENCODER = {"preset": "veryslow", "crf": "37", "g": "480", "threads": "1"}


@dataclass(frozen=True)
class Appearance:
    """A card, when it comes up, and what to ask about it."""

    seconds: int
    card: Card
    question: str
    answer: str


APPEARANCES = (
    Appearance(77, Card("word", "winter", "white", "black"), "What word is written on the card?", "winter"),
    Appearance(151, Card("number", "472", "blue", "white"), "What number is shown on the card?", "472"),
    Appearance(221, Card("shape", "circle", "yellow", "red"), "What colour is the circle?", "red"),
)


def layout(card: Card) -> Layout:
    """Return an upright card in the middle that takes about half of the frame."""
    return Layout(
        area=0.5,
        aspect=1.0,
        centre=(0.5, 0.5),
        rotation=0.0,
        style="plain",
        line=0.025,
        font="",
        fill=0.8,
        case="upper",
        card_rgb=COLOURS[card.colour][0],
        ink_rgb=COLOURS[card.ink][0],
    )


def pictures() -> Iterator[Image.Image]:
    """Yield every frame of the video."""
    for number in range(NUM_SCENES):
        rng = np.random.default_rng((SEED, number))
        for index, picture in enumerate(scene(rng, SCENE_SECONDS * FPS, SCENE_SIZE)):
            picture = picture.resize(SIZE, Image.Resampling.BICUBIC)
            seconds = number * SCENE_SECONDS + index / FPS
            shown = [a.card for a in APPEARANCES if a.seconds <= seconds < a.seconds + CARD_SECONDS]
            yield draw_card(shown[0], layout(shown[0]), picture)[0] if shown else picture


def write_video(path: Path) -> None:
    """Encode the pictures as H.264."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=ENCODER)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for index, picture in enumerate(pictures()):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def table() -> str:
    """Return what can be asked about the video, as a Markdown table."""
    rows = ["| time | card | question | answer |", "| --- | --- | --- | --- |"]
    for shown in APPEARANCES:
        until = shown.seconds + CARD_SECONDS
        card = f"{shown.card.ink} {shown.card.text} on {shown.card.colour}"
        rows.append(f"| {_clock(shown.seconds)} to {_clock(until)} | {card} | {shown.question} | {shown.answer} |")
    return "\n".join(rows)


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"


def main() -> None:
    """Write the video, print the table."""
    parser = argparse.ArgumentParser(description="Render the demo video.")
    default = Path(__file__).resolve().parent.parent / "assets" / "demo.mp4"
    parser.add_argument("out", nargs="?", type=Path, default=default)
    path = parser.parse_args().out
    write_video(path)
    seconds = NUM_SCENES * SCENE_SECONDS
    print(f"{path.name}: {_clock(seconds)} min, {SIZE[0]}x{SIZE[1]}, {path.stat().st_size / 1000:.0f} kB\n")
    print(table())


if __name__ == "__main__":
    main()
