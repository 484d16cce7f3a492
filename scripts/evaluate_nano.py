#!/usr/bin/env python3
"""Measure what a model can answer about one card in real footage, from its condensed memory alone.

    python scripts/evaluate_nano.py CLIPS [--model videoxl-nano] [--trials 40] [--long 10] [--seed 1]

CLIPS is a folder of videos. Each trial takes one clip, or several joined, samples 16 to 256 frames, inserts one frame
with a card at a random place, condenses at ratio 16 and asks. Words, fonts and plate styles are held out of training;
half of the words are English, half random or merely pronounceable letters. Each question is asked in a phrasing of the
training and in one that training never shows. Controls count how often the card's answer is still given to the first
with the card's frame left out, and with the memory's VSTs zeroed. `--long` trials of 1024 frames follow for
each depth of 0, 25, 50, 75 and 100 %; 0 leaves them out.
"""

import argparse
import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from videoxl import VideoXL, VisualMemory
from videoxl.world.cards import KINDS, Card, draw_card, find_fonts, random_card, random_layout
from videoxl.world.questions import Question, ask
from videoxl.world.scenes import footage

RATIO = 16
DEPTHS = (0, 25, 50, 75, 100)
# English words of 3 to 6 letters that `is_held_out` keeps out of training.
WORDS = (
    *("apple", "author", "boxing", "butter", "calm", "canvas", "castle", "cat", "cherry", "circus", "clown", "denim"),
    *("drill", "drum", "earth", "eraser", "field", "full", "goat", "horse", "ivory", "jade", "knife", "knight", "left"),
    *("loud", "monkey", "moon", "motor", "news", "orange", "page", "parcel", "party", "plane", "purse", "robin", "run"),
    *("shirt", "stamp", "story", "swim", "think", "tower", "virus", "wet", "winter", "zinc"),
)
FAMILIES = {
    "word": ("word", "card_colour", "presence"),
    "number": ("number", "card_colour", "presence"),
    "shape": ("shape", "shape_colour", "card_colour", "presence"),
}


def joined(rng: np.random.Generator, clips: Sequence[np.ndarray], frames: int) -> list[np.ndarray]:
    """Return `frames` pictures, evenly spaced over as many clips, joined in random order, as they take."""
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < frames:
        pieces.append(clips[int(rng.integers(len(clips)))])
    pictures = [picture for piece in pieces for picture in piece]
    return [pictures[i] for i in np.linspace(0, len(pictures) - 1, frames, dtype=int)]


def needle(rng: np.random.Generator, card: Card, background: np.ndarray) -> np.ndarray:
    """Return the picture with the card on it, in a layout that training never shows."""
    picture, _ = draw_card(card, random_layout(rng, card, held_out=True), Image.fromarray(background))
    return np.asarray(picture)


def encode(model: VideoXL, pictures: Sequence[np.ndarray]) -> torch.Tensor:
    """Return visual tokens [t, p, hidden] of pictures of several sizes."""
    tokens: list[torch.Tensor | None] = [None] * len(pictures)
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, picture in enumerate(pictures):
        by_shape[picture.shape].append(index)
    for indices in by_shape.values():
        encoded = model.encode_frames(np.stack([pictures[i] for i in indices]))
        for index, frame in zip(indices, encoded, strict=True):
            tokens[index] = frame
    return torch.stack([frame for frame in tokens if frame is not None])


def zeroed(memory: VisualMemory) -> VisualMemory:
    """Return the memory with the keys and values of its VSTs set to zero; the prefix stays."""
    keep = len(memory.prefix_ids)
    layers = tuple(
        tuple(torch.cat([t[:, :keep], torch.zeros_like(t[:, keep:])], 1) for t in pair) for pair in memory.layers
    )
    return dataclasses.replace(memory, layers=layers)  # type: ignore[arg-type]


def right(model: VideoXL, memory: VisualMemory, question: Question) -> bool:
    """Return whether the model's greedy answer is the expected one."""
    return model.ask(memory, question.text, max_new_tokens=16).text.strip().lower() == question.answer


class Tally:
    """Counts right answers by condition and family."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], list[bool]] = defaultdict(list)

    def add(self, condition: str, family: str, is_right: bool) -> None:
        """Count one answer."""
        self.counts[condition, family].append(is_right)

    def table(self, conditions: Sequence[str], families: Sequence[str]) -> str:
        """Return a Markdown table: a row per family that was asked, `right/asked (per cent)` per condition."""
        lines = ["| family | " + " | ".join(conditions) + " |", "|---|" + "---|" * len(conditions)]
        for family in families:
            if not any((condition, family) in self.counts for condition in conditions):
                continue
            cells = []
            for condition in conditions:
                answers = self.counts[condition, family]
                cells.append(f"{sum(answers)}/{len(answers)} ({sum(answers) / len(answers):.0%})" if answers else "-")
            lines.append(f"| {family} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def held_out_card(rng: np.random.Generator, kind: str, english: bool) -> Card:
    """Return a card that training never shows."""
    card = random_card(rng, kind, held_out=True)
    return dataclasses.replace(card, text=str(rng.choice(WORDS))) if kind == "word" and english else card


def name(family: str, card: Card) -> str:
    """Return the row of the table that an answer belongs to."""
    if family != "word":
        return family
    return "English word" if card.text in WORDS else "letters, 3-6" if len(card.text) <= 6 else "letters, 7-8"


def short_trials(model: VideoXL, clips: list[np.ndarray], trials: int, rng: np.random.Generator) -> Tally:
    """Run `trials` videos of 16 to 256 frames for each kind of card, with both controls."""
    tally = Tally()
    for kind in KINDS:
        for trial in range(2 * trials if kind == "word" else trials):
            pictures = joined(rng, clips, int(np.exp(rng.uniform(np.log(16), np.log(257)))))
            card = held_out_card(rng, kind, english=trial % 2 == 0)
            place = int(rng.integers(len(pictures) + 1))
            shown = needle(rng, card, pictures[min(place, len(pictures) - 1)])
            hay, pin = encode(model, pictures), encode(model, [shown])
            full = model.condense(torch.cat([hay[:place], pin, hay[place:]]), ratio=RATIO)
            memories = {"card": full, "card removed": model.condense(hay, ratio=RATIO), "VSTs zeroed": zeroed(full)}
            for family in FAMILIES[kind]:
                question = ask(rng, family, [card], kind)
                for condition, memory in memories.items():
                    tally.add(condition, name(family, card), right(model, memory, question))
                reworded = ask(rng, family, [card], kind, held_out=True)
                tally.add("new phrasing", name(family, card), right(model, full, reworded))
    return tally


def long_trials(model: VideoXL, clips: list[np.ndarray], trials: int, rng: np.random.Generator) -> Tally:
    """Run `trials` videos of 1024 frames for each kind of card and depth."""
    tally = Tally()
    hay = encode(model, joined(rng, clips, 1024))
    for kind in KINDS:
        for _ in range(trials):
            card = held_out_card(rng, kind, english=True)
            clip = clips[int(rng.integers(len(clips)))]
            pin = encode(model, [needle(rng, card, clip[int(rng.integers(len(clip)))])])
            # Presence is left out: without a video of this length that has no card, "yes" would tell nothing.
            asked = [ask(rng, family, [card], kind) for family in FAMILIES[kind] if family != "presence"]
            for depth in DEPTHS:
                place = depth * (len(hay) - 1) // 100
                memory = model.condense(torch.cat([hay[:place], pin, hay[place + 1 :]]), ratio=RATIO)
                for question in asked:
                    tally.add(f"{depth} %", name(question.family, card), right(model, memory, question))
                    tally.add(f"{depth} %", "all", tally.counts[f"{depth} %", name(question.family, card)][-1])
    return tally


def main() -> None:
    """Run the trials and print Markdown tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of real clips")
    parser.add_argument("--model", default="videoxl-nano")
    parser.add_argument("--trials", type=int, default=40, help="videos for each kind of card (default 40)")
    parser.add_argument("--long", type=int, default=10, help="videos of 1024 frames for each kind of card and depth")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    model = VideoXL.from_pretrained(args.model)
    clips, rng = footage(args.clips, per_clip=256, size=240), np.random.default_rng(args.seed)
    rows = (
        "English word",
        "letters, 3-6",
        "letters, 7-8",
        "number",
        "shape",
        "shape_colour",
        "card_colour",
        "presence",
    )
    print(f"{args.model}, ratio {RATIO}, {len(clips)} clips, {date.today()}, {model.device}, {model.dtype}")
    print(f"{sum(map(bool, find_fonts(held_out=True)))} fonts that training did not use\n")
    if args.trials:
        print("One card in 16 to 256 frames:\n")
        tally = short_trials(model, clips, args.trials, rng)
        print(tally.table(("card", "new phrasing", "card removed", "VSTs zeroed"), rows), flush=True)
    if args.long:
        print("\nOne card in 1024 frames, by depth:\n")
        print(long_trials(model, clips, args.long, rng).table([f"{depth} %" for depth in DEPTHS], (*rows, "all")))


if __name__ == "__main__":
    main()
