"""Draw `docs/images/how-it-works.svg`: frames, visual tokens and VSTs in windows, the memory, question and answer.

python scripts/draw_how_it_works.py [--out docs/images/how-it-works.svg]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

ROOT = Path(__file__).resolve().parents[1]
INK, PALE, EDGE = "#24292f", "#f6f8fa", "#8c959f"
WINDOWS = ("#a8d1ff", "#b4e6c0", "#ffd8a8")  # of frames and their visual tokens
VST, PREFIX, TEXT = "#cf222e", "#d0d7de", "#d8b9ff"
FRAMES, TOKENS, RATIO = 2, 4, 4  # in a window; in a frame; visual tokens to a VST
LEFT, WIDTH, GAP = 1.55, 3.1, 0.25  # of the first window, of each, between two
CELL = WIDTH / (FRAMES * TOKENS * (RATIO + 1) / RATIO)


def box(axes: Axes, x: float, y: float, width: float, height: float, colour: str, text: str = "") -> None:
    """Draw a box with round corners."""
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour, edgecolor=EDGE, lw=0.8))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9, color=INK)


def cell(axes: Axes, x: float, y: float, colour: str) -> None:
    """Draw a token or a slot."""
    axes.add_patch(Rectangle((x, y), 0.8 * CELL, 0.8 * CELL, facecolor=colour, edgecolor=EDGE, lw=0.6))


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0) -> None:
    """Draw an arrow from one point to another."""
    style = f"arc3,rad={bend}"
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=EDGE, connectionstyle=style))


def label(axes: Axes, y: float, name: str, about: str = "") -> None:
    """Name a row, on its left."""
    axes.text(-0.1, y + 0.11, name, fontsize=9.5, weight="bold", color=INK, va="center")
    axes.text(-0.1, y - 0.13, about, fontsize=7.5, color="#57606a", va="center")


def window(axes: Axes, number: int) -> float:
    """Draw a window's frames and tokens, and return where its middle is."""
    x, colour = LEFT + number * (WIDTH + GAP), WINDOWS[number]
    size = WIDTH / FRAMES
    for frame in range(FRAMES):
        box(axes, x + frame * size + 0.05, 4.75, size - 0.1, 0.62, colour, f"frame {number * FRAMES + frame + 1}")
        arrow(axes, (x + (frame + 0.5) * size, 4.72), (x + (frame + 0.5) * size, 4.33))
    at = x
    for token in range(FRAMES * TOKENS):
        cell(axes, at, 4.0, colour)
        at += CELL
        if (token + 1) % RATIO == 0:
            cell(axes, at, 4.0, VST)
            at += CELL
    arrow(axes, (x + WIDTH / 2, 3.93), (x + WIDTH / 2, 3.52))
    return x + WIDTH / 2


def draw(out: Path) -> None:
    """Draw the figure into a file."""
    plt.rcParams |= {"svg.hashsalt": "videoxl", "svg.fonttype": "path", "font.family": "DejaVu Sans"}
    figure, axes = plt.subplots(figsize=(11.4, 5.5))
    middles = [window(axes, number) for number in range(len(WINDOWS))]
    right = LEFT + len(WINDOWS) * (WIDTH + GAP) - GAP
    label(axes, 5.06, "Frames", "of the video")
    label(axes, 4.12, "Visual tokens", "and VSTs, in windows")
    label(axes, 3.2, "Language model", "one window at a time")
    box(axes, LEFT, 2.95, right - LEFT, 0.55, PALE, "")
    for number, middle in enumerate(middles):
        axes.text(middle, 3.225, f"window {number + 1}", ha="center", va="center", fontsize=9, color=INK)

    memory_y, slots = 1.95, FRAMES * TOKENS // RATIO
    label(axes, memory_y + 0.12, "Visual memory", "keys and values of VSTs")
    at, places = LEFT, []
    for _ in range(3):
        cell(axes, at, memory_y, PREFIX)
        at += CELL
    axes.text(LEFT + 1.4 * CELL, memory_y - 0.17, "prompt", fontsize=7.5, ha="center", color="#57606a")
    for number, middle in enumerate(middles):
        arrow(axes, (middle, 2.93), (at + slots * CELL / 2, memory_y + CELL * 0.85), 0.0)
        for _ in range(slots):
            cell(axes, at, memory_y, VST)
            axes.add_patch(Rectangle((at, memory_y - 0.09), 0.8 * CELL, 0.06, facecolor=WINDOWS[number]))
            places.append(at + 0.4 * CELL)
            at += CELL
    end = at
    box(axes, 7.3, memory_y - 0.12, right - 7.3, 0.5, PALE, "a later window reads the slots of those before it")
    arrow(axes, (7.25, memory_y + 0.13), (end + 0.12, memory_y + 0.13))

    label(axes, 0.62, "Question", "any number of them")
    box(axes, LEFT, 0.38, 3.1, 0.5, TEXT, "What word is on the card?")
    box(axes, LEFT + 4.0, 0.38, 1.6, 0.5, TEXT, "winter")
    box(axes, LEFT + 6.5, 0.38, right - LEFT - 6.5, 0.5, WINDOWS[1], "evidence: 1:17 to 1:19")
    arrow(axes, (LEFT + 3.15, 0.63), (LEFT + 3.95, 0.63))
    arrow(axes, (LEFT + 5.65, 0.63), (LEFT + 6.45, 0.63))
    for place in places:
        bold = place in places[slots : 2 * slots]
        axes.plot([place, LEFT + 4.8], [memory_y - 0.1, 0.9], color=VST if bold else EDGE, lw=1.6 if bold else 0.5)
    axes.text(LEFT + 5.2, 1.15, "attention of the answer to the memory", fontsize=7.5, color="#57606a")

    axes.set(xlim=(-0.15, right + 0.1), ylim=(0.2, 5.5), aspect="auto")
    axes.axis("off")
    cell(axes, 7.3, 1.5, VST)
    axes.text(
        7.65, 1.61, f"VST: one after every {RATIO} visual tokens (ratio {RATIO})", fontsize=8, va="center", color=INK
    )
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99)
    figure.savefig(out, metadata={"Date": None}, facecolor="white")


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description="Draw the figure of docs/how-it-works.md.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "how-it-works.svg")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
