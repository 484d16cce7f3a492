#!/usr/bin/env python3
"""Measure watching and answering at Video-XL 7B's size on this machine's device, with random weights.

    python scripts/bench_device.py [--device cuda] [--frames 256,1024] [--ratio 16] [--layers 28]

No checkpoint is needed. Frames are random pictures in memory, so decoding is not measured (see `bench_ask.py`).
Prints a Markdown table; a cell with memory is the most that torch held on the device, weights included.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch

from videoxl import VideoXL
from videoxl.checkpoints.loading import load_checkpoint
from videoxl.checkpoints.parts import Checkpoint
from videoxl.config import video_xl_7b
from videoxl.network.parts import Network

_COLUMNS = ["frames", "ratio", "encode s", "condense s", "first token s", "2nd question s", "token ms", "memory GB"]
_ANSWER = 32


def random_model(device: str, layers: int) -> VideoXL:
    """Return a model of that size in bfloat16, made on the device."""
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        network = Network(video_xl_7b(layers)).eval().requires_grad_(False)
    torch.set_default_dtype(torch.float32)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, 0.02)
        else:
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    tokenizer = load_checkpoint("videoxl-nano", "cpu", torch.float32).tokenizer
    config = video_xl_7b(layers)
    return VideoXL(Checkpoint(config, network.vision, network.language, tokenizer, fingerprint="random"))


def measure(model: VideoXL, frames: int, ratio: int) -> list[str]:
    """Return a line of the table."""
    pictures = np.random.default_rng(0).integers(0, 256, (frames, 336, 336, 3), np.uint8)
    cuda = model.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    watched = model.memorize_plan(model.plan(pictures, max_frames=frames, fps=None, ratio=ratio))
    first = model.ask(watched.memory, "What happens in the video?", max_new_tokens=_ANSWER)
    second = model.ask(watched.memory, "Who is to be seen?", max_new_tokens=_ANSWER)
    decoding = second.timings["answer"] - second.timings["first_token"]
    peak = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if cuda else "-"
    return [
        str(frames),
        str(ratio),
        f"{watched.timings['encode']:.2f}",
        f"{watched.timings['condense']:.2f}",
        f"{first.timings['first_token']:.3f}",
        f"{second.timings['first_token']:.3f}",
        f"{1000 * decoding / max(1, second.num_answer_tokens - 1):.1f}",
        peak,
    ]


def _numbers(text: str) -> Sequence[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Print a line for every number of frames and ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--frames", type=_numbers, default=[256, 1024], help="numbers of frames, with commas")
    parser.add_argument("--ratio", type=_numbers, default=[16], help="ratios, with commas")
    parser.add_argument("--layers", type=int, default=28, help="of the language model (default 28)")
    args = parser.parse_args()
    began = time.perf_counter()
    model = random_model(args.device, args.layers)
    name = torch.cuda.get_device_name() if model.device.type == "cuda" else "cpu"
    print(f"{name}, torch {torch.__version__}, {args.layers} layers, made in {time.perf_counter() - began:.0f} s\n")
    print(f"| {' | '.join(_COLUMNS)} |\n|{' ---: |' * len(_COLUMNS)}")
    measure(model, 32, args.ratio[0])  # what is done once: kernels chosen, libraries loaded
    for ratio in args.ratio:
        for frames in args.frames:
            print(f"| {' | '.join(measure(model, frames, ratio))} |", flush=True)


if __name__ == "__main__":
    main()
