"""Timeouts: how long the work on a video may take before it counts as hung."""

from typing import TYPE_CHECKING

from ..runs.job import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from ..model import VideoXL

_PER_SECOND = 4.0  # of video: decoding at a quarter of real time
_PER_FRAME = {"cpu": 20.0, "other": 0.1}  # and 1e9 weights: on two busy cores, or on the smallest GPUs


def timeout_seconds(model: "VideoXL", num_frames: int, duration: float = 0.0) -> float:
    """Return a timeout in seconds, far longer than the work should take.

    Args:
        model: that does the work, on its device.
        num_frames: number of frames that it processes.
        duration: of the video that is decoded for them, seconds.
    """
    weights = sum(parameter.numel() for part in (model.vision, model.language) for parameter in part.parameters())
    per_frame = _PER_FRAME["cpu" if model.device.type == "cpu" else "other"] * weights / 1e9
    return TIMEOUT_SECONDS + _PER_SECOND * duration + per_frame * num_frames
