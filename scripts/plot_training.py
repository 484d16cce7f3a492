#!/usr/bin/env python3
"""Draw a training run's log: the share of right answers by family, step by step.

python scripts/plot_training.py RUN/log.jsonl OUT.png
"""

import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FAMILIES = ("accuracy", "word", "describe", "count", "certain", "after", "order", "presence")
COLOURS = ("black", "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf")
SIZE, LEFT, RIGHT, TOP, BOTTOM = (1000, 560), 60, 830, 30, 510  # pixels


def smooth(values: list[float], width: int = 3) -> list[float]:
    """Return the mean of each value and up to `width` before it."""
    parts = [values[max(0, i - width) : i + 1] for i in range(len(values))]
    return [sum(part) / len(part) for part in parts]


def main() -> None:
    """Read the log and write the picture."""
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    by_step = {line["step"]: line for line in lines if line["stage"] == "memory"}  # a resumed run repeats some
    lines = [by_step[step] for step in sorted(by_step)]
    last = lines[-1]["step"]
    picture = Image.new("RGB", SIZE, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)

    def place(step: float, share: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * step / last, BOTTOM - (BOTTOM - TOP) * share

    for tenth in range(0, 11, 2):
        draw.line([place(0, tenth / 10), place(last, tenth / 10)], fill="#dddddd")
        draw.text((LEFT - 8, place(0, tenth / 10)[1]), f"{tenth / 10:.1f}", "black", font, "rm")
    for step in range(0, last + 1, 500):
        draw.text((place(step, 0)[0], BOTTOM + 8), str(step), "black", font, "mt")
    minutes = lines[-1]["seconds"] / 60
    draw.text(
        (LEFT, 6), f"share of fully right answers in training, {last} steps, {minutes:.1f} minutes", "black", font
    )
    for row, (family, colour) in enumerate(zip(FAMILIES, COLOURS, strict=True)):
        seen = [line for line in lines if family in line]
        shares = smooth([line[family] for line in seen])
        points = [place(line["step"], share) for line, share in zip(seen, shares, strict=True)]
        draw.line(points, fill=colour, width=3 if family == "accuracy" else 2, joint="curve")
        name = "all" if family == "accuracy" else family
        draw.text((RIGHT + 15, TOP + 24 * row), f"{name} {shares[-1]:.2f}", colour, font)
    picture.save(sys.argv[2], optimize=True)


if __name__ == "__main__":
    main()
