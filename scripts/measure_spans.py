#!/usr/bin/env python3
"""Measure what a question about parts of a video finds: numbers, then shapes, in rendered videos of both.

    python scripts/measure_spans.py [--model videoxl-nano] [--videos 6] [--scenes 10] [--seed 600] [--device cpu]

Each scene has 12 to 30 seconds and a card for 3 of them. Parts are judged as in `videoxl summarize --task anomalies`,
by questions about cards. Prints Markdown; a cell reads `right/asked = share (95 % interval)`.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.errors import VideoXLError
from videoxl.nano.evaluation.scene_films import CARD_SECONDS, SceneFilm, random_films
from videoxl.runs.engine import load_results
from videoxl.tasks.summarize.batch import summarize
from videoxl.tasks.summarize.inputs import Source
from videoxl.tasks.summarize.job import SummaryJob
from videoxl.tasks.summarize.prompts import load_prompts
from videoxl.tasks.tables import Count

TASK = "anomalies"
QUESTIONS = {
    "number": ("Is there a card with a number?", "What number is shown on the card?"),
    "shape": ("Is there a card with a shape?", "What shape is shown on the card?"),
}


def counts(kind: str, film: SceneFilm, row: dict[str, Any]) -> list[Count]:
    """Return counts of cards found, of spans with one, of spans whose text is one's, and of other cards in spans."""
    shown = [(card, begin + CARD_SECONDS / 2) for card, begin in zip(film.cards, film.shown, strict=True)]
    wanted = [(card, at) for card, at in shown if card.kind == kind]
    others = [at for card, at in shown if card.kind != kind]
    ranges = [(span["start"], span["end"]) for span in row["spans"]]
    inside = [[card.text for card, at in wanted if low <= at < high] for low, high in ranges]
    named = [span["text"] in texts for span, texts in zip(row["spans"], inside, strict=True)]
    return [
        Count(sum(map(len, inside)), len(wanted)),
        Count(sum(map(bool, inside)), len(inside)),
        Count(sum(named), len(inside)),
        Count(sum(any(low <= at < high for low, high in ranges) for at in others), len(others)),
    ]


def main() -> None:
    """Render, look for both kinds, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="videoxl-nano", help="name or folder (default: %(default)s)")
    parser.add_argument("--videos", type=int, default=6, help="(default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=10, help="in a video (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=600)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    print(f"{args.model}, seed {args.seed}, {args.videos} videos of {args.scenes} scenes\n")
    print("| looked for | found | spans with one | spans that name one | others in spans | seconds a video |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = list(random_films(folder, args.seed, args.videos, args.scenes))
        print(f"{len(films)} videos rendered", file=sys.stderr)
        sources = [Source(film.path.stem, str(film.path)) for film in films]
        for kind, (question, reason) in QUESTIONS.items():
            prompts = load_prompts(args.model, TASK, question, reason)
            job = SummaryJob(checkpoint_folder(args.model), args.model, prompts, task=TASK)
            summarize(sources, folder / kind, job, device=args.device)
            rows = load_results(folder / kind)
            each = [counts(kind, film, row) for film, row in zip(films, rows, strict=True)]
            cells = [str(sum(column, Count())) for column in zip(*each, strict=True)]
            seconds = f"{np.mean([row['timings']['spans'] for row in rows]):.2f}"
            print(f"| {' | '.join([f'a {kind}', *cells, seconds])} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except VideoXLError as error:
        sys.exit(f"error: {error}\n{error.advice}")
