"""Reading chosen frames with PyAV, in the child process."""

import heapq
from collections.abc import Callable, Iterator

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from .deinterlace import deinterlaced, of_one_moment
from .facts import DecodeRequest
from .opening import demux, is_flush, open_video
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
    in MP4 (its index is by decoding time), so the place where a seek lands is checked.
    """

    def __init__(self, request: DecodeRequest, alive: Callable[[], None]) -> None:
        self._request = request
        self._alive = alive
        facts = request.facts
        self._pts = facts.pts
        self._wanted = {int(facts.pts[i]): p for p, i in enumerate(request.indices) if p >= request.first}
        numbers = np.arange(len(facts.pts))
        self._key_before = np.maximum.accumulate(np.where(facts.keyframes, numbers, -1))
        # FFmpeg's Matroska index is by presentation time, the others are by decoding time.
        self._seek_times = facts.pts if facts.container == "matroska" else facts.dts
        self._may_seek = facts.container not in _NEVER_SEEK
        self._reformatter = VideoReformatter()
        self._last = -1  # number of the last frame that the decoder gave
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
                self._alive()
                pts = _pts(frame)
                if pts is None:
                    continue
                self._last = max(self._last, int(np.searchsorted(self._pts, pts, side="right")) - 1)
                if (found := self._wanted.pop(pts, None)) is not None:
                    yield found, self._picture(frame), bool(frame.is_corrupt)
                passed = self._last - target
                if passed >= _REORDER or (passed >= 0 and int(self._pts[target]) not in self._wanted):
                    break
            else:
                return
            position = int(np.searchsorted(self._request.indices, self._last, side="right"))

    def _open(self) -> None:
        facts = self._request.facts
        self._container, self._stream = open_video(facts.path, facts.location, facts.stream)
        self._codec = decoder_of(self._stream)
        self._codec.thread_count = self._request.threads
        self._codec.thread_type = "AUTO" if self._request.threads > 1 else "SLICE"
        self._start_decoding(demux(self._container, [self._stream]))

    def _start_decoding(self, packets: Iterator[Packet]) -> None:
        self._frames = self._decode(packets)
        if self._request.facts.interlaced:
            if self._request.keyframes_only:
                self._frames = (of_one_moment(None, frame, None) for frame in self._frames)
            else:
                self._frames = deinterlaced(self._frames, lambda frame: _pts(frame) in self._wanted)
        self._last = -1

    def _approach(self, target: int) -> None:
        """Seek to the key frame that `target` needs, if that is ahead of the frames decoded next."""
        if self._request.facts.interlaced:  # it is shown by the help of its neighbours
            target = max(0, target - 1)
        key = int(self._key_before[target])
        if key <= self._last + _MIN_SEEK or not self._may_seek:
            return
        for _ in range(_SEEK_STEPS):
            if self._seek(key):
                return
            key = int(self._key_before[key - 1]) if key > 0 else -1
            if key <= self._last:
                break
        # Decode from the start, and on from there: doing so for every target would take for ever.
        self._may_seek = False
        self._container.close()
        self._open()

    def _seek(self, key: int) -> bool:
        """Go to a key frame; tell whether the file is now at it or before it."""
        try:
            self._container.seek(int(self._seek_times[key]), stream=self._stream)
        except av.FFmpegError:
            return False
        self._codec.flush_buffers()
        packets = demux(self._container, [self._stream])
        packet = next(packets, None)
        if packet is None or is_flush(packet):
            return False
        before = packet.dts is not None and packet.dts <= self._request.facts.dts[key]
        at_key = packet.is_keyframe and packet.pts is not None and packet.pts <= self._pts[key]
        self._start_decoding(_put_back(packet, packets))
        return bool(before or at_key)

    def _decode(self, packets: Iterator[Packet]) -> Iterator[VideoFrame]:
        for packet in packets:
            self._alive()
            pts = packet.dts if packet.pts is None else packet.pts  # as in the facts
            if self._request.keyframes_only and pts not in self._wanted:
                continue
            yield from self._decode_packet(packet)
            if self._request.keyframes_only:
                # The decoder would hold the picture back until it has seen more: tell it that nothing follows.
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
        turns = self._request.facts.rotation // 90 % 4
        if turns % 2:
            width, height = height, width
        facts = self._request.facts
        if facts.has_alpha:
            frame = over_white(frame)
        if facts.transfer == "sdr":
            picture = self._reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC").to_ndarray()
        else:
            picture = to_sdr(scaled_codes(self._reformatter, frame, width, height), facts.transfer)
        return np.rot90(picture, turns)


def _pts(frame: VideoFrame) -> int | None:
    return frame.dts if frame.pts is None else frame.pts


def _put_back(packet: Packet, packets: Iterator[Packet]) -> Iterator[Packet]:
    yield packet
    yield from packets
