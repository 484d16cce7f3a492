"""Video files: info, choice of frames, and frames in chunks.

Opening and decoding happen in a child process (see `videoxl.video`), so a file on which a decoder hangs or crashes
costs an error message. Nothing here imports torch.
"""

import functools
import os
from typing import Literal

from ..errors import VideoError
from ..files import local_path
from ..machine import num_cores
from ..options import Mode
from .checks import check_file
from .decode_process import DecodeProcess, ProcessFailure
from .identity import VideoRecord, content_digest
from .messages import CrashReport, DecodeRequest, ProbeRequest, VideoFailure, VideoInfo
from .reader import DecodeReport, FrameChunk, FrameReader
from .sampling import SamplingPlan, plan_frames

__all__ = ["DecodeReport", "FrameChunk", "FrameReader", "SamplingPlan", "Video"]

Decoder = Literal["auto", "decord", "pyav"]

_PROBE_LIMIT_SECONDS = 10.0  # without any sign of life
_MAX_CHUNK_BYTES = 64 << 20  # several chunks may exist at a time, and frames of a full-size 8K video are 100 MB each


class Video:
    """A local video file.

    Args:
        path: the file, or its file URL. Playlists, network addresses and still pictures are refused.
        decoder: "auto" reads with decord where it is installed and right, else with PyAV; "decord" and "pyav" insist.
        stream: index of the video stream to read, for a file that has several; None for FFmpeg's choice.

    Attributes:
        path: as given; of a URL, the path that it names.
        duration: seconds from the start to the end of the last readable frame.
        fps: average frames per second.
        width, height: size in square pixels as shown, after pixel aspect and rotation.
        codec: FFmpeg's name of the video codec, such as "h264".
        container: FFmpeg's short name of the container format, such as "mov".
        num_frames: frames that the file contains.
        streams: its streams of moving pictures.
        stream: index of the one that is read.

    Raises:
        VideoError: the file cannot be opened as a video, or lacks the stream; decoder="decord" and decord would read
            it wrongly.
    """

    def __init__(self, path: str | os.PathLike[str], decoder: Decoder = "auto", stream: int | None = None) -> None:
        if decoder not in ("auto", "decord", "pyav"):
            raise VideoError(f"decoder {decoder!r} is not known", "Choose 'auto', 'decord' or 'pyav'.")
        self.path = local_path(path)
        self._info = info = _probe(self.path, check_file(path), stream)
        self._decoder = decoder
        self.duration = info.duration
        self.fps = info.fps
        self.width = info.width
        self.height = info.height
        self.codec = info.codec
        self.container = info.container
        self.num_frames = len(info.pts)
        self.streams = info.streams
        self.stream = info.stream
        self._choose_decoder("uniform")

    def __repr__(self) -> str:
        size = f"{self.width}x{self.height}"
        return f"Video({self.path!r}, {self.duration:.2f} s, {self.fps:g} fps, {size}, {self.codec})"

    @functools.cached_property
    def record(self) -> VideoRecord:
        """What a memory of it keeps, to recognise it again.

        Raises:
            VideoError: the file cannot be read any more.
        """
        status = os.stat(check_file(self.path))
        digest = content_digest(self.path, status.st_size)  # of that size: it may be growing
        sizes = (self.width, self.height, status.st_size)
        path = os.path.abspath(self.path)
        return VideoRecord(path, self.duration, self.fps, *sizes, status.st_mtime, digest, self.streams)

    def sample(
        self,
        max_frames: int = 1024,
        fps: float | None = None,
        start: float | None = None,
        end: float | None = None,
        mode: Mode = "uniform",
    ) -> SamplingPlan:
        """Return which frames to read.

        Args:
            max_frames: at most so many; a video with fewer gives each of its frames once.
            fps: at most so many frames per second of video, so that short videos are not over-sampled.
            start: seconds; the frame on screen at `start` is considered, and those that appear later and before `end`.
            end: seconds; may lie beyond the end of the video.
            mode: "uniform" spaces frames evenly in time from the first to the last, both included. At a constant rate
                this equals the reference's `linspace` over frame numbers. "keyframes" takes key frames only, which
                decode many times faster in long videos; of too many, those nearest to evenly spaced moments.
                "fixed-rate" takes the frames on screen every 1/fps seconds, from the start on; of too many, every
                second one, or every fourth, and so on. They stay the same as a file grows, until it is too long
                for that rate.

        Raises:
            VideoError: a value out of range, end before start, start beyond the end, no frame or no key frame in the
                range, no fps for "fixed-rate".
        """
        return plan_frames(self._info, max_frames, fps, start, end, mode)

    def read(self, plan: SamplingPlan, chunk: int = 32, size: int | None = None) -> FrameReader:
        """Return an iterator over the planned frames. Decoding starts at once, at most two chunks ahead.

        Frames that cannot be decoded are left out, never replaced: compare `indices`, or see `reader.report`.

        Args:
            plan: from `sample`.
            chunk: frames per chunk; fewer when they are so large that a chunk would exceed 64 MiB, and in the last.
            size: shorter edge of the frames in pixels, for cheaper decoding. Never enlarges. None: as shown.

        Raises:
            VideoError: here for a bad argument; while iterating, when more than half of the frames cannot be decoded,
                or decoding crashes or stalls with both decoders.
        """
        if chunk < 1 or (size is not None and size < 1):
            raise VideoError(f"chunk is {chunk} and size is {size}", "Give positive numbers.")
        width, height = _reduced(self.width, self.height, size)
        decoder, reason = self._choose_decoder(plan.mode)
        request = DecodeRequest(
            info=self._info,
            indices=plan.indices,
            first=0,
            width=width,
            height=height,
            chunk=max(1, min(chunk, len(plan), _MAX_CHUNK_BYTES // (width * height * 3))),
            decoder=decoder,
            may_switch=self._decoder == "auto",
            keyframes_only=plan.mode == "keyframes",
            threads=_decode_threads(),
        )
        other_is_right = decoder == "decord" or (self._info.decord_installed and not self._info.decord_problem)
        return FrameReader(request, plan, reason, may_retry=self._decoder == "auto" and other_is_right)

    def _choose_decoder(self, mode: Mode) -> tuple[Literal["decord", "pyav"], str]:
        """Return the decoder to use, and why.

        Raises:
            VideoError: decord is asked for, and not installed or not right for this file.
        """
        problem = self._info.decord_problem
        if problem is None and not self._info.decord_installed:
            problem = "decord is not installed"
        if self._decoder == "decord" and problem is not None:
            raise VideoError(f"{self.path}: cannot be read with decord ({problem})", "Let videoxl choose the decoder.")
        if self._decoder != "auto":
            return self._decoder, "asked for"
        if problem is not None:
            return "pyav", problem
        if mode == "keyframes":
            return "pyav", "it decodes key frames alone"
        return "decord", "no sign that it would read this file wrongly"


def _probe(path: str, location: str, stream: int | None) -> VideoInfo:
    process = DecodeProcess(ProbeRequest(path, location, stream))
    try:
        message = process.receive(_PROBE_LIMIT_SECONDS)
    except ProcessFailure as failure:
        raise VideoError(
            f"{path}: cannot be opened ({failure})", "The file may be damaged: try another copy."
        ) from None
    finally:
        process.close()
    if isinstance(message, VideoFailure):
        raise VideoError(message.problem, message.advice)
    if isinstance(message, CrashReport):
        last_line = message.traceback.strip().splitlines()[-1]
        raise VideoError(f"{path}: cannot be opened ({last_line})", "The file may be damaged: try another copy.")
    assert isinstance(message, VideoInfo)
    return message


def _reduced(width: int, height: int, size: int | None) -> tuple[int, int]:
    """Return width and height with a shorter edge of `size`; the longer edge is rounded down, as the reference does."""
    shorter = min(width, height)
    if size is None or size >= shorter:
        return width, height
    return max(1, width * size // shorter), max(1, height * size // shorter)


def _decode_threads() -> int:
    """Return PyAV's threads: on few cores the model needs them, and more threads only cost time."""
    return 1 if num_cores() <= 2 else min(4, num_cores() // 2)
