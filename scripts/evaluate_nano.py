#!/usr/bin/env python3
"""Measure what a model can answer about cards in real footage, from its condensed memory alone.

    python scripts/evaluate_nano.py CLIPS [--model videoxl-nano] [--trials 40] [--long 10] [--very-long 2]
        [--stretches 120] [--fonts held-out|training] [--seed 1] [--int8] [--json FILE]

CLIPS is a folder of videos. Cards cover single frames of them; words are held out of training, and so are fonts and
styles of plate, unless `--fonts training`. A table of one card in 16 to 256 frames, with every family asked in a
phrasing of training and in one that training never shows; tables of none to six cards, of which each is described,
counted, followed and looked for; of four options by likelihood; and of one card in 1024 and 2048 frames by depth.
Controls count how often the cards' answer is still given with the cards left out, and with the memory's VSTs zeroed.
0 leaves a part out. `--int8` answers from memories that were saved in 8 bit and loaded again. Markdown goes to stdout
as parts are done, progress to stderr; a cell reads `right/asked = share (95 % interval)`.
"""

import argparse
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from torch import Tensor

from videoxl import VideoXL, VisualMemory
from videoxl.errors import VideoXLError
from videoxl.files import write_json
from videoxl.nano.evaluation.evaluated_model import ModelSubject
from videoxl.nano.evaluation.report import FONTS, Settings, as_json, evaluate
from videoxl.tasks.needle.cards import find_fonts
from videoxl.tasks.needle.scenes import footage


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Settings()
    parser.add_argument("clips", type=Path, help="folder of real clips")
    parser.add_argument("--model", default="videoxl-nano", help="name or folder (default: videoxl-nano)")
    parser.add_argument("--trials", type=int, default=default.trials, help="videos of each sort (default %(default)s)")
    parser.add_argument("--long", type=int, default=default.long, help="of 1024 frames (default %(default)s)")
    parser.add_argument("--very-long", type=int, default=default.very_long, help="of 2048 (default %(default)s)")
    parser.add_argument("--stretches", type=int, default=default.stretches, help="without cards (default %(default)s)")
    parser.add_argument("--fonts", choices=FONTS, default=default.fonts)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--int8", action="store_true", help="answer from memories that were saved in 8 bit")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all counts there")
    return parser.parse_args()


class SavedModel(ModelSubject):
    """A model that answers from memories that were saved in 8 bit and loaded again."""

    def condense(self, tokens: Tensor) -> VisualMemory:
        """Return the memory of a video, by way of a file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "memory.vxm"
            super().condense(tokens).save(path, dtype="int8")
            return VisualMemory.load(path, self._model)


def main() -> None:
    """Run the trials, print Markdown tables, write JSON."""
    args = _options()
    settings = Settings(args.trials, args.long, args.very_long, args.stretches, args.fonts, Settings().ratio, args.seed)
    started = time.monotonic()

    def progress(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", file=sys.stderr, flush=True)

    model = VideoXL.from_pretrained(args.model)
    clips = footage(args.clips, per_clip=256, size=240)
    num_fonts = sum(map(bool, find_fonts(held_out=args.fonts == FONTS[0])))
    print(f"{args.model}, ratio {settings.ratio}, {len(clips)} clips, {date.today()}, {model.device}, {model.dtype}")
    print(f"{num_fonts} {args.fonts} fonts, seed {args.seed}", flush=True)
    subject = (SavedModel if args.int8 else ModelSubject)(model, settings.ratio)
    tables = []
    for table in evaluate(subject, clips, settings, progress):
        tables.append(table)
        print(f"\n{table.markdown()}", flush=True)
    if args.json:
        about = {"model": args.model, "fingerprint": model.fingerprint, "date": str(date.today())}
        about["int8"] = args.int8
        about |= {"device": str(model.device), "dtype": str(model.dtype), "clips": len(clips), "num_fonts": num_fonts}
        about["seconds"] = round(time.monotonic() - started)
        write_json(args.json, as_json(tables, settings, about))


if __name__ == "__main__":
    try:
        main()
    except VideoXLError as error:
        sys.exit(f"error: {error}\n{error.advice}")
