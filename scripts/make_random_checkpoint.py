#!/usr/bin/env python3
"""Write a checkpoint of Video-XL 7B's shape with random weights, to measure loading, memory and speed with.

    python scripts/make_random_checkpoint.py FOLDER [--layers 28]

The layout is the published one: `config.json`, `generation_config.json` and four bfloat16 shards with an index, 16.8 GB
at full size. The tokenizer is that of the bundled model. What such a model answers is noise.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.checkpoints.layout import config_files
from videoxl.checkpoints.weights import published_state
from videoxl.config import ModelConfig, video_xl_7b
from videoxl.files import write_json
from videoxl.network.parts import Network

SHARDS = 4
EOS = 2  # of the bundled tokenizer
_NOISE = 1 << 26  # numbers drawn; tensors take runs of them, because drawing all would take longer than writing them


def write(folder: Path, config: ModelConfig) -> None:
    """Write the files, one shard at a time."""
    folder.mkdir(parents=True)
    for name in ("config.json", "generation_config.json"):
        write_json(folder / name, config_files(config)[name])
    shutil.copy(checkpoint_folder("videoxl-nano") / "tokenizer.json", folder)
    with torch.device("meta"):
        network = Network(config)
    shapes = {name: tensor.shape for name, tensor in published_state(network.vision, network.language)}
    noise = torch.randn(_NOISE, generator=torch.Generator().manual_seed(0)).mul_(0.02).bfloat16()
    total, written = sum(shape.numel() for shape in shapes.values()), 0
    shards: list[list[str]] = [[] for _ in range(SHARDS)]
    for name, shape in shapes.items():
        shards[min(SHARDS - 1, written * SHARDS // total)].append(name)
        written += shape.numel()
    files: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{SHARDS:05d}.safetensors"
        save_file({name: _tensor(shapes[name], noise, name) for name in names}, folder / file, {"format": "pt"})
        files |= dict.fromkeys(names, file)
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": 2 * total}, "weight_map": files})


def _tensor(shape: torch.Size, noise: torch.Tensor, name: str) -> torch.Tensor:
    if "norm" in name and name.endswith("weight"):
        return torch.ones(shape, dtype=torch.bfloat16)
    start = len(name) * 1009 % 4096
    repeated = noise[start:].repeat(-(-shape.numel() // (_NOISE - start)))
    return repeated[: shape.numel()].view(shape).clone()


def main() -> None:
    """Parse the options and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=28, help="of the language model (default 28)")
    args = parser.parse_args()
    write(args.folder, replace(video_xl_7b(args.layers), eos_token_ids=(EOS,)))


if __name__ == "__main__":
    main()
