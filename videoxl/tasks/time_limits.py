"""How long the work on a video may take before it counts as hung."""

from typing import TYPE_CHECKING

from ..runs.job import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from ..model import VideoXL

_PER_SECOND = 4.0  # of video: decoding at a quarter of its speed
_PER_FRAME = {"cpu": 20.0, "other": 0.1}  # and 1e9 weights: on two busy cores, or on the smallest of GPUs


def seconds_allowed(model: "VideoXL", num_frames: int, duration: float = 0.0) -> float:
    """Return seconds that are far more than an item should need.

    Args:
        model: does the work, on its device.
        num_frames: that it watches.
        duration: seconds of video that are decoded for them.
    """
    weights = sum(parameter.numel() for part in (model.vision, model.language) for parameter in part.parameters())
    per_frame = _PER_FRAME["cpu" if model.device.type == "cpu" else "other"] * weights / 1e9
    return TIMEOUT_SECONDS + _PER_SECOND * duration + per_frame * num_frames
