"""Devices: which one, in which precision, with how much free memory, and who uses which cores."""

import contextlib
import os
from collections.abc import Iterator

import torch

from ..config import ModelConfig
from ..errors import CheckpointError, OutOfMemoryError
from ..machine import CoreMeter, free_memory_bytes, own_memory_bytes

_METER = CoreMeter()
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str) -> torch.device:
    """Return the device for a name; "auto" is the first GPU, or the CPU."""
    if device == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:  # torch's message lists all devices that it ever knew
        raise CheckpointError(f"device {device!r} is not known", "Use auto, cpu, or cuda.") from None
    try:
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # no driver or another backend; a torch without CUDA asserts
        reason = str(error).strip().splitlines()[0][:160]
        raise CheckpointError(f"device {device!r} cannot be used ({reason})", "Use auto, cpu, or cuda.") from None
    return chosen


def device_kind(device: str) -> str:
    """Return "cpu", "cuda" or what else a device is, by its name: a CPU answers in another precision than a GPU."""
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    return auto if device == "auto" else device.partition(":")[0]


def choose_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """Return the dtype for a name; "auto" is float32 on the CPU and 16 bit on a GPU, bfloat16 where it has that."""
    if dtype in DTYPES.values():
        assert isinstance(dtype, torch.dtype)
        return dtype
    if dtype == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if dtype not in DTYPES:
        raise CheckpointError(f"dtype {str(dtype)!r} is not known", f"Use auto, {', '.join(DTYPES)}.")
    return DTYPES[dtype]


def limit_memory(device: torch.device, max_memory: int) -> None:
    """Limit the bytes that this process may take of a GPU; nothing is done for the CPU."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, max_memory / total), device)


def free_slots(
    config: ModelConfig, device: torch.device, dtype: torch.dtype, max_memory: int | None = None
) -> int | None:
    """Return how many slots of keys and values fit what this process may still take of the device's memory.

    Args:
        config: of the model.
        device: where the slots go.
        dtype: of the slots.
        max_memory: bytes that this process may use in all; None for what is free.

    Returns:
        None if that is unknown.
    """
    slot_bytes = config.language.slot_size * dtype.itemsize
    free: int | None
    if device.type == "cuda":
        # What torch holds for tensors to come is free too: else the ratio would depend on what ran before.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free, used = int(torch.cuda.mem_get_info(device)[0] + held), torch.cuda.memory_allocated(device)
    else:
        free, used = free_memory_bytes() if device.type == "cpu" else None, own_memory_bytes()
    if max_memory is not None:
        left = max(0, max_memory - used)
        free = left if free is None else min(free, left)
    return None if free is None else free // slot_bytes


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be allocated; on the CPU torch has no kind of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@contextlib.contextmanager
def within_memory(device: torch.device) -> Iterator[None]:
    """Turn a device that runs out of memory, which no estimate rules out, into an error with advice.

    Raises:
        OutOfMemoryError: torch could not allocate.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        where, other = ("this machine", "") if device.type == "cpu" else (str(device), ", or use --device cpu")
        advice = f"Use fewer frames or a higher ratio, free some memory{other}."
        raise OutOfMemoryError(f"the memory of {where} ran out", advice) from None


@contextlib.contextmanager
def cpu_threads(device: torch.device, reserve: int = 0) -> Iterator[None]:
    """Let torch use the free cores but those reserved: two threads on one core are many times slower than one.

    Nothing changes where the number of torch's threads was chosen already: `OMP_NUM_THREADS`, or fewer than cores.

    Args:
        device: nothing is done unless it is the CPU.
        reserve: cores to leave to the decoding process.
    """
    before, free = torch.get_num_threads(), _METER.num_free()
    if device.type != "cpu" or "OMP_NUM_THREADS" in os.environ or before < _METER.num_cores:
        yield  # the user has chosen already
        return
    torch.set_num_threads(max(1, min(_METER.num_cores - reserve, free)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
