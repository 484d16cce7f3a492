"""Extending the memory of a file that grows, such as a recording: which part of an earlier memory is still valid."""

import math
import os

import numpy as np

from ..errors import MemoryFileError
from ..memory.edit import first_windows
from ..memory.value import VisualMemory
from ..planning.memory_plan import MemoryPlan
from ..planning.windows import plan_windows
from ..version import MEMORY_REVISION
from ..video.identity import VideoRecord, content_digest
from ..video.video import Video

# The last frames of a file that is being written may be cut in two, or lack frames that they refer to and that come
# later in the file; H.264 and HEVC reorder at most 16.
_UNSETTLED_FRAMES = 16
_UNSETTLED_SECONDS = 1.0
_REWRITTEN = "It is another file, or its header was rewritten, as at the end of a recording in .mkv."
_ADVICE = "Make the memory again from the whole video."


def video_record(plan: MemoryPlan) -> VideoRecord | None:
    """Return what is known of the file that a plan reads; None if it does not read a file.

    Raises:
        VideoError: the file cannot be read any more.
    """
    return plan.source.record if isinstance(plan.source, Video) else None


def known_part(plan: MemoryPlan, memory: VisualMemory) -> VisualMemory | None:
    """Return the part of a memory that the planned one would begin with, or None if there is none.

    It is made of full windows whose frames are the first ones of the plan, and ends where a window and a frame do.
    There is none if the ratio is another, or the start of the video, or the revision of the memory: memories that mean
    different things are not mixed. The file's last moments are not in it, unless the file is the same: they may not
    have been written whole.

    Args:
        plan: of the file as it is now.
        memory: of the file as it was.

    Raises:
        MemoryFileError: the plan or the memory is not of a file, or the file no longer begins with what the
            memory is of.
        VideoError: the file cannot be read any more.
    """
    before, now = memory.video, video_record(plan)
    if before is None or now is None or memory.frame_times is None:
        raise MemoryFileError("this memory, or the video to extend it with, is not of a video file", _ADVICE)
    _check_begins_with(now, before)
    if memory.revision != MEMORY_REVISION:
        return None
    if memory.options is None or memory.options.start != plan.options.start:
        return None  # its first VSTs may hold frames before those that are planned
    if before.stream not in (now.stream, None):
        return None  # it is of another stream
    is_same = now.digest == before.digest
    times = memory.frame_times
    if not is_same:
        times = times[times < before.duration - max(_UNSETTLED_SECONDS, _UNSETTLED_FRAMES / before.fps)]
    num_frames = _num_equal(times, plan.frames.times)
    config = plan.budget.config
    per_frame = config.vision.tokens_per_frame
    planned = list(plan_windows(len(plan) * per_frame, config.window, plan.policy, plan.budget.num_prefix))
    windows = np.array([(window.ratio, window.num_vst) for window in planned])
    num_windows = _num_equal(np.stack([memory.ratios, memory.window_vsts], axis=1), windows)
    if is_same and num_frames == len(plan) == memory.num_frames and num_windows == len(planned):
        return memory
    num_frames = min(num_frames, len(plan) - 1)  # reading the rest finds what is damaged in the file as it is now
    step = math.lcm(config.window, per_frame)  # visual tokens from one end of both a window and a frame to the next
    num_tokens = min(num_frames * per_frame, num_windows * config.window) // step * step
    if not num_tokens:
        return None
    return first_windows(memory, num_tokens // config.window, num_tokens // per_frame, num_tokens)


def _check_begins_with(now: VideoRecord, before: VideoRecord) -> None:
    name = os.path.basename(now.path)
    if now.size < before.size:
        raise MemoryFileError(f"{name}: is shorter than when the memory was made", _ADVICE)
    if content_digest(now.path, before.size) != before.digest:
        raise MemoryFileError(f"{name}: no longer begins with what the memory is of", f"{_REWRITTEN} {_ADVICE}")


def _num_equal(first: np.ndarray, second: np.ndarray) -> int:
    """Return how many of the first rows of two arrays are equal."""
    both = min(len(first), len(second))
    differs = first[:both] != second[:both]
    rows = np.flatnonzero(differs.any(axis=tuple(range(1, differs.ndim))))
    return int(rows[0]) if len(rows) else both
