"""The cause of an item's exception: the item itself, its need of memory, or the worker and its device.

    input    an error of the `VideoXLError` family: it names what is wrong with this item; the next one may be fine
    memory   out of memory: the item may fit when it runs alone
    device   the device reported an error, after which the process cannot use it any more
    unknown  anything else, for example a RuntimeError: if several follow each other, the items are not the cause

The cause is decided by the exception's class, in the process that raised it. No device library is imported here, so its
errors are recognised by the names of their classes and by their messages.
"""

from typing import Literal

from ..errors import CheckpointError, RunError, VideoXLError

Fault = Literal["input", "memory", "device", "unknown"]

_NOT_INPUT = (CheckpointError, RunError)  # about the files of the model or of the run
_MEMORY_ERRORS = ("MemoryError", "OutOfMemoryError")  # Python's, ours and torch's
_DEVICE_ERRORS = ("AcceleratorError",)  # torch's since 2.8, before that a RuntimeError
_DEVICE_MESSAGES = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "CUDNN_STATUS", "HIP error")


def fault_of(error: Exception) -> Fault:
    """Return the cause of an exception, see above."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if not names.isdisjoint(_MEMORY_ERRORS):
        return "memory"
    if isinstance(error, VideoXLError):
        return "unknown" if isinstance(error, _NOT_INPUT) else "input"
    if not names.isdisjoint(_DEVICE_ERRORS) or any(message in str(error) for message in _DEVICE_MESSAGES):
        return "device"
    return "unknown"
