"""Whose fault it is when an item raises an exception: that of the item, or of the worker and its device.

    input    an error of the `VideoXLError` family: it says what is wrong with this item, and the next one may be fine
    memory   memory ran out: the item may fit where nothing else is
    device   the device reported an error, after which a process can do nothing more with it
    unknown  anything else, for example a RuntimeError: if one follows another, it is not the items

This is decided by class, in the process in which the exception was raised. No library of a device is known here, so its
errors are known by the names of their classes and by what their messages say.
"""

from typing import Literal

from ..errors import CheckpointError, RunError, VideoXLError

Fault = Literal["input", "memory", "device", "unknown"]

_OF_NO_INPUT = (CheckpointError, RunError)  # the files of the model or of the run
_MEMORY = ("MemoryError", "OutOfMemoryError")  # Python's, ours and torch's
_DEVICE = ("AcceleratorError",)  # torch's since 2.8, before that a RuntimeError
_DEVICE_WORDS = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "CUDNN_STATUS", "HIP error")


def fault_of(error: Exception) -> Fault:
    """Return whose fault an exception is; see above."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if not names.isdisjoint(_MEMORY):
        return "memory"
    if isinstance(error, VideoXLError):
        return "unknown" if isinstance(error, _OF_NO_INPUT) else "input"
    if not names.isdisjoint(_DEVICE) or any(words in str(error) for words in _DEVICE_WORDS):
        return "device"
    return "unknown"
