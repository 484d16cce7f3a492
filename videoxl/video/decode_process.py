"""Our end of the decoding process: start it, receive from it, end it."""

import contextlib
import json
import math
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from typing import IO, BinaryIO

from ..machine import describe_exit
from .messages import Heartbeat, Message, Request

# A plain interpreter with our import path: `multiprocessing` would run the user's main module again in the child.
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from videoxl.video.decode_worker import main; main()"
_LOG_BYTES = 8192
_START_SECONDS = 60.0  # a third of a second of work, which on a busy machine can take very long


class ProcessFailure(Exception):
    """The decoding process crashed, or sent nothing, or no frame, for too long."""


class DecodeProcess:
    """One child process that serves one request.

    At most two messages wait for us: one read from the pipe and one being read. The child is ended by `close`, when
    this object is dropped, or when Python exits.
    """

    def __init__(self, request: Request) -> None:
        log = tempfile.TemporaryFile()  # noqa: SIM115  closed by _end
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert self._process.stdin and self._process.stdout
        self._messages: queue.Queue[Message | None] = queue.Queue(maxsize=1)
        self._pump = threading.Thread(target=_pump, args=(self._process.stdout, self._messages), daemon=True)
        self._log_lines: list[str] = []
        self._started = False
        self.close = weakref.finalize(self, _end, self._process, self._pump, self._messages, log, self._log_lines)
        self._pump.start()
        # Standard input stays open: its end is how the child learns that this process is gone.
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(request, self._process.stdin, protocol=5)
            self._process.stdin.flush()

    def receive(self, silence_limit: float, frame_limit: float = math.inf) -> Message:
        """Return the next message that is not `Heartbeat`.

        Args:
            silence_limit: seconds without any message, after the process has started.
            frame_limit: seconds without a frame, wanted or not, however lively the process is.

        Raises:
            ProcessFailure: the process ended, or a limit is reached.
        """
        message: Message | None = Heartbeat()
        last_frame = time.monotonic()
        while isinstance(message, Heartbeat):
            if message.num_decoded or not self._started:
                last_frame = time.monotonic()
            elif time.monotonic() - last_frame > frame_limit:
                raise ProcessFailure(f"no frame for {frame_limit:g} s")
            limit = silence_limit if self._started else max(silence_limit, _START_SECONDS)
            try:
                message = self._messages.get(timeout=limit)
            except queue.Empty:
                raise ProcessFailure(f"no sign of life for {limit:g} s") from None
            self._started = True
        if message is None:
            raise ProcessFailure(f"the decoding process {describe_exit(self._process.wait())}")
        return message

    @property
    def has_message(self) -> bool:
        """Whether `receive` would return at once."""
        return not self._messages.empty()

    @property
    def log(self) -> str:
        """The last lines that FFmpeg and decord printed; empty until the process is closed."""
        return "\n".join(self._log_lines)


def _pump(pipe: BinaryIO, messages: "queue.Queue[Message | None]") -> None:
    """Move messages from the pipe to the queue; None at the end."""
    with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
        while True:
            messages.put(pickle.load(pipe))
    messages.put(None)


def _end(
    process: "subprocess.Popen[bytes]",
    pump: threading.Thread,
    messages: "queue.Queue[Message | None]",
    log: IO[bytes],
    log_lines: list[str],
) -> None:
    """End the child, which holds nothing that needs a gentle end, and wait until it and the thread are gone."""
    process.kill()
    process.wait()
    # The garbage collector may run this in the very thread that is waited for.
    while pump.is_alive() and pump is not threading.current_thread():
        with contextlib.suppress(queue.Empty):
            messages.get(timeout=0.01)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
    log_lines += log.read().decode("utf-8", "replace").replace("\0", "").splitlines()
    log.close()
