"""Loading and saving whole models: configuration, weights, tokenizer, and the devices they go to."""

from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..files import write_json
from ..network.devices import choose_device, choose_dtype, limit_memory, ran_out_of_memory
from ..network.parts import Network
from ..network.qwen2 import DecoderLayer
from ..network.vision import VisionEncoder
from .fingerprint import fingerprint, tensor_digest
from .hub import checkpoint_folder
from .layout import config_files, read_config
from .parts import Checkpoint, Parts
from .tokenizer import load_tokenizer
from .weights import load_weights, save_weights

# Of a GPU's free memory, what weights may take; the rest is for activations and visual memory.
_WEIGHTS_SHARE = 0.75


def load_checkpoint(
    name: str | Path, device: str = "auto", dtype: str | torch.dtype = "auto", max_memory: int | None = None
) -> Checkpoint:
    """Return a model from a bundled name, a folder, a short name or a hub id.

    With device "auto" and several GPUs of which none holds the weights alone, layers are spread over them.

    Args:
        name: which.
        device: where it goes.
        dtype: what weights are converted to.
        max_memory: bytes of each device that this process may use; of a GPU, torch then refuses it more.

    Raises:
        CheckpointError: it does not exist, is incomplete or damaged, is of a kind that is not supported, or does not
            fit.
    """
    folder = checkpoint_folder(name)
    config = read_config(folder)
    chosen = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen)
    with torch.device("meta"):
        network = Network(config)
    several = device == "auto" and torch.cuda.device_count() > 1
    device_map = _device_map(network, chosen_dtype, max_memory) if several else {}
    if max_memory is not None:
        if not device_map and (needed := _num_bytes(network, chosen_dtype)) > max_memory:
            raise CheckpointError(
                f"{folder}: the weights take {needed / 1e6:,.1f} MB, and {max_memory / 1e6:,.1f} MB are allowed",
                "Allow more memory, or use a smaller --dtype.",
            )
        for used in {chosen, *(torch.device("cuda", index) for index in device_map.values())}:
            limit_memory(used, max_memory)

    def device_of(parameter: str) -> torch.device | int:
        holder = max(
            (key for key in device_map if key == "" or f"{parameter}.".startswith(f"{key}.")), key=len, default=None
        )
        return chosen if holder is None else device_map[holder]

    digests: dict[str, str] = {}

    def on_tensor(published: str, tensor: Tensor) -> None:
        digests[published] = tensor_digest(tensor)

    try:
        load_weights(network, folder, device_of, chosen_dtype, on_tensor)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        where, other = ("this machine", "") if chosen.type == "cpu" else (str(chosen), ", or use --device cpu")
        raise CheckpointError(
            f"{folder}: the weights do not fit into the free memory of {where}",
            f"Free some memory, or use a smaller --dtype{other}.",
        ) from None
    network.eval()
    loaded = Checkpoint(config, network.vision, network.language, load_tokenizer(folder))
    loaded.fingerprint = fingerprint(loaded, digests)
    return loaded


def worker_devices(name: str | Path, device: str, dtype: str | torch.dtype, workers: int | None = None) -> list[str]:
    """Return a device for each of several processes that load the same model; they are spread over all GPUs in turn.

    Where no GPU is as large as the weights, "auto" is one process that spreads them over all.

    Args:
        name: see `load_checkpoint`.
        device: "auto" and "cuda" stand for all GPUs, and "auto" for the CPU where there is none.
        dtype: see `load_checkpoint`.
        workers: how many; None is one for each device.

    Raises:
        CheckpointError: the model cannot be found.
    """
    gpus = torch.cuda.device_count()
    if device == "auto" and gpus > 1:
        with torch.device("meta"):
            network = Network(read_config(checkpoint_folder(name)))
        needed = _num_bytes(network, choose_dtype(dtype, torch.device("cuda", 0)))
        if needed > _WEIGHTS_SHARE * torch.cuda.get_device_properties(0).total_memory:
            return ["auto"] * (workers or 1)
    if device in ("auto", "cuda") and gpus:
        return [f"cuda:{number % gpus}" for number in range(workers or gpus)]
    return ["cpu" if device == "auto" else device] * (workers or 1)


def save_checkpoint(model: Parts, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write a model in our layout, which `load_checkpoint` reads: weights in `dtype`, configuration, tokenizer."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in config_files(model.config).items():
        write_json(folder / path, content)
    save_weights(model.vision, model.language, folder, dtype)
    if model.tokenizer is not None:
        model.tokenizer.save(folder)


def _num_bytes(network: Network, dtype: torch.dtype) -> int:
    return sum(parameter.numel() for parameter in network.parameters()) * dtype.itemsize


def _device_map(network: Network, dtype: torch.dtype, max_memory: int | None = None) -> dict[str, int]:
    """Return which GPU each part goes to; empty if the first one holds all."""
    from accelerate import infer_auto_device_map

    needed = _num_bytes(network, dtype)
    free = [torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())]
    limits = {index: int(min(each, max_memory or each) * _WEIGHTS_SHARE) for index, each in enumerate(free)}
    if needed <= limits[0]:
        return {}
    whole = [DecoderLayer.__name__, VisionEncoder.__name__]
    device_map = infer_auto_device_map(network, max_memory=limits, no_split_module_classes=whole, dtype=dtype)
    if not limits.keys() >= set(device_map.values()):  # the rest is left to the disk
        raise CheckpointError(
            f"the weights need {needed / 1e9:.1f} GB and do not fit the GPUs, which have "
            + " + ".join(f"{free / 1e9:.1f} GB" for free in limits.values()),
            "Free GPU memory, or use --device cpu.",
        )
    return device_map
