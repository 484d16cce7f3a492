#!/usr/bin/env python3
"""Measure what a needle grid saves by sharing work, against watching every video by itself.

    python scripts/bench_needle.py [--model videoxl-nano] [--length 512] [--needles 5] [--device cpu]

Five depths, the first needles of the bundled set. Frames are in memory before the clock starts; answers are not
counted. Prints seconds of both ways, their ratio, and whether the memories are equal to the bit.
"""

import argparse
import time

import numpy as np
import torch

from videoxl import VideoXL
from videoxl.tasks.needle.haystack_memories import HaystackMemories, Work
from videoxl.tasks.needle.haystacks import Haystack
from videoxl.tasks.needle.needles import BUNDLED, load_needles
from videoxl.tasks.needle.synthetic import Synthetic
from videoxl.video.sources import FrameArray, SourceWithInsertions

DEPTHS = (0, 25, 50, 75, 100)


def main() -> None:
    """Run both ways and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="videoxl-nano")
    parser.add_argument("--length", type=int, default=512, help="frames of the haystack (default %(default)s)")
    parser.add_argument("--needles", type=int, default=5)
    parser.add_argument("--ratio", type=int, default=16)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    model = VideoXL.from_pretrained(args.model, args.device)
    needles = load_needles(BUNDLED)[: args.needles]
    synthetic = Synthetic(0)
    plan = synthetic.sample(args.length, None, None, None, "uniform")
    frames = FrameArray(np.concatenate([chunk.frames for chunk in synthetic.read(plan)]))
    model.memorize(FrameArray(frames.frames[:32]), fps=None, ratio=args.ratio)  # what is done once

    began, work = time.perf_counter(), Work()
    watcher = HaystackMemories(model, args.ratio, 512)
    haystack = Haystack("frames", frames, one_a_second=False, content="")
    cells = [(needle, int(args.length * depth / 100)) for depth in DEPTHS for needle in needles]
    shared = [watcher.memorize(haystack, args.length, [needle], [place], work) for needle, place in cells]
    middle = time.perf_counter()
    equal = True
    for (needle, place), memory in zip(cells, shared, strict=True):
        source = SourceWithInsertions(frames, [needle.picture()], [place])
        alone = model.memorize(source, max_frames=args.length, fps=None, ratio=args.ratio)
        equal &= all(torch.equal(a, b) for one, other in zip(memory.layers, alone.layers, strict=True)
                     for a, b in zip(one, other, strict=True))  # fmt: skip
    end = time.perf_counter()
    print(f"{args.model}, {model.device}, {args.length} frames, {len(DEPTHS)} depths, {len(needles)} needles")
    together, apart = middle - began, end - middle
    print(f"shared {together:.1f} s, each by itself {apart:.1f} s: {apart / together:.2f} times as long")
    print(f"encoded {work.encoded} frames, condensed {work.condensed}; equal to the bit: {'yes' if equal else 'no'}")


if __name__ == "__main__":
    main()
