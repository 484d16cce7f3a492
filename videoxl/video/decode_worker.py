"""The main function of the decoding process.

It reads one pickled request from standard input, and writes pickled messages to standard output. The pipe is the
back-pressure: a full one stops the decoder. (Chunks through a pipe cost 8 ms each at 2.4 GB/s; shared memory would save
less than a thousandth of the decoding time, and can be leaked.) What FFmpeg prints goes to the file that the parent set
as standard error. When standard input closes, the parent is gone, and so is this process.
"""

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ..errors import VideoError
from .messages import (
    CrashReport,
    DecodeRequest,
    DecoderSwitch,
    EndOfStream,
    FrameBlock,
    Heartbeat,
    Message,
    Request,
    VideoFailure,
)

_HEARTBEAT_SECONDS = 1.0
_MAX_LOG_BYTES = 1 << 20


class _Channel:
    """Sends messages to the parent."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._last_sent = time.monotonic()
        self._num_decoded = 0  # frames since then

    def send(self, message: Message) -> None:
        pickle.dump(message, self._output, protocol=5)
        self._output.flush()
        self._last_sent = time.monotonic()
        self._num_decoded = 0

    def heartbeat(self, num_decoded: int = 0) -> None:
        """Send the parent a sign of life, at most once a second; keep the log small.

        Args:
            num_decoded: frames that were decoded since the last call, whether or not they are wanted.
        """
        self._num_decoded += num_decoded
        if time.monotonic() - self._last_sent < _HEARTBEAT_SECONDS:
            return
        self.send(Heartbeat(self._num_decoded))
        if os.fstat(2).st_size > _MAX_LOG_BYTES:
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)


def main() -> None:
    """Serve one request, then end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    channel = _Channel(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # a library that prints must not disturb the messages
    request: Request = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _serve(request, channel)
    except VideoError as error:
        channel.send(VideoFailure(str(error), error.advice))
    except BrokenPipeError:
        pass
    except Exception:  # the parent turns it into an error of its own, or tries the other decoder
        channel.send(CrashReport(traceback.format_exc()))
    os._exit(0)  # without the destructors of decoders that may be in a bad state


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(0)


def _serve(request: Request, channel: _Channel) -> None:
    import av.logging

    from .probe import probe

    channel.send(Heartbeat())  # all is imported
    # FFmpeg's own printing: PyAV's hook for Python would need the interpreter lock in decoding threads.
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)
    if isinstance(request, DecodeRequest):
        _decode(request, channel)
        channel.send(EndOfStream(_peak_rss_bytes()))
    else:
        channel.send(probe(request.path, request.location, request.stream, channel.heartbeat))


def _decode(request: DecodeRequest, channel: _Channel) -> None:
    began = time.monotonic()
    positions: list[int] = []
    damaged = 0
    frames = np.empty((request.chunk, request.height, request.width, 3), np.uint8)
    for position, picture, is_damaged in _pictures(request, channel):
        frames[len(positions)] = picture
        positions.append(position)
        damaged += is_damaged
        if len(positions) == request.chunk:
            channel.send(FrameBlock(np.array(positions), frames, damaged, time.monotonic() - began))
            positions, damaged, began = [], 0, time.monotonic()
    if positions:
        seconds = time.monotonic() - began
        channel.send(FrameBlock(np.array(positions), frames[: len(positions)], damaged, seconds))


def _pictures(request: DecodeRequest, channel: _Channel) -> Iterator[tuple[int, np.ndarray, bool]]:
    from dataclasses import replace

    from .decord_reader import DecordFailure, read_with_decord
    from .pyav_reader import PyAVReader

    first = request.first
    if request.decoder == "decord":
        try:
            for picture in read_with_decord(request, channel.heartbeat):
                yield picture
                first = picture[0] + 1
            return
        except DecordFailure as problem:
            if not request.may_switch:
                path = request.info.path
                raise VideoError(f"{path}: {problem}", "Let videoxl choose the decoder.") from problem
            channel.send(DecoderSwitch(str(problem)))
    yield from PyAVReader(replace(request, first=first), channel.heartbeat)


def _peak_rss_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
