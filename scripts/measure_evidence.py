#!/usr/bin/env python3
"""Measure how often the evidence of an answer is where the card that was asked about is.

    python scripts/measure_evidence.py CLIPS [--model videoxl-nano] [--trials 100] [--frames 256 1024] [--ratio 16]
        [--seed 1]

CLIPS is a folder of videos: the haystack. A card covers one frame of it at a depth that is drawn; frames are a second
apart. Markdown goes to stdout, progress to stderr; a cell reads `right/asked = share (95 % interval)`, and the last
column is how long the best span is on average, in frames.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from videoxl import VideoXL
from videoxl.errors import VideoXLError
from videoxl.tasks.evaluation.exam import Exam
from videoxl.tasks.evaluation.footage import Footage, held_out_card
from videoxl.tasks.evaluation.subject import ModelSubject
from videoxl.tasks.tables import Count
from videoxl.world.cards import KINDS
from videoxl.world.scenes import footage


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of real clips")
    parser.add_argument("--model", default="videoxl-nano", help="name or folder (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=100, help="videos of each length (default: %(default)s)")
    parser.add_argument("--frames", type=int, nargs="+", default=[256, 1024], help="(default: %(default)s)")
    parser.add_argument("--ratio", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Run the trials and print a row for each length."""
    args = _options()
    model = VideoXL.from_pretrained(args.model)
    subject = ModelSubject(model, args.ratio)
    haystack = Footage(footage(args.clips, per_clip=256, size=240), subject)
    print(f"{args.model}, ratio {args.ratio}, seed {args.seed}, {model.device}, {model.dtype}\n")
    print("| frames | answered right | best span has the card | one of the spans has it | frames in the best span |")
    print("|---|---|---|---|---|", flush=True)
    for frames in args.frames:
        exam = Exam(subject, haystack, np.random.default_rng((args.seed, frames)))
        right, best, any_span, lengths = Count(), Count(), Count(), []
        for trial in range(args.trials):
            kind = KINDS[trial % len(KINDS)]
            hay, card = haystack.joined(exam.rng, frames), held_out_card(exam.rng, kind, english=True)
            place = int(exam.rng.integers(frames))
            tokens = exam.put(hay, {place: card})
            memory = model.condense(tokens, ratio=args.ratio, times=np.arange(float(frames)))
            question = exam.ask(kind, [card], kind)
            answer = model.ask(memory, question.text, max_new_tokens=16)
            has_it = [span.start <= place <= span.end for span in answer.evidence]
            right += Count(int(answer.text.strip().lower() == question.answer.lower()), 1)
            best += Count(int(has_it[:1] == [True]), 1)
            any_span += Count(int(any(has_it)), 1)
            lengths += [span.end - span.start + 1 for span in answer.evidence[:1]]
            print(f"{frames} frames: {trial + 1} of {args.trials}", file=sys.stderr, flush=True)
        print(f"| {frames} | {right} | {best} | {any_span} | {np.mean(lengths):.1f} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except VideoXLError as error:
        sys.exit(f"error: {error}\n{error.advice}")
