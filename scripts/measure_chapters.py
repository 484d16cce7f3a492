#!/usr/bin/env python3
"""Measure the chapters of rendered videos whose scenes are known: where they begin, and whether they name the cards.

    python scripts/measure_chapters.py [--model videoxl-nano] [--videos 6] [--scenes 10] [--seed 100] [--device cpu]

Each scene has 12 to 30 seconds and a card for 3 of them. As many videos again are one scene of 40 to 240 seconds, which
should be one chapter. Prints Markdown: F1 of the boundaries within 2 seconds, cards named in the chapter that they are
in, and seconds a video from its file to its row.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.errors import VideoXLError
from videoxl.nano.evaluation.descriptions import named_things
from videoxl.nano.evaluation.scene_films import CARD_SECONDS, SceneFilm, boundary_f1, random_films, write_scenes
from videoxl.nano.questions import thing
from videoxl.runs.engine import load_results
from videoxl.tasks.summarize.batch import summarize
from videoxl.tasks.summarize.inputs import Source
from videoxl.tasks.summarize.job import SummaryJob
from videoxl.tasks.summarize.prompts import load_prompts
from videoxl.tasks.tables import Count


def named(film: SceneFilm, row: dict[str, Any]) -> Count:
    """Return how many cards are named by the chapter that has their middle."""
    right = 0
    for card, begin in zip(film.cards, film.shown, strict=True):
        middle = begin + CARD_SECONDS / 2
        texts = [each["text"] for each in row["chapters"] if each["start"] <= middle < each["end"]]
        right += any(thing(card) in named_things(text) for text in texts)
    return Count(right, len(film.cards))


def main() -> None:
    """Render, summarise, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="videoxl-nano", help="name or folder (default: %(default)s)")
    parser.add_argument("--videos", type=int, default=6, help="of each kind (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=10, help="in a video (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = list(random_films(folder, args.seed, args.videos, args.scenes))
        for number in range(args.videos, 2 * args.videos):
            length = int(np.random.default_rng((args.seed, number)).integers(40, 241))
            films.append(write_scenes(folder / f"{number}.mp4", args.seed + number, [length]))
        print(f"{len(films)} videos rendered", file=sys.stderr)
        job = SummaryJob(checkpoint_folder(args.model), args.model, load_prompts(args.model))
        sources = [Source(film.path.stem, str(film.path)) for film in films]
        summarize(sources, folder / "out", job, device=args.device)
        rows = load_results(folder / "out")
    several, single = slice(0, args.videos), slice(args.videos, None)
    starts = [[chapter["start"] for chapter in row["chapters"][1:]] for row in rows]
    scores = [boundary_f1(found, film.boundaries) for found, film in zip(starts[several], films[several], strict=True)]
    cards = sum((named(film, row) for film, row in zip(films[several], rows[several], strict=True)), Count())
    kept = Count(sum(not found for found in starts[single]), args.videos)
    seconds = [row["timings"]["total"] for row in rows[several]]
    print(f"{args.model}, seed {args.seed}, {args.videos} videos of {args.scenes} scenes\n")
    print("| F1 of boundaries | cards named in their chapter | one scene is one chapter | seconds a video |")
    print("|---|---|---|---|")
    f1 = f"{np.mean(scores):.3f} ({min(scores):.2f} to {max(scores):.2f})"
    print(f"| {f1} | {cards} | {kept} | {np.mean(seconds):.1f} |")


if __name__ == "__main__":
    try:
        main()
    except VideoXLError as error:
        sys.exit(f"error: {error}\n{error.advice}")
