#!/usr/bin/env python3
"""Measure how often evidence is where the card that was asked about is, and how often there is none without a card.

    python scripts/measure_evidence.py CLIPS [--model videoxl-nano] [--trials 100] [--frames 256] [--ratios 2 4 8 16]
        [--seed 1]

CLIPS is a folder of videos: the haystack. A card covers one frame of it at a depth that is drawn; frames are a second
apart. They are encoded once, and condensed and asked about at each ratio, with the card and without. Markdown goes to
stdout, progress to stderr; a cell reads `right/asked = share (95 % interval)`.
"""

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from videoxl import VideoXL, VisualMemory
from videoxl.errors import VideoXLError
from videoxl.nano.evaluation.evaluated_model import ModelSubject
from videoxl.nano.evaluation.evaluation import Evaluation
from videoxl.nano.evaluation.footage import Footage, held_out_card
from videoxl.nano.questions import Question
from videoxl.tasks.evidence_pictures import middle
from videoxl.tasks.needle.cards import KINDS
from videoxl.tasks.needle.scenes import footage
from videoxl.tasks.tables import Count

COLUMNS = (
    *("frames", "ratio", "answered right", "first span has the card", "one of the spans has it"),
    *("the first span's middle frame shows it", "seconds of the first span, mean (most)", "no card, and no span"),
)


@dataclass
class Row:
    """What is counted at one length and ratio."""

    right: Count = field(default_factory=Count)
    first: Count = field(default_factory=Count)
    one: Count = field(default_factory=Count)
    middle: Count = field(default_factory=Count)
    none: Count = field(default_factory=Count)
    seconds: list[float] = field(default_factory=list)

    def add(self, model: VideoXL, tokens: Tensor, ratio: int, question: Question, place: int) -> None:
        """Ask about a video with a card on one frame."""
        answer = model.ask(_memory(model, tokens, ratio), question.text, max_new_tokens=16)
        spans = answer.evidence
        has_it = [span.start <= place <= span.end for span in spans]
        self.right += Count(int(answer.text.strip().lower() == question.answer.lower()), 1)
        self.first += Count(int(has_it[:1] == [True]), 1)
        self.one += Count(int(any(has_it)), 1)
        self.middle += Count(int(any(int(middle(span)) == place for span in spans[:1])), 1)
        self.seconds += [span.end - span.start + 1 for span in spans[:1]]

    def add_without(self, model: VideoXL, tokens: Tensor, ratio: int, question: Question) -> None:
        """Ask about a video without a card."""
        answer = model.ask(_memory(model, tokens, ratio), question.text, max_new_tokens=16)
        self.none += Count(int(not answer.evidence), 1)

    def cells(self) -> list[object]:
        """Return the row's numbers, in the order of the columns."""
        seconds = f"{np.mean(self.seconds):.1f} ({max(self.seconds):.0f})" if self.seconds else "-"
        return [self.right, self.first, self.one, self.middle, seconds, self.none]


def _memory(model: VideoXL, tokens: Tensor, ratio: int) -> VisualMemory:
    return model.condense(tokens, ratio=ratio, times=np.arange(float(len(tokens))))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of real clips")
    parser.add_argument("--model", default="videoxl-nano", help="name or folder (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=100, help="videos of each length (default: %(default)s)")
    parser.add_argument("--frames", type=int, nargs="+", default=[256], help="(default: %(default)s)")
    parser.add_argument("--ratios", type=int, nargs="+", default=[2, 4, 8, 16], help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Run the trials and print a row for each length and ratio."""
    args = _options()
    model = VideoXL.from_pretrained(args.model)
    subject = ModelSubject(model, max(args.ratios))  # the ratio is that of memories, which are made here
    haystack = Footage(footage(args.clips, per_clip=256, size=240), subject)
    print(f"{args.model}, seed {args.seed}, {model.device}, {model.dtype}\n")
    print("".join(f"| {name} " for name in COLUMNS) + "|\n" + "|---" * len(COLUMNS) + "|", flush=True)
    for frames in args.frames:
        exam = Evaluation(subject, haystack, np.random.default_rng((args.seed, frames)))
        rows: dict[int, Row] = defaultdict(Row)
        for trial in range(args.trials):
            kind = KINDS[trial % len(KINDS)]
            hay, card = haystack.joined(exam.rng, frames), held_out_card(exam.rng, kind, english=True)
            place = int(exam.rng.integers(frames))
            tokens, question = exam.put(hay, {place: card}), exam.ask(kind, [card], kind)
            without = exam.ask("presence" if trial % 2 else kind, [], kind)
            for ratio in args.ratios:
                rows[ratio].add(model, tokens, ratio, question, place)
                rows[ratio].add_without(model, hay.tokens, ratio, without)
            print(f"{frames} frames: {trial + 1} of {args.trials}", file=sys.stderr, flush=True)
        for ratio, row in rows.items():
            print("".join(f"| {cell} " for cell in (frames, ratio, *row.cells())) + "|", flush=True)


if __name__ == "__main__":
    try:
        main()
    except VideoXLError as error:
        sys.exit(f"error: {error}\n{error.advice}")
