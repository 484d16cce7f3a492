"""Rendered moving scenes without cards, and frames of real clips from a folder."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from videoxl.errors import VideoError
from videoxl.tasks.needle.cards import SHAPES, draw_shape
from videoxl.video.video import Video

RENDER_HEIGHT = 144  # pixels; 1.5 times the model's picture, so that scaling down blurs as with real video
_ASPECTS = (16 / 9, 4 / 3, 1.0, 9 / 16, 2.35)
_ASPECT_WEIGHTS = (0.5, 0.2, 0.1, 0.1, 0.1)


def random_size(rng: np.random.Generator) -> tuple[int, int]:
    """Return (width, height) in pixels of a frame in one of the usual picture formats."""
    aspect = float(rng.choice(_ASPECTS, p=_ASPECT_WEIGHTS))
    return (
        (round(RENDER_HEIGHT * aspect), RENDER_HEIGHT)
        if aspect >= 1
        else (RENDER_HEIGHT, round(RENDER_HEIGHT / aspect))
    )


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return a smooth random picture, float [h, w, 3]: a few colours blended over a coarse grid, some with grain."""
    cells = int(rng.integers(2, 9))
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    smooth: np.ndarray = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float32)
    strength = rng.uniform(0.2, 1.0)
    smooth = smooth * strength + rng.uniform(0, 255, 3) * (1 - strength)
    if rng.random() < 0.4:
        smooth = smooth + rng.normal(0, rng.uniform(4, 25), (*smooth.shape[:2], 1))
    return smooth


def scene(rng: np.random.Generator, frames: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Yield `frames` RGB pictures of one scene: a panning background with things that move across it.

    Its shapes and plain rectangles are not cards: nothing is written on them and no shape stands on a plate.
    """
    width, height = size
    margin = 1.5
    background = Image.fromarray(
        np.clip(_texture(rng, (round(width * margin), round(height * margin))), 0, 255).astype(np.uint8)
    )
    pan = rng.uniform(0, margin - 1, 2), rng.uniform(0, margin - 1, 2)
    things = [_thing(rng) for _ in range(int(rng.integers(0, 7)))]
    for index in range(frames):
        t = index / max(1, frames - 1)
        x, y = (pan[0] * (1 - t) + pan[1] * t) * (width, height)
        picture = background.crop((int(x), int(y), int(x) + width, int(y) + height))
        draw = ImageDraw.Draw(picture)
        for thing in things:
            _draw_thing(draw, thing, t, (width, height))
        yield picture


def _thing(rng: np.random.Generator) -> dict[str, object]:
    return {
        "form": str(rng.choice([*SHAPES, "rectangle", "line", "ellipse"])),
        "start": rng.uniform(-0.2, 1.2, 2),
        "stop": rng.uniform(-0.2, 1.2, 2),
        "size": rng.uniform(0.03, 0.3, 2),
        "colour": tuple(int(v) for v in rng.integers(0, 256, 3)),
    }


def _draw_thing(draw: ImageDraw.ImageDraw, thing: dict, t: float, size: tuple[int, int]) -> None:
    x, y = (thing["start"] * (1 - t) + thing["stop"] * t) * size
    half_w, half_h = thing["size"] * size / 2
    if thing["form"] in ("rectangle", "ellipse"):
        method = draw.rectangle if thing["form"] == "rectangle" else draw.ellipse
        method((x - half_w, y - half_h, x + half_w, y + half_h), fill=thing["colour"])
    elif thing["form"] == "line":
        draw.line((x - half_w, y - half_h, x + half_w, y + half_h), fill=thing["colour"], width=max(1, int(half_h / 4)))
    else:
        draw_shape(draw, thing["form"], (x, y), min(half_w, half_h), thing["colour"])


def footage(folder: Path, per_clip: int = 300, size: int = RENDER_HEIGHT) -> list[np.ndarray]:
    """Return the frames of every clip in a folder, in order: uint8 [t, h, w, 3] each, `size` pixels high or wide.

    Files that are not videos are skipped.
    """
    clips = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            video = Video(path)
            plan = video.sample(max_frames=per_clip)
            clips.append(np.concatenate([chunk.frames for chunk in video.read(plan, size=size)]))
        except VideoError:
            continue
    return clips


def crop(frame: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Return a random part of a frame, at least 60 % of each side, flipped half of the time."""
    height, width = frame.shape[:2]
    part = rng.uniform(0.6, 1.0)
    h, w = math.ceil(height * part), math.ceil(width * part)
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    picture = Image.fromarray(frame[top : top + h, left : left + w])
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else picture
