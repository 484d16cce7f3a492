"""How many CPU cores this process may use, and who uses them."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def num_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def cpu_threads(device: "torch.device", reserve: int = 0) -> Iterator[None]:
    """Let torch use all cores but those reserved: two threads on one core are many times slower than one.

    Nothing changes where the number of torch's threads was chosen already: `OMP_NUM_THREADS`, or fewer than cores.

    Args:
        device: nothing is done unless it is the CPU.
        reserve: cores to leave to the decoding process.
    """
    import torch  # here, because reading a video needs no torch

    before = torch.get_num_threads()
    if device.type != "cpu" or "OMP_NUM_THREADS" in os.environ or before < num_cores():
        yield  # somebody has chosen already
        return
    torch.set_num_threads(max(1, num_cores() - reserve))
    try:
        yield
    finally:
        torch.set_num_threads(before)
