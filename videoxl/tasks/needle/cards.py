"""The synthetic world of videoxl-nano: cards with a word, a number or a shape, drawn over any picture.

A *card* says what there is to know (and so what can be asked); a *layout* says how it looks. Both are drawn at random
from a `numpy` generator, so that the same seed gives the same pictures. Words, fonts and plate styles of the
evaluation are kept out of training: see `random_word`, `find_fonts` and `STYLES`.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

RGB = tuple[int, int, int]

# Several anchors a name: what people and drawing programs call by that name differs a lot.
COLOURS: dict[str, tuple[RGB, ...]] = {
    "red": ((255, 0, 0), (220, 20, 30), (200, 30, 30), (229, 57, 53)),
    "orange": ((255, 165, 0), (255, 140, 0), (245, 124, 0), (251, 140, 0)),
    "yellow": ((255, 255, 0), (255, 235, 59), (250, 220, 30), (255, 225, 0)),
    "green": ((0, 128, 0), (0, 200, 0), (0, 255, 0), (67, 160, 71), (34, 139, 34), (30, 100, 40)),
    "blue": ((0, 0, 255), (30, 60, 200), (33, 110, 230), (65, 105, 225), (0, 0, 139), (50, 140, 250)),
    "purple": ((128, 0, 128), (106, 27, 154), (142, 68, 173), (128, 40, 200), (85, 25, 140)),
    "pink": ((255, 192, 203), (255, 105, 180), (255, 150, 190), (244, 143, 177)),
    "brown": ((165, 42, 42), (121, 85, 72), (139, 69, 19), (101, 67, 33), (93, 64, 55)),
    "black": ((0, 0, 0), (20, 20, 20), (33, 33, 33)),
    "white": ((255, 255, 255), (245, 245, 245), (250, 250, 240)),
    "grey": ((128, 128, 128), (158, 158, 158), (110, 110, 110), (169, 169, 169)),
}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "pentagon", "hexagon", "heart", "cross")
KINDS = ("word", "number", "shape")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# How far from the plate's edge each line of a style runs, in widths of the line, and along which sides.
_LINES: dict[str, tuple[tuple[int, str], ...]] = {
    "plain": (),
    "rounded": (),
    "shadow": ((0, "rb"),),
    "border": ((1, "ltrb"),),
    "inset": ((3, "ltrb"),),
    "bars": ((2, "tb"),),
    "sides": ((2, "lr"),),
    "corner": ((1, "lt"), (3, "lt")),
    "double": ((1, "ltrb"), (3, "ltrb")),
}
STYLES = tuple(_LINES)
HELD_OUT_STYLE = "double"  # two frame lines, one inside the other: seen in evaluation only
MAX_LETTERS = 8

_FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
# Starts of the names of text fonts: an allow-list, because font folders also hold symbols and other scripts.
_TEXT_FONTS = """
    Arial Helvetica Verdana Georgia Times Courier Tahoma Trebuchet Calibri Segoe
    DejaVuSans DejaVuSerif Liberation FreeSans FreeSerif FreeMono Roboto OpenSans Lato Carlito Caladea ComicNeue
    Cantarell Inter NotoSans- NotoSerif- NotoSansDisplay- NotoSerifDisplay- NotoSansMono- NotoMono
    NimbusSans NimbusRoman NimbusMono C059 P052 URWBookman URWGothic Hack FiraCode JetBrainsMono Go- Cabin Quicksand
    ClearSans Gillius Switzera Verana Universalis Baskervald Romande TribunADF Libris allerta B612 BebasNeue Dosis
    EBGaramond12 FantasqueSans Inconsolata Junction Karla- LeagueSpartan LinLibertine_R LinBiolinum_R Manrope
    NationalPark Oxygen PTS PTF PTC PTM Play Quattrocento RobotoSlab Andika CharisSIL GenBas Sora STIX- STIXGeneral
    tuffy Tuffy Vollkorn Yanone Jura OldStandard GoudyBook Comfortaa AveriaSans Monoid- mononoki
"""
_FONT_FAMILIES = tuple(_TEXT_FONTS.split())
_WORD_LISTS = ("/usr/share/dict/words", "/usr/dict/words")
_UNREADABLE = ("Thin", "Hairline", "Light", "Math", "Black", "Heavy", "Script", "Style", "Smallcaps")


@dataclass(frozen=True)
class Card:
    """What a card shows. `text` is the word, the digits, or the name of the shape; colours are keys of `COLOURS`."""

    kind: str
    text: str
    colour: str
    ink: str


@dataclass(frozen=True)
class Layout:
    """How a card looks. Sizes are fractions of the frame, the rotation is in degrees."""

    area: float  # of the frame, 1.0 = the card is the whole frame
    aspect: float  # width / height of the plate
    centre: tuple[float, float]
    rotation: float
    style: str
    line: float  # width of the style's lines, a fraction of the plate's shorter side
    font: str  # a font file, or "" for the font that comes with Pillow
    fill: float  # how much of the plate's width the ink takes, at most
    case: str  # "upper", "lower" or "title"
    card_rgb: RGB
    ink_rgb: RGB


@dataclass(frozen=True)
class Glyph:
    """One character as drawn: `box` is (x0, y0, x1, y1) in fractions of the frame."""

    character: str
    index: int
    box: tuple[float, float, float, float]


@lru_cache
def find_fonts(held_out: bool = False) -> tuple[str, ...]:
    """Return the readable Latin fonts of this machine, split by a hash of the name into training and evaluation."""
    by_stem = {  # one file for each name: some fonts come in several formats
        path.stem: str(path)
        for folder in _FONT_FOLDERS
        for path in sorted(Path(folder).rglob("*.[to]tf"))
        if path.name.startswith(_FONT_FAMILIES) and not any(word in path.name for word in _UNREADABLE)
    }
    files = sorted(by_stem.values())
    chosen = tuple(file for file in files if (zlib.crc32(Path(file).stem.encode()) % 6 == 0) == held_out)
    return chosen if held_out and chosen else ("", *chosen)


@lru_cache(maxsize=4096)
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    if file:
        return ImageFont.truetype(file, size)
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@lru_cache
def find_words() -> tuple[str, ...]:
    """Return the plain words of 3 to 8 letters in this machine's word list; none if it has no such list."""
    for path in map(Path, _WORD_LISTS):
        if path.exists():
            lines = path.read_text(encoding="utf-8").split()
            return tuple(word for word in lines if 3 <= len(word) <= MAX_LETTERS and set(word) <= set(LETTERS))
    return ()


def is_held_out(word: str) -> bool:
    """Return whether a word belongs to evaluation: one in eight, by hash, so that new words fall on either side too."""
    return zlib.crc32(word.encode()) % 8 == 0


def random_word(rng: np.random.Generator, held_out: bool = False) -> str:
    """Return 3 to 8 letters: real words where the machine has a list of them, pronounceable ones, any letters."""
    real = find_words()
    while True:
        if real and rng.random() < 0.6:
            word = real[int(rng.integers(len(real)))]
            if is_held_out(word) == held_out:
                return word
            continue
        length = int(rng.choice([3, 4, 5, 6, 7, 8], p=[0.18, 0.22, 0.22, 0.22, 0.1, 0.06]))
        if rng.random() < 0.5:
            word = "".join(rng.choice(list(LETTERS), length))
        else:
            parity = int(rng.integers(2))
            word = "".join(
                rng.choice(list("aeiouy" if (i + parity) % 2 else "bcdfghjklmnpqrstvwxz")) for i in range(length)
            )
        if is_held_out(word) == held_out:
            return word


def _contrast(a: RGB, b: RGB) -> float:
    return math.dist(a, b) + 2 * abs(np.dot(a, (0.299, 0.587, 0.114)) - np.dot(b, (0.299, 0.587, 0.114)))


def _shade(rng: np.random.Generator, name: str) -> RGB:
    anchors = COLOURS[name]
    anchor = np.array(anchors[int(rng.integers(len(anchors)))])
    red, green, blue = np.clip(anchor + rng.integers(-10, 11, 3), 0, 255)
    return int(red), int(green), int(blue)


def random_card(rng: np.random.Generator, kind: str | None = None, held_out: bool = False) -> Card:
    """Return a card of one kind (any, when `kind` is None) with two different colours."""
    kind = kind or str(rng.choice(KINDS))
    if kind == "word":
        text = random_word(rng, held_out)
    elif kind == "number":
        text = str(int(rng.integers(0, 10 ** int(rng.integers(1, 5)))))
    else:
        text = str(rng.choice(SHAPES))
    names = list(COLOURS)
    # Printed cards are mostly white with dark ink: give those a share beside the free choice.
    if rng.random() < 0.25:
        colour, ink = ("white", "black") if rng.random() < 0.7 else ("black", "white")
    else:
        colour, ink = (str(name) for name in rng.choice(names, 2, replace=False))
    return Card(kind, text, colour, ink)


def random_layout(rng: np.random.Generator, card: Card, held_out: bool = False) -> Layout:
    """Return a layout: a fifth of the frame to the whole frame, with ink that can be told from the plate."""
    full = rng.random() < 0.2
    while True:
        card_rgb, ink_rgb = _shade(rng, card.colour), _shade(rng, card.ink)
        if _contrast(card_rgb, ink_rgb) > 110:
            break
    fonts = find_fonts(held_out)
    return Layout(
        area=1.0 if full else float(rng.uniform(0.45, 0.98) ** 2),
        aspect=float(np.exp(rng.uniform(-0.35, 0.35))),
        centre=(float(rng.uniform(0, 1)), float(rng.uniform(0, 1))),
        rotation=0.0 if full or rng.random() < 0.6 else float(rng.uniform(-9, 9)),
        style=HELD_OUT_STYLE if held_out else str(rng.choice([style for style in STYLES if style != HELD_OUT_STYLE])),
        line=float(rng.uniform(0.012, 0.035)),
        font="" if not held_out and rng.random() < 0.08 else fonts[int(rng.integers(len(fonts)))],
        fill=float(rng.uniform(0.6, 0.92)),
        case=str(rng.choice(["upper", "lower", "title"], p=[0.6, 0.22, 0.18])),
        card_rgb=card_rgb,
        ink_rgb=ink_rgb,
    )


def draw_card(card: Card, layout: Layout, frame: Image.Image) -> tuple[Image.Image, list[Glyph]]:
    """Return the frame with the card on it, and where each character stands (none for shapes).

    Args:
        frame: RGB picture of any size; it is not changed.
    """
    width, height = frame.size
    plate_w = min(width, max(8, round(math.sqrt(layout.area * layout.aspect) * width)))
    plate_h = min(height, max(8, round(layout.area * width * height / plate_w)))
    plate, glyphs = _draw_plate(card, layout, (plate_w, plate_h))
    left = round((width - plate_w) * layout.centre[0])
    top = round((height - plate_h) * layout.centre[1])
    centre = (left + plate_w / 2, top + plate_h / 2)
    if layout.rotation:
        plate = plate.rotate(layout.rotation, Image.Resampling.BICUBIC, expand=True)
    out = frame.copy()
    out.paste(plate, (round(centre[0] - plate.width / 2), round(centre[1] - plate.height / 2)), plate)
    turn = math.radians(-layout.rotation)
    placed = []
    for glyph in glyphs:
        x0, y0, x1, y1 = glyph.box
        dx, dy = (x0 + x1 - plate_w) / 2, (y0 + y1 - plate_h) / 2
        x = centre[0] + dx * math.cos(turn) - dy * math.sin(turn)
        y = centre[1] + dx * math.sin(turn) + dy * math.cos(turn)
        half_w, half_h = (x1 - x0) / 2, (y1 - y0) / 2
        box = ((x - half_w) / width, (y - half_h) / height, (x + half_w) / width, (y + half_h) / height)
        placed.append(Glyph(glyph.character, glyph.index, box))
    return out, placed


def _draw_plate(card: Card, layout: Layout, size: tuple[int, int]) -> tuple[Image.Image, list[Glyph]]:
    width, height = size
    plate = Image.new("RGBA", size, (*layout.card_rgb, 0))
    draw = ImageDraw.Draw(plate)
    radius = round(min(size) * 0.15) if layout.style == "rounded" else 0
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius, fill=(*layout.card_rgb, 255))
    line = max(1, round(min(size) * layout.line))
    ink = tuple(int(value * 0.6) for value in layout.card_rgb) if layout.style == "shadow" else layout.ink_rgb
    for distance, sides in _LINES[layout.style]:
        inset = distance * line
        x0, y0, x1, y1 = inset, inset, width - 1 - inset, height - 1 - inset
        edges = {
            "l": (x0, y0, x0 + line - 1, y1),
            "t": (x0, y0, x1, y0 + line - 1),
            "r": (x1 - line + 1, y0, x1, y1),
            "b": (x0, y1 - line + 1, x1, y1),
        }
        for side in sides:
            draw.rectangle(edges[side], fill=(*ink, 255))
    if card.kind == "shape":
        radius_px = min(size) * 0.46 * layout.fill
        draw_shape(draw, card.text, (width / 2, height / 2), radius_px, (*layout.ink_rgb, 255))
        return plate, []
    lines = _LINES[layout.style]
    margin = line * (2 + max(distance for distance, _ in lines)) if lines else 0  # the innermost line and a gap
    return plate, _draw_text(draw, _cased(card.text, layout.case), layout, size, margin)


def _cased(text: str, case: str) -> str:
    return text.upper() if case == "upper" else text.title() if case == "title" else text


def _draw_text(draw: ImageDraw.ImageDraw, text: str, layout: Layout, size: tuple[int, int], margin: int) -> list[Glyph]:
    width, height = size
    x0, y0, x1, y1 = _font(layout.font, 100).getbbox(text)
    room_x, room_y = min(layout.fill * width, width - 2 * margin), min(0.75 * height, height - 2 * margin)
    scale = min(room_x / (x1 - x0), room_y / (y1 - y0))
    font = _font(layout.font, max(6, int(100 * scale)))
    x0, y0, x1, y1 = font.getbbox(text)
    left, top = (width - (x1 - x0)) / 2 - x0, (height - (y1 - y0)) / 2 - y0
    draw.text((left, top), text, font=font, fill=(*layout.ink_rgb, 255))
    glyphs = []
    for index, character in enumerate(text):
        start, stop = font.getlength(text[:index]), font.getlength(text[: index + 1])
        glyphs.append(Glyph(character.lower(), index, (left + start, top + y0, left + stop, top + y1)))
    return glyphs


def draw_shape(
    draw: ImageDraw.ImageDraw, shape: str, centre: tuple[float, float], radius: float, fill: tuple[int, ...]
) -> None:
    """Draw one of `SHAPES` around `centre` (pixels) within `radius` pixels."""
    x, y = centre
    if shape == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    elif shape == "heart":
        points = [(x + radius * px, y + radius * py) for px, py in _heart()]
        draw.polygon(points, fill=fill)
    elif shape == "cross":
        arm = radius * 0.35
        draw.rectangle((x - radius, y - arm, x + radius, y + arm), fill=fill)
        draw.rectangle((x - arm, y - radius, x + arm, y + radius), fill=fill)
    else:
        draw.polygon([(x + radius * px, y + radius * py) for px, py in _polygon(shape)], fill=fill)


@lru_cache
def _heart() -> Sequence[tuple[float, float]]:
    turns = np.linspace(0, 2 * math.pi, 40)
    down = 13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)
    return list(zip(np.sin(turns) ** 3, -down / 16, strict=True))


@lru_cache
def _polygon(shape: str) -> Sequence[tuple[float, float]]:
    if shape == "square":
        return ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85))
    if shape == "star":
        turns = [-math.pi / 2 + i * math.pi / 5 for i in range(10)]
        return [(math.cos(t) * (1.0, 0.42)[i % 2], math.sin(t) * (1.0, 0.42)[i % 2]) for i, t in enumerate(turns)]
    sides = {"triangle": 3, "diamond": 4, "pentagon": 5, "hexagon": 6}[shape]
    return [
        (math.cos(-math.pi / 2 + i * 2 * math.pi / sides), math.sin(-math.pi / 2 + i * 2 * math.pi / sides))
        for i in range(sides)
    ]


def weather(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture as a camera and a codec would leave it: brightness, contrast, blur, noise, JPEG blocks."""
    if rng.random() < 0.5:
        image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.8, 1.15)))
        image = ImageEnhance.Contrast(image).enhance(float(rng.uniform(0.8, 1.15)))
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.7))))
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(2, 8), (image.height, image.width, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.4:
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(35, 95)))
        image = Image.open(buffer).convert("RGB")
    return image


def plain_card(card: Card, size: int = 336) -> Image.Image:
    """Return a card as large as the frame, RGB [size, size], in Pillow's own font: the same everywhere."""
    shades = (tuple(COLOURS[name][0]) for name in (card.colour, card.ink))
    card_rgb, ink_rgb = ((int(r), int(g), int(b)) for r, g, b in shades)
    layout = Layout(1.0, 1.0, (0.5, 0.5), 0.0, "border", 0.02, "", 0.8, "upper", card_rgb, ink_rgb)
    return draw_card(card, layout, Image.new("RGB", (size, size)))[0]
