"""A pool of rendered pictures with labels, on disk: what the vision tower learns to read.

Rendering costs a few milliseconds a picture, so the pool is made once by several processes and mapped into memory.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from videoxl.errors import RunError
from videoxl.tasks.needle.cards import (
    COLOURS,
    KINDS,
    LETTERS,
    MAX_LETTERS,
    SHAPES,
    Card,
    Glyph,
    draw_card,
    random_card,
    random_layout,
    weather,
)
from videoxl.tasks.needle.scenes import crop, random_size, scene

CHARACTERS = LETTERS + "0123456789"  # label 0 means no character
NO_LABEL = 255
_WORLD = 2  # raise it when pictures of the same configuration come out differently
_CHUNK = 500  # pictures a task of the worker processes


@dataclass(frozen=True)
class PoolConfig:
    """What a pool is made of. `grid` is the number of label cells along each side of the square picture."""

    size: int
    grid: int
    count: int
    card_share: float = 0.85
    footage_share: float = 0.5
    held_out: bool = False
    seed: int = 0


@dataclass(frozen=True)
class PicturePool:
    """Memory-mapped arrays of one pool.

    images uint8 [n, size, size, 3]; kind, colour, ink, shape uint8 [n]; characters uint8 [n, 8] (0 after the end);
    patch_character, patch_index uint8 [n, grid * grid]. `kind` is 0 without a card, else 1 + index in `KINDS`;
    colour, ink and shape are indices into `COLOURS` and `SHAPES`, `NO_LABEL` where there is none.
    """

    images: np.ndarray
    kind: np.ndarray
    colour: np.ndarray
    ink: np.ndarray
    shape: np.ndarray
    characters: np.ndarray
    patch_character: np.ndarray
    patch_index: np.ndarray

    def card(self, index: int) -> Card | None:
        """Return the card of one picture, or None."""
        if self.kind[index] == 0:
            return None
        kind = KINDS[self.kind[index] - 1]
        spelled = "".join(CHARACTERS[c - 1] for c in self.characters[index] if c)
        text = SHAPES[self.shape[index]] if kind == "shape" else spelled
        names = list(COLOURS)
        return Card(kind, text, names[self.colour[index]], names[self.ink[index]])


def _fields(config: PoolConfig) -> dict[str, tuple[int, ...]]:
    patches = config.grid * config.grid
    return {
        "images": (config.count, config.size, config.size, 3),
        **{name: (config.count,) for name in ("kind", "colour", "ink", "shape")},
        "characters": (config.count, MAX_LETTERS),
        "patch_character": (config.count, patches),
        "patch_index": (config.count, patches),
    }


def background(rng: np.random.Generator, clips: list[np.ndarray], footage_share: float) -> Image.Image:
    """Return one picture of the haystack: a part of a frame of some clip, or a rendered scene."""
    if clips and rng.random() < footage_share:
        clip = clips[int(rng.integers(len(clips)))]
        return crop(clip[int(rng.integers(len(clip)))], rng)
    return next(scene(rng, 1, random_size(rng)))


def squash(picture: Image.Image, size: int) -> np.ndarray:
    """Return the picture as the model sees it, squeezed to a square: uint8 [size, size, 3]."""
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))


def render(
    rng: np.random.Generator, config: PoolConfig, clips: list[np.ndarray]
) -> tuple[np.ndarray, Card | None, list[Glyph]]:
    """Return one labelled picture: uint8 [size, size, 3], its card and where the characters stand."""
    picture = background(rng, clips, config.footage_share)
    card: Card | None = None
    glyphs: list[Glyph] = []
    if rng.random() < config.card_share:
        card = random_card(rng, str(rng.choice(KINDS, p=(0.66, 0.17, 0.17))), config.held_out)
        picture, glyphs = draw_card(card, random_layout(rng, card, config.held_out), picture)
    return squash(weather(picture, rng), config.size), card, glyphs


def _patch_labels(glyphs: list[Glyph], grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Return character and letter index of every patch whose centre lies on a character, uint8 [grid * grid] each."""
    characters = np.zeros((grid, grid), np.uint8)
    indices = np.zeros((grid, grid), np.uint8)
    for glyph in glyphs:
        x0, y0, x1, y1 = (int(np.clip(np.ceil(edge * grid - 0.5), 0, grid)) for edge in glyph.box)
        characters[y0:y1, x0:x1] = 1 + CHARACTERS.index(glyph.character)
        indices[y0:y1, x0:x1] = 1 + glyph.index
    return characters.ravel(), indices.ravel()


def _render_chunk(folder: Path, config: PoolConfig, clips_file: Path | None, start: int) -> None:
    rng = np.random.default_rng((config.seed, int(config.held_out), start))
    clips = list(np.load(clips_file, allow_pickle=True)) if clips_file else []
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in _fields(config)}
    colours = list(COLOURS)
    for index in range(start, min(start + _CHUNK, config.count)):
        image, card, glyphs = render(rng, config, clips)
        arrays["images"][index] = image
        arrays["patch_character"][index], arrays["patch_index"][index] = _patch_labels(glyphs, config.grid)
        for name in ("colour", "ink", "shape"):
            arrays[name][index] = NO_LABEL
        if card:
            arrays["kind"][index] = 1 + KINDS.index(card.kind)
            arrays["colour"][index] = colours.index(card.colour)
            arrays["ink"][index] = colours.index(card.ink)
            if card.kind == "shape":
                arrays["shape"][index] = SHAPES.index(card.text)
            else:
                arrays["characters"][index, : len(card.text)] = [1 + CHARACTERS.index(c) for c in card.text]


def make_pool(folder: Path, config: PoolConfig, clips: list[np.ndarray], workers: int = 1) -> PicturePool:
    """Render a pool into `folder`, or open the one that is there already.

    Raises:
        RunError: the folder holds a pool of another configuration, or of an older world. Clips are not compared.
    """
    done, description = folder / "done", json.dumps({"world": _WORLD, **asdict(config)}, sort_keys=True)
    if done.exists() and done.read_text() != description:
        raise RunError(
            f"{folder}: holds other pictures than this run needs ({done.read_text()}, not {description})",
            "Give another folder, or remove this one.",
        )
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name, shape in _fields(config).items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape).flush()
        clips_file = folder / "clips.npy" if clips else None
        if clips_file:
            boxed = np.empty(len(clips), object)
            boxed[:] = clips
            np.save(clips_file, boxed, allow_pickle=True)
        starts = range(0, config.count, _CHUNK)
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(_render_chunk, *zip(*((folder, config, clips_file, start) for start in starts), strict=True)))
        done.write_text(description)
    return PicturePool(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _fields(config)})
