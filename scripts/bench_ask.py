"""Measure `videoxl ask` on a video: frames per second by stage, seconds, and peak memory of all its processes.

    python scripts/bench_ask.py VIDEO [--model NAME] [--frames 256,1024] [--ratio 16]

Every case is a fresh run of the real command; its memory is the resident memory of the command and of its decoding
process added up, sampled every 20 ms (from /proc, so on Linux only). Decoding runs beside the model, so two numbers
are given for it: alone ("decode"), and how long the model had to wait for frames ("wait").
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoxl.video.video import Video

_ASK = [sys.executable, "-c", "from videoxl.cli.main import app; app()", "ask"]
_SAMPLE_SECONDS = 0.02
_MIB = 1 << 20
_COLUMNS = ["frames", "decode/s", "encode/s", "condense/s", "wait s", "model s", "answer s", "total s", "peak MiB"]


@dataclass(frozen=True)
class Run:
    """One run of the command: what it printed, and the peak of the sums of resident memory, in bytes."""

    result: dict[str, Any]
    peak_bytes: int


def run_ask(arguments: list[str]) -> Run:
    """Run `videoxl ask --json` in a process of its own and watch its memory."""
    process = subprocess.Popen([*_ASK, *arguments, "--json"], stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:  # the answer is far smaller than the pipe's buffer
        peak = max(peak, sum(_resident_bytes(pid) for pid in _family(process.pid)))
        time.sleep(_SAMPLE_SECONDS)
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(process.returncode)
    return Run(json.loads(output), peak)


def _family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:  # it ended just now
                continue
    return found


def _resident_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def decode_rate(path: str, max_frames: int, size: int) -> float:
    """Return frames per second of decoding alone, the start of the decoding process included."""
    video = Video(path)
    plan = video.sample(max_frames, fps=1.0)
    began = time.perf_counter()
    count = sum(len(chunk.times) for chunk in video.read(plan, size=size))
    return count / (time.perf_counter() - began)


def row(rate: float, run: Run) -> list[str]:
    """Return a line of the table, in the order of `_COLUMNS`."""
    result, timings = run.result, run.result["timings"]
    model_seconds = timings["encode"] + timings["condense"] + timings["answer"]
    return [
        str(result["frames"]),
        f"{rate:.1f}",
        f"{result['frames'] / timings['encode']:.1f}",
        f"{result['frames'] / timings['condense']:.1f}",
        f"{timings['decode']:.1f}",
        f"{model_seconds:.1f}",
        f"{timings['answer']:.2f}",
        f"{timings['total']:.1f}",
        f"{run.peak_bytes / _MIB:.0f}",
    ]


def main() -> None:
    """Print a Markdown table, one line per number of frames."""
    parser = argparse.ArgumentParser(description="Measure videoxl ask on a video.")
    parser.add_argument("video")
    parser.add_argument("--model", default="videoxl-nano")
    parser.add_argument("--frames", default="256,1024", help="numbers of frames, with commas")
    parser.add_argument("--ratio", default="16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--question", default="Is there a card in the video?")
    parser.add_argument("--size", type=int, default=256, help="shorter edge for decoding alone (nano's: 256)")
    args = parser.parse_args()
    if not Path("/proc/self/status").exists():
        parser.error("memory is read from /proc, which this system does not have")
    print(f"| {' | '.join(_COLUMNS)} |\n|{' ---: |' * len(_COLUMNS)}")
    for frames in args.frames.split(","):
        options = ["--model", args.model, "--max-frames", frames, "--ratio", args.ratio, "--device", args.device]
        rate = decode_rate(args.video, int(frames), args.size)
        run = run_ask([args.video, args.question, *options, "--quiet"])
        print(f"| {' | '.join(row(rate, run))} |", flush=True)


if __name__ == "__main__":
    main()
