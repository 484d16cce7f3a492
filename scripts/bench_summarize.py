#!/usr/bin/env python3
"""Measure what workers and decoding ahead save when several videos are summarised.

    python scripts/bench_summarize.py VIDEO... [--copies 6] [--workers 2] [--model videoxl-nano] [--device auto]

Runs all of them in a temporary folder: with one worker that does not look ahead, with one that does, and with several.
Prints the seconds from the first video begun to the last one done, and a timeline of each run: `o` a video is opened
and decoded while the one before is described, `r` it is read (decoded, encoded, condensed), `c` its chapters are
described, `s` it is summed up.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.preview import Preview
from videoxl.runs.context import ItemContext
from videoxl.runs.engine import load_results
from videoxl.runs.events import Event, ItemDone, ItemStarted
from videoxl.runs.job import Item, ItemResult, Rows, Worker
from videoxl.tasks.summarize.batch import summarize
from videoxl.tasks.summarize.inputs import Source
from videoxl.tasks.summarize.job import SummaryJob
from videoxl.tasks.summarize.prompts import load_prompts

WIDTH = 70  # characters of a timeline


@dataclass(frozen=True)
class OneByOne(SummaryJob):
    """A job that opens a video in its own context."""

    def setup(self, device: str) -> Worker:
        """Return a worker that does not look ahead."""
        worker = super().setup(device)

        def alone(item: Item, context: ItemContext) -> Rows | ItemResult:
            return worker(item, ItemContext(lambda amount: None, began=context.began))

        return alone


def measure(job: SummaryJob, sources: list[Source], device: str, workers: int) -> float:
    """Run once, print a timeline, and return the seconds from the first begun to the last done."""
    began: dict[str, tuple[float, int]] = {}
    ended: dict[str, float] = {}

    def told(event: Event) -> None:
        if isinstance(event, ItemStarted):
            began[event.item.key] = (time.perf_counter(), event.worker)
        elif isinstance(event, ItemDone):
            ended[event.item.key] = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        summarize(sources, Path(folder) / "out", job, device=device, workers=workers, on_event=told)
        timings = {row["key"]: row["timings"] for row in load_results(Path(folder) / "out")}
    first = min(start for start, _ in began.values())
    seconds = max(ended.values()) - first
    for key, (start, worker) in sorted(began.items(), key=lambda each: each[1]):
        took = timings[key]
        edges = [start - took["ahead"], start, *([start + took["total"]] * 3)]
        edges[3] -= took["summary"]
        edges[2] = edges[3] - took["chapters"]
        places = [max(0, round((edge - first) / seconds * WIDTH)) for edge in edges]
        bar = " " * places[0] + "".join(
            letter * (end - begin) for letter, begin, end in zip("orcs", places, places[1:], strict=False)
        )
        print(f"  worker {worker} |{bar:{WIDTH}}| {took['total']:.1f} s, opened {took['ahead']:.1f} s ahead")
    return seconds


def main() -> None:
    """Run all ways and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--copies", type=int, default=6, help="how often each is summarised (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", default="videoxl-nano")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    folder = checkpoint_folder(args.model)
    prompts = load_prompts(Preview(folder).config.name)
    sources = [Source(f"{path}#{copy}", str(path)) for copy in range(args.copies) for path in args.videos]
    ways = [
        ("one worker, one video by one", OneByOne, 1),
        ("one worker, looking ahead", SummaryJob, 1),
        (f"{args.workers} workers, looking ahead", SummaryJob, args.workers),
    ]
    before = 0.0
    for name, kind, workers in ways:
        print(f"{name}:")
        seconds = measure(kind(folder, args.model, prompts), sources, args.device, workers)
        before = before or seconds
        print(f"{name}: {len(sources)} videos in {seconds:.1f} s, {before / seconds:.2f} times as fast as the first")


if __name__ == "__main__":
    main()
