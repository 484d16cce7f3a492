"""Probing a file with PyAV, in the child process: one pass over its packets, and one decoded picture.

The pass costs about a second per hour of video. It gives exact frame times, and finds out whether decord can be trusted
with the file: decord silently returns wrong frames for open GOPs, MPEG-TS, AVI with B-frames and edit lists, and hides
damage.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import VideoError
from .checks import GET_ANOTHER_COPY
from .container import demux, is_flush, open_video
from .deinterlace import is_interlaced
from .messages import VideoInfo, count_frames
from .streams import choice_warning, moving_streams, stream_infos
from .timeline import ClockJumpDetector, Timeline, join_clocks, jump_warning
from .tone_mapping import transfer_of
from .transparency import decoder_of, has_alpha

_DECORD_CONTAINERS = ("mov", "matroska")
_DECORD_MAX_GOP_PIXELS = 4e9  # about 4300 pictures of 1280x720; decord cannot report that it is still working
_FIRST_PICTURE_PACKETS = 2000  # give up when none of so many packets gives a picture


@dataclass
class _Packets:
    """What the packet pass collects about the video stream; times are in units of its time base."""

    clock: ClockJumpDetector
    pts: list[int] = field(default_factory=list)
    dts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)  # 0 where unknown
    keyframes: list[bool] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # in the order of the file
    count: int = 0  # also those that are not shown
    num_hidden: int = 0
    num_without_pts: int = 0
    num_corrupt: int = 0
    end_seconds: float = 0.0  # latest end in any stream
    open_gop: bool = False
    _key_pts: int | None = None

    def add(self, packet: Packet) -> None:
        """Take in a packet of the video stream."""
        number = self.count
        self.count += 1
        self.num_corrupt += packet.is_corrupt
        self.num_without_pts += packet.pts is None
        pts = packet.dts if packet.pts is None else packet.pts
        self.clock.add_frame(number, pts, packet.dts, packet.is_keyframe)
        if packet.is_discard or not packet.size or pts is None:
            self.num_hidden += packet.is_discard
            return
        if not packet.is_keyframe and self._key_pts is not None and pts < self._key_pts:
            self.open_gop = True
        if packet.is_keyframe:
            self._key_pts = pts
        self.pts.append(pts)
        self.numbers.append(number)
        self.durations.append(packet.duration or 0)
        self.dts.append(pts if packet.dts is None else packet.dts)
        self.keyframes.append(packet.is_keyframe)

    def timeline(self) -> Timeline:
        """Return when the frames appear."""
        return join_clocks(self.clock.jumps, self.numbers, self.pts, self.dts, self.durations, self.keyframes)


def probe(path: str, location: str, requested: int | None, heartbeat: Callable[[], None]) -> VideoInfo:
    """Return the info about the video in a file.

    Args:
        path: the file as messages name it.
        location: its absolute path.
        requested: index of the stream; None for the best one.
        heartbeat: called now and then while working.

    Raises:
        VideoError: the file cannot be opened, lacks the stream, or holds no picture that can be decoded.
    """
    log_begin = os.fstat(2).st_size
    container, stream = open_video(path, location, requested)
    with container:
        packets = _read_packets(container, stream, heartbeat)
        if not packets.pts:
            raise VideoError(f"{path}: its video track has no frames", GET_ANOTHER_COPY)
        damaged = packets.num_corrupt > 0 or os.fstat(2).st_size > log_begin
        first = _first_picture(path, location, stream.index, heartbeat)
        return _info(path, location, container, stream, packets, damaged, first, requested)


def _read_packets(container: InputContainer, stream: VideoStream, heartbeat: Callable[[], None]) -> _Packets:
    packets = _Packets(ClockJumpDetector(_container_name(container), _time_base(stream)))
    # Where the header keeps no count of frames, the end of the other streams shows whether the file was cut off.
    streams = [stream] if stream.frames else [s for s in container.streams if s.type in ("video", "audio")]
    for packet in demux(container, streams):
        heartbeat()
        if is_flush(packet):
            continue
        if packet.stream is stream:
            packets.add(packet)
        if packet.pts is not None and packet.time_base:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            packets.end_seconds = max(packets.end_seconds, end)
            if packet.stream is not stream:
                packets.clock.add_other(end)
    return packets


def _info(
    path: str,
    location: str,
    container: InputContainer,
    stream: VideoStream,
    packets: _Packets,
    damaged: bool,
    first: VideoFrame,
    requested: int | None,
) -> VideoInfo:
    time_base = _time_base(stream)
    start = (container.start_time or 0) / av.time_base
    timeline = packets.timeline()
    pts, keyframes = timeline.pts, timeline.keyframes
    duration = timeline.end * float(time_base) - start
    average = 0.0 if timeline.segments else float(stream.average_rate or 0)
    fps = average or len(pts) / max(duration, float(time_base))
    width, height = _shown_size(first, stream)
    missing = 0 if timeline.segments else _missing_at_end(container, stream, packets, fps)
    warnings = [f"the file is incomplete, about {count_frames(missing)} missing at its end"] if missing else []
    in_gaps = _missing_in_gaps(pts) if damaged else 0
    if in_gaps:
        warnings.append(f"the file is damaged, about {count_frames(in_gaps)} missing")
    gop_pixels = _longest_gop(keyframes) * first.width * first.height
    decord_problem = _decord_problem(container, stream, packets, gop_pixels, first)
    if timeline.segments:
        decord_problem = "its clock was reset"
        warnings.append(jump_warning([segment.begin * float(time_base) - start for segment in timeline.segments[1:]]))
    elif damaged or warnings:
        decord_problem = "FFmpeg found errors in the file, and decord hides damage"
    streams = stream_infos(container, stream)
    if choice := choice_warning(streams, requested):
        warnings.append(choice)
    return VideoInfo(
        path=path,
        location=location,
        container=_container_name(container),
        codec=stream.codec_context.codec.canonical_name,
        width=width,
        height=height,
        rotation=int(first.rotation),
        fps=fps,
        duration=duration,
        start=start,
        time_base=time_base,
        pts=pts,
        dts=timeline.dts,
        keyframes=keyframes,
        frames_missing=missing + in_gaps,
        warnings=tuple(warnings),
        decord_problem=decord_problem,
        decord_installed=importlib.util.find_spec("decord") is not None,
        segments=timeline.segments,
        streams=streams,
        transfer=transfer_of(first),
        interlaced=is_interlaced(stream, first),
        has_alpha=has_alpha(first),
    )


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, av.time_base)


def _container_name(container: InputContainer) -> str:
    return container.format.name.split(",")[0]


def _longest_gop(keyframes: np.ndarray) -> int:
    borders = np.concatenate([[0], np.flatnonzero(keyframes), [len(keyframes)]])
    return int(np.diff(borders).max())


def _first_picture(path: str, location: str, index: int, heartbeat: Callable[[], None]) -> VideoFrame:
    """Decode one picture: its size and rotation are true, those in the header need not be."""
    container, stream = open_video(path, location, index)
    with container:
        decoder = decoder_of(stream)
        for number, packet in enumerate(demux(container, [stream])):
            heartbeat()
            try:
                frames = decoder.decode(packet)
            except av.FFmpegError:
                frames = []
            if frames:
                return frames[0]
            if number > _FIRST_PICTURE_PACKETS:
                break
    raise VideoError(f"{path}: none of its pictures can be decoded", GET_ANOTHER_COPY)


def _shown_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Return width and height in square pixels, after rotation."""
    aspect = float(stream.sample_aspect_ratio or 1)
    if not 0.1 < aspect < 10:  # nonsense in a header
        aspect = 1.0
    width, height = max(1, round(frame.width * aspect)), frame.height
    return (height, width) if int(frame.rotation) % 180 else (width, height)


def _missing_at_end(container: InputContainer, stream: VideoStream, packets: _Packets, fps: float) -> int:
    """Return how many frames the header announces beyond those in the file."""
    if stream.frames:
        missing = stream.frames - packets.count
        # Only the MP4 family lists every frame; other headers hold what the writer guessed.
        slack = 0 if _container_name(container) == "mov" else 2 + packets.count // 100
    elif container.duration:
        announced = (container.start_time or 0) + container.duration
        missing = round((announced / av.time_base - packets.end_seconds) * fps)
        slack = round(fps) + packets.count // 100
    else:
        return 0
    return missing if missing > slack else 0


def _missing_in_gaps(pts: np.ndarray) -> int:
    """Estimate the frames lost in a damaged file of constant rate from the gaps between its time stamps."""
    gaps = np.diff(pts)
    interval = np.median(gaps) if len(gaps) else 0
    if interval <= 0 or np.mean(np.abs(gaps - interval) < 0.2 * interval) < 0.9:
        return 0
    missing = int(np.sum(np.round(gaps / interval).clip(min=1) - 1))
    return missing if missing > 1 else 0  # one may be a matter of rounding where two recordings were joined


def _decord_problem(
    container: InputContainer, stream: VideoStream, packets: _Packets, gop_pixels: int, first: VideoFrame
) -> str | None:
    """Return why decord would read the file wrongly or not at all; None where nothing is known against it."""
    name = _container_name(container)
    problems = {
        f"decord is not reliable with {name} files": name not in _DECORD_CONTAINERS,
        "decord has no AV1 decoder": stream.codec_context.codec.canonical_name == "av1",
        "some frames have no time stamp": packets.num_without_pts > 0,
        "decord shows the frames that an edit list hides": packets.num_hidden > 0,
        "decord seeks wrongly in open GOPs": packets.open_gop,
        "the first frame is not a key frame": not packets.keyframes[0],
        "decord chooses among video streams by itself": len(moving_streams(container)) > 1,
        "decord shows HDR too dark": transfer_of(first) != "sdr",
        "decord weaves two moments into one picture": is_interlaced(stream, first),
        "decord shows hidden colours for transparency": has_alpha(first),
        "decord cannot open a file without a duration": not container.duration,
        "key frames are too far apart for decord": gop_pixels > _DECORD_MAX_GOP_PIXELS,
    }
    return next((problem for problem, found in problems.items() if found), None)
