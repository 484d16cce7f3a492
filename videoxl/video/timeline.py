"""A clock that is not continuous: recordings that were joined, or a camera that was started again in the same file.

Where the clock jumps, times continue: the first frame after a jump appears when the last one before it has been shown
for its whole duration. What counts as a jump depends on the container:

- MPEG transport and program streams and Ogg, whose time stamps may jump by the definition of the format
  (`ts_discont` in FFmpeg). FFmpeg's own rule: the decoding time stamp steps back by more than 0.1 s, or ahead by more
  than 10 s. A step ahead stays what it is, a pause, where sound continues in it, and in videos of a frame a second or
  fewer, unless it is ten times as long as steps usually are.
- Matroska and FLV, whose clock runs from 0, but begins again where files were joined: a key frame appears more than
  0.1 s before a frame that is earlier in the file. A long step ahead is a pause.
- All others, such as MP4: never. Their index knows all times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.packet import Packet

from ..timestamps import format_timestamp
from .messages import Segment

_BACK_SECONDS = 0.1
_AHEAD_SECONDS = 10.0
_USUAL_STEPS = 10
_LEAPING = ("mpegts", "mpeg", "ogg")
_RESTARTING = ("matroska", "flv")
_MAX_LISTED = 3  # jumps in a warning


class ClockJumpDetector:
    """Looks at the time stamps of a file in its own order, and notes where they may have jumped.

    Args:
        container: FFmpeg's short name of it.
        time_base: seconds per unit of the video stream's time stamps.
    """

    def __init__(self, container: str, time_base: Fraction) -> None:
        self._may_leap, self._may_restart = container in _LEAPING, container in _RESTARTING
        self._time_base = float(time_base)
        self._back, self._ahead = _BACK_SECONDS / self._time_base, _AHEAD_SECONDS / self._time_base
        self._others: list[float] = []  # seconds, after the last frame
        self._last_dts: int | None = None
        self._max_pts: int | None = None
        self._steps: list[int] = []  # of the decoding time
        self._jumps: list[tuple[int, int]] = []  # packet, step

    def add_other(self, seconds: float) -> None:
        """Take in the time stamp of a packet of another stream, such as the sound."""
        if self._may_leap:
            self._others.append(seconds)

    def add_frame(self, number: int, pts: int | None, dts: int | None, is_keyframe: bool) -> None:
        """Take in a packet of the video stream; `number` counts them."""
        if self._may_leap and dts is not None:
            self._add_step(number, dts)
        elif self._may_restart and pts is not None:
            latest = pts if self._max_pts is None else self._max_pts
            if is_keyframe and pts < latest - self._back:
                self._jumps.append((number, pts - latest))
                latest = pts
            self._max_pts = max(latest, pts)

    def _add_step(self, number: int, dts: int) -> None:
        if self._last_dts is not None:
            step = dts - self._last_dts
            self._steps.append(step)
            if step < -self._back or (step > self._ahead and not self._is_filled(self._last_dts, dts)):
                self._jumps.append((number, step))
                self._others.clear()
        self._last_dts = dts
        # FFmpeg hands out a frame of a transport stream after the packets between it and the next.
        self._others = [other for other in self._others if other > dts * self._time_base]

    def _is_filled(self, before: int, after: int) -> bool:
        """Return whether another stream continues between two frames."""
        low, high = before * self._time_base, after * self._time_base
        moments = np.sort([low, high, *(other for other in self._others if low < other < high)])
        return bool(np.diff(moments).max() <= _AHEAD_SECONDS)

    @property
    def jumps(self) -> list[int]:
        """Numbers of the packets at which another clock begins."""
        usual = float(np.median(self._steps)) if self._steps else 0.0
        return [number for number, step in self._jumps if step < 0 or step > _USUAL_STEPS * usual]


@dataclass(frozen=True, eq=False)
class Timeline:
    """Time stamps of the frames that are shown, in the order of display, on a continuous clock.

    Attributes:
        pts: int64 [t], presentation time stamps, ascending.
        dts: int64 [t], decoding time stamps.
        keyframes: bool [t], frames that decode without any other.
        end: time stamp at which the last frame is no longer shown.
        segments: of the file; none if its clock never jumps.
    """

    pts: np.ndarray
    dts: np.ndarray
    keyframes: np.ndarray
    end: int
    segments: tuple[Segment, ...]


def join_clocks(
    jumps: Sequence[int],
    numbers: Sequence[int],
    pts: Sequence[int],
    dts: Sequence[int],
    durations: Sequence[int],
    keyframes: Sequence[bool],
) -> Timeline:
    """Return the timeline of a file.

    Args:
        jumps: numbers of the packets at which another clock begins, ascending.
        numbers: of the packets with frames that are shown, in the order of the file.
        pts: presentation time stamps of these.
        dts: their decoding time stamps.
        durations: for how long they are shown; 0 where it is not known.
        keyframes: whether they decode without any other.
    """
    stamps = np.array(pts, np.int64)
    lengths = np.array(durations, np.int64)
    lengths[lengths == 0] = int(np.median(np.diff(np.unique(stamps)))) if len(set(pts)) > 1 else 0
    shift = np.zeros_like(stamps)
    segments: list[Segment] = []
    end = int(stamps.min())
    borders = np.searchsorted(numbers, [0, *jumps, numbers[-1] + 1]).tolist()
    for first, low, high in zip([0, *jumps], borders, borders[1:], strict=False):
        if low < high:
            begin = int(stamps[low:high].min())
            offset = end - begin if segments else 0
            if not segments or offset != segments[-1].offset:
                segments.append(Segment(first, offset, begin + offset))
            shift[low:high] = offset
            end = int((stamps[low:high] + lengths[low:high]).max()) + offset
    joined, order = np.unique(stamps + shift, return_index=True)
    return Timeline(
        pts=joined,
        dts=(np.array(dts, np.int64) + shift)[order],
        keyframes=np.array(keyframes)[order],
        end=int(joined[-1] + lengths[order[-1]]),
        segments=tuple(segments) if len(segments) > 1 else (),
    )


def rebase(packets: Iterator[Packet], segments: Sequence[Segment]) -> Iterator[Packet | None]:
    """Yield all packets of a video stream, from the first on, with continuous time stamps.

    None comes before a segment that begins with a key frame: the decoder may hold frames of the one before. Other
    segments may need these: a clock can be set within a recording.
    """
    offsets = {segment.first: segment.offset for segment in segments}
    offset = 0
    for number, packet in enumerate(packets):
        if number in offsets:
            offset = offsets[number]
            if packet.is_keyframe:
                yield None
        packet.pts = None if packet.pts is None else packet.pts + offset
        packet.dts = None if packet.dts is None else packet.dts + offset
        yield packet


def jump_warning(times: Sequence[float]) -> str:
    """Return a sentence about jumps of the clock at some times, in seconds."""
    listed = ", ".join(format_timestamp(round(time, 3)) for time in times[:_MAX_LISTED])
    more = f" and {len(times) - _MAX_LISTED} more times" if len(times) > _MAX_LISTED else ""
    return f"its clock was reset at {listed}{more}; times continue from there"
