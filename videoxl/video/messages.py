"""What passes between our process and the decoding process."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

Transfer = Literal["sdr", "pq", "hlg"]


@dataclass(frozen=True)
class Segment:
    """Packets whose time stamps are of one clock; see `timeline`.

    Attributes:
        first: number of the first of them among all packets of the video stream, in the order of the file.
        offset: what is added to their time stamps, so that they continue where those of the segment before end.
        begin: the first presentation time stamp that comes of it.
    """

    first: int
    offset: int
    begin: int


@dataclass(frozen=True)
class StreamInfo:
    """One of the video streams of a file.

    Args:
        index: its number among all streams of the file, as ffprobe counts them.
        width: in pixels, from the header; height likewise.
        fps: average frames per second; 0 if the header has none.
        codec: FFmpeg's name; "unknown" if it has no decoder.
        chosen: whether it is the one that is read.
    """

    index: int
    width: int
    height: int
    fps: float
    codec: str
    chosen: bool


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """What the probe found out about a file. The arrays have one entry per shown frame, in the order of display.

    Attributes:
        path: the file as the user named it, for messages.
        location: its absolute path.
        container: FFmpeg's short name of the container format, such as "mov" or "matroska".
        codec: FFmpeg's name of the video codec.
        width: width in square pixels as shown, that is after pixel aspect and rotation.
        height: height as shown.
        rotation: degrees (multiple of 90) by which a decoded picture is turned counter-clockwise to be shown.
        fps: average frames per second.
        duration: seconds from the start of the file to the end of its last readable frame.
        start: seconds on the file's own clock at which a player starts; times are counted from there.
        time_base: seconds per unit of `pts` and `dts`.
        pts: int64, presentation time stamps, ascending; where the clock of the file jumps they continue.
        dts: int64, decoding time stamps of the same frames, likewise.
        keyframes: bool, frames that decode without any other.
        frames_missing: frames that the file announces but does not contain (an estimate where it keeps no count).
        warnings: sentences about damage.
        decord_problem: why decord would read this file wrongly; None where nothing is known against it.
        decord_installed: whether the decoding process can find decord.
        segments: how its clock jumps; none where it runs on.
        streams: the streams of moving pictures in the file, one of them chosen.
        transfer: how codes mean light; "pq" and "hlg" are HDR, which is shown as SDR.
        interlaced: whether pictures may be woven from two moments; each is shown at the first of them.
        has_alpha: whether pictures may be transparent; they are shown over white.
    """

    path: str
    location: str
    container: str
    codec: str
    width: int
    height: int
    rotation: int
    fps: float
    duration: float
    start: float
    time_base: Fraction
    pts: np.ndarray
    dts: np.ndarray
    keyframes: np.ndarray
    frames_missing: int
    warnings: tuple[str, ...]
    decord_problem: str | None
    decord_installed: bool
    segments: tuple[Segment, ...] = ()
    streams: tuple[StreamInfo, ...] = ()
    transfer: Transfer = "sdr"
    interlaced: bool = False
    has_alpha: bool = False

    @property
    def stream(self) -> int:
        """Index of the stream that is read."""
        return next(stream.index for stream in self.streams if stream.chosen)

    @property
    def times(self) -> np.ndarray:
        """float64, seconds from the start at which each frame appears, as a player counts them."""
        return self.pts * float(self.time_base) - self.start


def stream_records(streams: Sequence[StreamInfo]) -> list[dict[str, Any]]:
    """Return the streams of a file for JSON."""
    return [asdict(stream) | {"fps": round(stream.fps, 3)} for stream in streams]


def count_frames(number: int) -> str:
    """Return the number with its noun, for messages."""
    return f"{number} frame" if number == 1 else f"{number} frames"


@dataclass(frozen=True)
class ProbeRequest:
    """Ask for the `VideoInfo` of a file, about the stream of that index; None is FFmpeg's choice."""

    path: str
    location: str
    stream: int | None = None


@dataclass(frozen=True, eq=False)
class DecodeRequest:
    """Ask for frames of a probed file.

    Attributes:
        info: the file.
        indices: int64, ascending, the wanted frames.
        first: position in `indices` to begin with.
        width: width of the pictures to send; height likewise.
        chunk: frames per message.
        decoder: "decord" or "pyav".
        may_switch: whether PyAV may continue where decord fails.
        keyframes_only: every wanted frame is a key frame, and only these are to be decoded.
        threads: decoding threads of PyAV.
    """

    info: VideoInfo
    indices: np.ndarray
    first: int
    width: int
    height: int
    chunk: int
    decoder: str
    may_switch: bool
    keyframes_only: bool
    threads: int


@dataclass(frozen=True)
class Heartbeat:
    """The decoder is working; nothing is ready yet. It has decoded this many frames since its last message."""

    num_decoded: int = 0


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """Decoded frames: positions int64 [t] in the request's indices, frames uint8 RGB [t, h, w, 3]."""

    positions: np.ndarray
    frames: np.ndarray
    num_damaged: int
    seconds: float


@dataclass(frozen=True)
class DecoderSwitch:
    """decord failed, PyAV continues."""

    reason: str


@dataclass(frozen=True)
class EndOfStream:
    """Nothing more will come."""

    peak_rss_bytes: int


@dataclass(frozen=True)
class VideoFailure:
    """The file is at fault: the two sentences of a `VideoError`."""

    problem: str
    advice: str


@dataclass(frozen=True)
class CrashReport:
    """The decoding process raised an error that it did not expect."""

    traceback: str


Request = ProbeRequest | DecodeRequest
Message = Heartbeat | VideoInfo | FrameBlock | DecoderSwitch | EndOfStream | VideoFailure | CrashReport
