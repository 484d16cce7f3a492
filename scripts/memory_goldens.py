#!/usr/bin/env python3
"""Record what memories mean, and raise their revision where that has changed.

    python scripts/memory_goldens.py

Golden cases are small results of all that decides a memory: which frames are chosen, how pixels become the tower's
input, the prompt, visual tokens, and what is condensed of them, by a model of a few numbers that are the same on every
machine. They are kept in `tests/data/memory_goldens.json` with the revision that they are of, and a test compares.
Where they have changed, this writes them anew and raises `MEMORY_REVISION` in `videoxl/version.py`; new cases alone
raise nothing. Without the file, all cases are recorded for the revision as it is.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.checkpoints.parts import Checkpoint
from videoxl.checkpoints.weights import published_state
from videoxl.config import LanguageConfig, ModelConfig, Preprocessing, VisionConfig, video_xl_7b
from videoxl.engine.text import encode_prefix
from videoxl.model import VideoXL
from videoxl.network.parts import Network
from videoxl.network.preprocessing import preprocess
from videoxl.options import Mode
from videoxl.planning.memory_plan import decode_size
from videoxl.preview import Preview
from videoxl.video.sampling import TimeAxis, choose_frames

ROOT = Path(__file__).resolve().parents[1]
GOLDENS = ROOT / "tests" / "data" / "memory_goldens.json"
VERSION = ROOT / "videoxl" / "version.py"
_REVISION = re.compile(r"^MEMORY_REVISION = (\d+)$", re.MULTILINE)
_STEP = 0.016  # one 8-bit step of a pixel, normalised: resizing rounds to these
_ROUNDING = 1e-3  # of float32 on any machine, amply


@dataclass(frozen=True)
class Case:
    """A result.

    Args:
        values: whole numbers or floats of any shape.
        tolerance: by which they may differ; 0 for whole numbers.
    """

    values: np.ndarray
    tolerance: float = 0.0

    def equals(self, other: "Case") -> bool:
        """Return whether another result is the same, within the tolerance."""
        same_shape = self.values.shape == other.values.shape
        return same_shape and bool(np.all(np.abs(self.values - other.values) <= self.tolerance))

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        values = self.values if not self.tolerance else self.values.astype(np.float64).round(4)
        return {"shape": list(values.shape), "tolerance": self.tolerance, "values": values.flatten().tolist()}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Case":
        """Return what `as_json` gave."""
        return cls(np.array(said["values"]).reshape(said["shape"]), said["tolerance"])


def cases() -> dict[str, Case]:
    """Return all cases as the code gives them now, by name."""
    model = _model()
    frames = _frames(3, 32, 32)
    tokens = torch.from_numpy(_noise(11 * 4 * 16, 7).reshape(11, 4, 16))
    times = np.arange(11) / 2
    found = {f"frames: {name}": Case(chosen) for name, chosen in _choices().items()}
    found["pixels: edge that is decoded"] = Case(np.array([decode_size(video_xl_7b())]))
    for method in ("squash", "shortest"):
        pixels = preprocess(_frames(1, 20, 31), Preprocessing(8, method))
        found[f"pixels: {method}"] = Case(pixels.numpy(), _STEP)
    preview = Preview(checkpoint_folder("videoxl-nano"))
    found["prompt: before the video"] = Case(np.array(encode_prefix(preview.tokenizer, preview.config.prompt)))
    found["tokens: of frames"] = Case(model.encode_frames(frames).numpy(), _ROUNDING)
    for ratio in (2, 8):  # 44 tokens: a full window, and one that the larger ratio does not divide
        memory = model.condense(tokens, ratio=ratio, prefix_ids=(3, 1, 4), times=times)
        found[f"memory: windows at ratio {ratio}"] = Case(np.array(memory.window_vsts))
        assert memory.spans is not None
        found[f"memory: seconds of slots at ratio {ratio}"] = Case(memory.spans, _ROUNDING)
    for at, part in enumerate(("keys", "values")):
        found[f"memory: {part}"] = Case(torch.stack([pair[at] for pair in memory.layers]).numpy(), _ROUNDING)
    return found


def changed(before: Mapping[str, Case], now: Mapping[str, Case]) -> list[str]:
    """Return the names of the cases that are other than they were, or gone."""
    return [name for name, case in before.items() if name not in now or not case.equals(now[name])]


def read(path: Path = GOLDENS) -> tuple[int, dict[str, Case]]:
    """Return the recorded revision and its cases."""
    said = json.loads(path.read_text())
    return said["revision"], {name: Case.from_json(case) for name, case in said["cases"].items()}


def update(now: Mapping[str, Case], goldens: Path = GOLDENS, version: Path = VERSION) -> str:
    """Record the cases, with a revision of their own if one has changed, and return in words what was done."""
    text = version.read_text()
    match = _REVISION.search(text)
    assert match is not None, f"{version} has no MEMORY_REVISION"
    revision = int(match[1])
    if not goldens.exists():
        _write(goldens, revision, now)
        return f"recorded {len(now)} cases for revision {revision}"
    recorded, before = read(goldens)
    names = changed(before, now)
    if not names:
        if revision != recorded or now.keys() != before.keys():
            _write(goldens, revision, {**now, **before})
        return f"nothing has changed since revision {recorded}; {len(now) - len(before)} cases are new"
    if revision <= recorded:
        revision = recorded + 1
        version.write_text(_REVISION.sub(f"MEMORY_REVISION = {revision}", text))
    _write(goldens, revision, now)
    return f"revision {revision}, because these have changed: {'; '.join(names)}"


def _write(path: Path, revision: int, found: Mapping[str, Case]) -> None:
    lines = [f"{json.dumps(name)}: {json.dumps(case.as_json())}" for name, case in sorted(found.items())]
    path.write_text(f'{{"revision": {revision}, "cases": {{\n' + ",\n".join(lines) + "\n}}\n")


def _choices() -> dict[str, np.ndarray]:
    """Return the numbers of the frames that are chosen from a constant and a variable rate, by what was asked."""
    even = np.arange(1000) / 25
    uneven = np.cumsum(np.tile([1, 1, 2, 40, 1, 7, 300, 3], 8)) / 25  # slides: bursts and long waits
    asked: dict[str, tuple[int, float | None, float | None, float | None, Mode]] = {
        "as many": (16, None, None, None, "uniform"),
        "at a rate": (1024, 1.0, None, None, "uniform"),
        "of a part": (10, 2.0, 10.0, 30.0, "uniform"),
        "key frames": (8, None, None, None, "keyframes"),
        "key frames of a part": (4, 1.0, 8.0, None, "keyframes"),
        "at a fixed rate": (30, 2.0, None, None, "fixed-rate"),
    }
    chosen = {}
    for rate, times in (("constant", even), ("variable", uneven)):
        axis = TimeAxis(rate, times, np.arange(len(times)) % 7 == 0, float(times[-1] + 0.04))
        for name, arguments in asked.items():
            chosen[f"{rate} rate, {name}"] = choose_frames(axis, *arguments).indices
    return chosen


def _model() -> VideoXL:
    """Return a model of a few numbers, which no library draws: theirs differ between versions and machines."""
    config = ModelConfig(
        language=LanguageConfig(64, 16, 24, 2, 4, 2, 2048, 1e-6, 10000.0),
        vision=VisionConfig(32, 8, 16, 24, 2, 4, select_layer=-2, pool_stride=2),
        preprocessing=Preprocessing(32, "squash"),
        window=32,
        ratios=(2, 4, 8),
        name="golden",
    )
    network = Network(config).eval()
    with torch.no_grad():
        for seed, (name, weight) in enumerate(sorted(published_state(network.vision, network.language))):
            values = torch.from_numpy(_noise(weight.numel(), seed).reshape(weight.shape))
            weight.copy_(1 + 0.2 * values if "norm" in name and name.endswith("weight") else 0.5 * values)
    return VideoXL(Checkpoint(config, network.vision, network.language, fingerprint="golden"))


def _frames(count: int, height: int, width: int) -> np.ndarray:
    """Return pictures, uint8 [t, h, w, 3]."""
    return ((_noise(count * height * width * 3, 99) + 1) * 127.5).astype(np.uint8).reshape(count, height, width, 3)


def _noise(count: int, seed: int) -> np.ndarray:
    """Return numbers from -1 to 1, float32 [n], by splitmix64 (Steele et al. 2014), which is all whole numbers."""
    state = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return ((state >> np.uint64(40)).astype(np.float64) / 2**23 - 1).astype(np.float32)


if __name__ == "__main__":
    print(update(cases()))
