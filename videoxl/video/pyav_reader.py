"""Reading chosen frames with PyAV, in the child process."""

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from .container import demux, is_flush, open_video
from .deinterlace import deinterlaced, of_one_moment
from .messages import DecodeRequest
from .timeline import rebase
from .tone_mapping import scaled_codes, to_sdr
from .transparency import decoder_of, over_white

Picture = tuple[int, np.ndarray, bool]  # position in the request, uint8 [h, w, 3], shows damage

_MIN_SEEK = 12  # frames; skipping fewer by decoding costs less than a seek
_SEEK_STEPS = 3  # key frames to step back when a seek lands too late
_REORDER = 8  # damaged streams, and AVI with B-frames, hand out frames in a slightly wrong order
# MPEG program streams leave time stamps out; FFmpeg counts them up from wherever it begins to read.
_NEVER_SEEK = ("mpeg",)


class PyAVReader:
    """Yields the wanted frames in order; those that cannot be decoded are left out.

    Seeks to the key frame before a wanted frame where that skips something. Seeking by presentation time is not exact
    in MP4 (its index is by decoding time), so where a seek lands is checked.

    Args:
        request: what is wanted.
        heartbeat: called now and then while working.
        end: time stamp of the frame at which the file is taken to end; None for all of it.
    """

    def __init__(self, request: DecodeRequest, heartbeat: Callable[[int], None], end: int | None = None) -> None:
        self._request = request
        self._heartbeat = heartbeat
        self._end = end
        info = request.info
        self._pts = info.pts
        self._wanted = {int(info.pts[i]): p for p, i in enumerate(request.indices) if p >= request.first}
        numbers = np.arange(len(info.pts))
        self._key_before = np.maximum.accumulate(np.where(info.keyframes, numbers, -1))
        # FFmpeg's Matroska index is by presentation time, the others are by decoding time.
        self._seek_times = info.pts if info.container == "matroska" else info.dts
        self._may_seek = info.container not in _NEVER_SEEK and not info.segments
        self._skip_to: int | None = None  # time stamp of the packet that is decoded next
        self._reformatter = VideoReformatter()
        self._last = -1  # number of the last frame that the decoder gave
        self._size: tuple[int, int] | None = None  # of that frame
        self._open()

    def __iter__(self) -> Iterator[Picture]:
        waiting: list[Picture] = []  # heap by position
        done = -1
        for picture in self._unordered():
            # Positions differ, so the comparison of two tuples never reaches the arrays.
            heapq.heappush(waiting, picture)
            if len(waiting) > _REORDER:
                picture = heapq.heappop(waiting)
                if picture[0] > done:
                    done = picture[0]
                    yield picture
        while waiting:
            picture = heapq.heappop(waiting)
            if picture[0] > done:
                yield picture
        self._container.close()

    def _unordered(self) -> Iterator[Picture]:
        """Yield wanted pictures as the decoder gives them."""
        position = self._request.first
        while position < len(self._request.indices):
            target = int(self._request.indices[position])
            self._approach(target)
            for frame in self._frames:
                self._heartbeat(1)
                pts = _pts(frame)
                if pts is None:
                    continue
                before, size = self._last, self._size
                self._last = max(self._last, int(np.searchsorted(self._pts, pts, side="right")) - 1)
                self._size = (frame.width, frame.height)
                if self._size != size and size is not None:
                    yield from self._held_back(before, pts)
                if (found := self._wanted.pop(pts, None)) is not None:
                    yield found, self._picture(frame), bool(frame.is_corrupt)
                passed = self._last - target
                if passed >= _REORDER or (passed >= 0 and int(self._pts[target]) not in self._wanted):
                    break
            else:
                return
            position = int(np.searchsorted(self._request.indices, self._last, side="right"))

    def _held_back(self, before: int, pts: int) -> Iterator[Picture]:
        """Yield the wanted pictures between frame number `before` and `pts`, where the size changes.

        Some decoders drop what they still hold of the old size, such as MPEG-2 the last frame. It is read again, from
        a file that ends there.
        """
        numbers = range(before + 1, int(np.searchsorted(self._pts, pts)))
        lost = [self._wanted.pop(int(self._pts[n])) for n in numbers if int(self._pts[n]) in self._wanted]
        if lost and self._end is None:
            request = replace(self._request, indices=self._request.indices[lost], first=0)
            for index, picture, is_damaged in PyAVReader(request, self._heartbeat, end=pts):
                yield lost[index], picture, is_damaged

    def _open(self) -> None:
        info = self._request.info
        self._container, self._stream = open_video(info.path, info.location, info.stream)
        self._codec = decoder_of(self._stream)
        self._codec.thread_count = self._request.threads
        self._codec.thread_type = "AUTO" if self._request.threads > 1 else "SLICE"
        packets = demux(self._container, [self._stream])
        self._start_decoding(rebase(packets, info.segments) if info.segments else packets)

    def _start_decoding(self, packets: Iterator[Packet | None]) -> None:
        self._frames = self._decode(packets)
        if self._request.info.interlaced:
            if self._request.keyframes_only:
                self._frames = (of_one_moment(None, frame, None) for frame in self._frames)
            else:
                self._frames = deinterlaced(self._frames, lambda frame: _pts(frame) in self._wanted)
        self._last = -1
        self._fed = -math.inf

    def _approach(self, target: int) -> None:
        """Seek to the key frame that `target` needs, if that is ahead of the frames decoded next."""
        if self._request.info.interlaced:  # its neighbours are needed to show it
            target = max(0, target - 1)
        key = int(self._key_before[target])
        if key <= self._last + _MIN_SEEK:
            return
        if not self._may_seek:
            # Reading on without decoding takes a hundredth of the time, and the packets keep their numbers.
            self._skip_to = int(self._pts[key]) if self._pts[key] > self._fed else None
            return
        for _ in range(_SEEK_STEPS):
            if self._seek(key):
                return
            key = int(self._key_before[key - 1]) if key > 0 else -1
            if key <= self._last:
                break
        # Decode from the start, and on from there: doing so for every target would take too long.
        self._may_seek = False
        self._container.close()
        self._open()

    def _seek(self, key: int) -> bool:
        """Seek to a key frame; return whether the file is now at it or before it."""
        try:
            self._container.seek(int(self._seek_times[key]), stream=self._stream)
        except av.FFmpegError:
            return False
        self._codec.flush_buffers()
        packets = demux(self._container, [self._stream])
        packet = next(packets, None)
        if packet is None or is_flush(packet):
            return False
        before = packet.dts is not None and packet.dts <= self._request.info.dts[key]
        at_key = packet.is_keyframe and packet.pts is not None and packet.pts <= self._pts[key]
        self._start_decoding(_put_back(packet, packets))
        return bool(before or at_key)

    def _decode(self, packets: Iterator[Packet | None]) -> Iterator[VideoFrame]:
        for packet in packets:
            self._heartbeat(0)
            if packet is None:
                yield from self._drain()
                continue
            pts = packet.dts if packet.pts is None else packet.pts  # as in the info
            if self._end is not None and pts is not None and pts >= self._end and packet.is_keyframe:
                yield from self._decode_packet(None)
                return
            if self._request.keyframes_only and pts not in self._wanted:
                continue
            if self._skip_to is not None and pts is not None:
                if pts != self._skip_to:
                    continue
                self._skip_to = None
                self._codec.flush_buffers()
            self._fed = max(self._fed, -math.inf if pts is None else pts)
            yield from self._decode_packet(packet)
            if self._request.keyframes_only:
                # The decoder would hold the picture back until it has seen more.
                yield from self._drain()

    def _drain(self) -> Iterator[VideoFrame]:
        """Yield what the decoder still holds, by signalling the end, and make it ready for what follows."""
        yield from self._decode_packet(None)
        self._codec.flush_buffers()

    def _decode_packet(self, packet: Packet | None) -> list[VideoFrame]:
        try:
            return list(self._codec.decode(packet))
        except av.FFmpegError:  # damaged here: the frame counts as lost
            return []

    def _picture(self, frame: VideoFrame) -> np.ndarray:
        """Return the frame as shown: scaled with an antialiasing filter, turned, uint8 RGB [h, w, 3]."""
        width, height = self._request.width, self._request.height
        turns = self._request.info.rotation // 90 % 4
        if turns % 2:
            width, height = height, width
        info = self._request.info
        if info.has_alpha:
            frame = over_white(frame)
        if info.transfer == "sdr":
            picture = self._reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC").to_ndarray()
        else:
            picture = to_sdr(scaled_codes(self._reformatter, frame, width, height), info.transfer)
        return np.rot90(picture, turns)


def _pts(frame: VideoFrame) -> int | None:
    return frame.dts if frame.pts is None else frame.pts


def _put_back(packet: Packet, packets: Iterator[Packet]) -> Iterator[Packet]:
    yield packet
    yield from packets
