"""Devices: which one, in which precision, with how much free memory, and who uses which cores."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from ..config import ModelConfig
from ..errors import BudgetError, CheckpointError
from ..machine import num_cores

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str) -> torch.device:
    """Return the device for a name; "auto" is the first GPU, or the CPU."""
    if device == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise CheckpointError(f"device {device!r} cannot be used ({reason})", "Use auto, cpu, or cuda.") from None
    return chosen


def choose_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """Return the dtype for a name; "auto" is float32 on the CPU and 16 bit on a GPU, bfloat16 where it has that."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if dtype not in DTYPES:
        raise CheckpointError(f"dtype {dtype!r} is not known", f"Use auto, {', '.join(DTYPES)}.")
    return DTYPES[dtype]


def free_slots(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> int | None:
    """Return how many slots of keys and values fit the free memory of the device; None if that is unknown."""
    language = config.language
    slot_bytes = 2 * language.num_hidden_layers * language.num_key_value_heads * language.head_dim * dtype.itemsize
    if device.type == "cuda":
        # What torch holds for tensors to come is free too: else the ratio would depend on what ran before.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + held) // slot_bytes
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return None
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    available = lines.get("MemAvailable", "").split()
    return int(available[0]) * 1024 // slot_bytes if available else None


@contextlib.contextmanager
def within_memory(device: torch.device) -> Iterator[None]:
    """Turn a device that runs out of memory, which no estimate rules out, into an error with advice.

    Raises:
        BudgetError: torch could not allocate.
    """
    try:
        yield
    except RuntimeError as error:
        # On the CPU torch raises no error of its own kind.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        where, other = ("this machine", "") if device.type == "cpu" else (str(device), ", or use --device cpu")
        advice = f"Use fewer frames or a higher ratio, free some memory{other}."
        raise BudgetError(f"the memory of {where} ran out", advice) from None


@contextlib.contextmanager
def cpu_threads(device: torch.device, reserve: int = 0) -> Iterator[None]:
    """Let torch use all cores but those reserved: two threads on one core are many times slower than one.

    Nothing changes where the number of torch's threads was chosen already: `OMP_NUM_THREADS`, or fewer than cores.

    Args:
        device: nothing is done unless it is the CPU.
        reserve: cores to leave to the decoding process.
    """
    before = torch.get_num_threads()
    if device.type != "cpu" or "OMP_NUM_THREADS" in os.environ or before < num_cores():
        yield  # somebody has chosen already
        return
    torch.set_num_threads(max(1, num_cores() - reserve))
    try:
        yield
    finally:
        torch.set_num_threads(before)
