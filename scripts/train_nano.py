#!/usr/bin/env python3
"""Train videoxl-nano from scratch or from a finished model, or go on with a run that was stopped.

    python scripts/train_nano.py RUN [--from videoxl-nano] [--media CLIPS] [--steps N] [--workers 2] [--threads 1]

Everything is kept in RUN: rendered pictures, checkpoints (every two minutes), `log.jsonl`, and at the end the
model in `RUN/videoxl-nano`. The same command resumes. CLIPS is any folder of videos, for the haystack. With
`--from`, the vision tower stays as it is and only the last stage is run: condensing videos and answering.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import torch

from videoxl.nano.recipe import FINETUNE, Recipe, train_nano


def main() -> None:
    """Parse the options and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--from", dest="start", help="go on from this model: a name or a folder")
    parser.add_argument("--media", type=Path, help="folder of real clips (default: rendered scenes only)")
    parser.add_argument("--steps", type=int, help="steps of the last stage, if not the recipe's")
    parser.add_argument("--workers", type=int, default=2, help="processes that render pictures")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch; more than free cores slows down")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = dataclasses.replace(FINETUNE if args.start else Recipe(), workers=args.workers)
    if args.steps:
        recipe = dataclasses.replace(recipe, memory=dataclasses.replace(recipe.memory, steps=args.steps))
    model = train_nano(
        args.folder, args.media, recipe, lambda line: print(json.dumps(line), flush=True), start=args.start
    )
    print(model)


if __name__ == "__main__":
    main()
