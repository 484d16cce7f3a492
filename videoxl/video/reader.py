"""Chunks of frames from the decoding process, with one retry, and a report of what was read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..errors import VideoError
from .decode_process import DecodeProcess, ProcessFailure
from .messages import (
    CrashReport,
    DecodeRequest,
    DecoderSwitch,
    EndOfStream,
    FrameBlock,
    Message,
    VideoFailure,
    count_frames,
)
from .sampling import SamplingPlan

_MIN_LIMIT_SECONDS = 60.0
_LIMIT_FACTOR = 20  # times the slowest chunk so far
_FRAME_LIMIT_SECONDS = 600.0  # packets without a frame, at thousands a second: none will come
_MIN_DECODED = 0.5  # of the wanted frames
_OTHER = {"decord": "pyav", "pyav": "decord"}
_DAMAGED_ADVICE = "The file is damaged: copy or download it again, or choose another time range."


@dataclass(frozen=True, eq=False)
class FrameChunk:
    """Consecutive frames of a plan.

    Attributes:
        frames: uint8 RGB [t, h, w, 3], as shown (pixel aspect and rotation applied).
        times: float64 [t], seconds at which they appear.
        indices: int64 [t], their numbers in the video.
    """

    frames: np.ndarray
    times: np.ndarray
    indices: np.ndarray


@dataclass(frozen=True)
class DecodeReport:
    """What was read of a plan; complete when the reader is exhausted.

    Attributes:
        frames_wanted: frames in the plan.
        frames_decoded: frames handed out.
        frames_lost: wanted frames that could not be decoded so far.
        frames_damaged: frames handed out that the decoder marked as showing damage.
        frames_missing: frames that the file announces but does not contain.
        decoder: "decord" or "pyav", the one used last.
        reason: why this decoder.
        decode_seconds: time that the decoding process spent, start-up left out.
        peak_rss_bytes: its peak memory; 0 until it has finished.
        warnings: sentences for the user, one per kind of damage, with the number of frames.
        log: last lines that FFmpeg printed, for debugging.
    """

    frames_wanted: int
    frames_decoded: int
    frames_lost: int
    frames_damaged: int
    frames_missing: int
    decoder: str
    reason: str
    decode_seconds: float
    peak_rss_bytes: int
    warnings: tuple[str, ...]
    log: str


class FrameReader(Iterator[FrameChunk]):
    """Iterator over the frames of a plan; decoding begins at once and stays at most two chunks ahead.

    Close it, use it in a `with` statement, or drop it, to stop early. Not for use from several threads at a time.
    """

    def __init__(self, request: DecodeRequest, plan: SamplingPlan, reason: str, may_retry: bool) -> None:
        self._request = request
        self._plan = plan
        self._reason = reason
        self._may_retry = may_retry
        self._passed = 0  # plan positions handed out or given up
        self._decoded = 0
        self._damaged = 0
        self._seconds = 0.0
        self._slowest = 0.0
        self._peak_rss_bytes = 0
        self._finished = False
        self._process = DecodeProcess(request)

    def __next__(self) -> FrameChunk:
        while not self._finished:
            try:
                limit = max(_MIN_LIMIT_SECONDS, _LIMIT_FACTOR * self._slowest)
                message = self._process.receive(limit, max(_FRAME_LIMIT_SECONDS, limit))
                chunk = self._accept(message)
            except ProcessFailure as failure:
                self._retry(str(failure))
                continue
            except BaseException:  # also Ctrl-C: never leave the process behind
                self.close()
                raise
            if chunk is not None:
                return chunk
        raise StopIteration

    def _accept(self, message: Message) -> FrameChunk | None:
        if isinstance(message, FrameBlock):
            return self._chunk(message)
        if isinstance(message, DecoderSwitch):
            self._request = replace(self._request, decoder="pyav")
            self._reason = message.reason
        elif isinstance(message, EndOfStream):
            self._peak_rss_bytes = message.peak_rss_bytes
            self._passed = len(self._plan)
            self.close()
            self._check_losses()
        elif isinstance(message, VideoFailure):
            raise VideoError(message.problem, message.advice)
        elif isinstance(message, CrashReport):
            raise ProcessFailure(message.traceback.strip().splitlines()[-1])
        return None

    def _chunk(self, block: FrameBlock) -> FrameChunk:
        self._passed = int(block.positions[-1]) + 1
        self._decoded += len(block.positions)
        self._damaged += block.num_damaged
        self._seconds += block.seconds
        self._slowest = max(self._slowest, block.seconds)
        self._check_losses()
        times, indices = self._plan.times[block.positions], self._plan.indices[block.positions]
        return FrameChunk(frames=block.frames, times=times, indices=indices)

    def _check_losses(self) -> None:
        wanted = len(self._plan)
        if wanted - (self._passed - self._decoded) < _MIN_DECODED * wanted:
            path = self._request.info.path
            raise VideoError(
                f"{path}: {self._passed - self._decoded} of {wanted} frames cannot be decoded", _DAMAGED_ADVICE
            )

    def _retry(self, failure: str) -> None:
        """Continue with the other decoder from the first frame that is missing."""
        self.close()
        if not self._may_retry:
            path = self._request.info.path
            raise VideoError(f"{path}: decoding failed ({failure})", "The file may be damaged: try another copy.")
        decoder = _OTHER[self._request.decoder]
        self._reason = f"{self._request.decoder} failed: {failure}"
        self._request = replace(self._request, decoder=decoder, first=self._passed)
        self._may_retry = False
        self._finished = False
        self._process = DecodeProcess(self._request)

    @property
    def is_ahead(self) -> bool:
        """Whether the next chunk is there already, or none is to come: decoding is not what is waited for."""
        return self._passed >= len(self._plan) or self._process.has_message

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about damage so far, with the number of frames; complete when the reader is exhausted."""
        return self.report.warnings

    @property
    def report(self) -> DecodeReport:
        """What has been read so far."""
        info = self._request.info
        lost = self._passed - self._decoded
        warnings = [f"{info.path}: {warning}" for warning in info.warnings]
        faults = [f"{lost} of {len(self._plan)} frames lost"] if lost else []
        if self._damaged:
            faults.append(f"{count_frames(self._damaged)} decoded with faults")
        if faults:
            warnings.append(f"{info.path}: the file is damaged, {', '.join(faults)}")
        return DecodeReport(
            frames_wanted=len(self._plan),
            frames_decoded=self._decoded,
            frames_lost=lost,
            frames_damaged=self._damaged,
            frames_missing=info.frames_missing,
            decoder=self._request.decoder,
            reason=self._reason,
            decode_seconds=self._seconds,
            peak_rss_bytes=self._peak_rss_bytes,
            warnings=tuple(warnings),
            log=self._process.log,
        )

    def close(self) -> None:
        """Stop decoding, and end the decoding process."""
        self._finished = True
        self._process.close()

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
