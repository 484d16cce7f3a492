#!/usr/bin/env python3
"""Render the bundled needle set: cards with a word, a number or a shape, and what is asked about them.

    python scripts/make_needles.py [FOLDER]

Words are such as videoxl-nano has never been trained on, numbers and colours are drawn with a seed; nothing was chosen
by how well a model does on it. Fonts: the one that comes with Pillow.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from videoxl.files import atomic_write
from videoxl.nano.evaluation.footage import WORDS
from videoxl.nano.tokenizer import build_tokenizer
from videoxl.tasks.needle.cards import KINDS, SHAPES, Card, plain_card, random_card

_SEED = 2026
_EACH = 5  # needles of a kind
_QUESTIONS = {
    "word": "What word is written on the card?",
    "number": "What number is shown on the card?",
    "shape": "What shape is on the card?",
}


def cards(rng: np.random.Generator) -> list[Card]:
    """Return the cards, each with a text of its own."""
    vocabulary = build_tokenizer().get_vocab()  # a word that is one token need not be spelled out
    texts = {
        "word": [word for word in rng.permutation(WORDS) if word not in vocabulary],
        "number": [str(number) for number in rng.permutation(np.arange(10, 10_000))],
        "shape": list(rng.permutation(SHAPES)),
    }
    drawn = []
    for number in range(_EACH):
        for kind in KINDS:
            look = random_card(rng, kind)
            drawn.append(Card(kind, str(texts[kind][number]), look.colour, look.ink))
    return drawn


def main() -> None:
    """Write the pictures and `needles.jsonl`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("assets/needles"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(_SEED)
    drawn = cards(rng)
    lines = []
    for card in drawn:
        others = [other.text for other in drawn if other.kind == card.kind and other.text != card.text]
        options = [str(text) for text in rng.permutation([card.text, *rng.choice(others, 3, replace=False)])]
        name = f"{card.kind}-{card.text}.png"
        with atomic_write(folder / name) as file:
            plain_card(card).quantize(64).save(file, "PNG", optimize=True)
        needle = {"image": name, "question": _QUESTIONS[card.kind], "answer": card.text, "options": options}
        lines.append(json.dumps(needle))
    with atomic_write(folder / "needles.jsonl") as file:
        file.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
