"""A question about a growing recording, asked again as the file grows."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING

from ..errors import MemoryFileError, VideoError
from ..files import local_path
from ..options import AnswerOptions, MemoryOptions
from ..planning.budget import DEFAULT_RESERVED_SLOTS
from ..video.video import Video

if TYPE_CHECKING:
    from ..engine.answer import Answer
    from ..memory.value import VisualMemory
    from ..model import Progress, VideoXL

_MIN_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class AnswerEvent:
    """The first answer, or one that differs from the previous one.

    Args:
        time: duration of the video at that moment, seconds.
        answer: with its evidence.
        num_frames: number of frames in the memory.
        num_read: number of frames that were read since the previous memory.
    """

    time: float
    answer: "Answer"
    num_frames: int
    num_read: int


class Follower:
    """Checks a file at intervals, and asks a question when it has grown.

    Args:
        path: of a video file that may still be growing.
        model: answers the question.
        memory_options: how the memory is made; with mode "fixed-rate" only new frames are read.
        question: in words.
        answer_options: generation of answers.
        reserved_slots: slots to keep free for question and answer.
        on_warning: called with a sentence about a problem of the file, once for as long as it lasts.
        on_progress: called after every chunk of frames.
    """

    def __init__(
        self,
        path: str,
        model: "VideoXL",
        memory_options: MemoryOptions,
        question: str,
        answer_options: AnswerOptions,
        reserved_slots: int = DEFAULT_RESERVED_SLOTS,
        on_warning: Callable[[str], None] | None = None,
        on_progress: Callable[["Progress"], None] | None = None,
    ) -> None:
        self._path, self._model, self._memory_options = local_path(path), model, memory_options
        self._question, self._answer_options, self._reserved_slots = question, answer_options, reserved_slots
        self._on_warning, self._on_progress = on_warning, on_progress
        self._memory: VisualMemory | None = None
        self._last_state: tuple[int, int] | None = None
        self._last_text: str | None = None
        self._warnings: tuple[str, ...] = ()

    def events(self, every: float, times: int | None = None) -> Iterator[AnswerEvent]:
        """Yield an event whenever the answer changes.

        If the file cannot be read at the first check, that is an error; later it is a warning, and the file is checked
        again. If it was replaced, or its beginning was rewritten, its memory is made again from the start.

        Args:
            every: seconds between the starts of two checks; there is always at least a second between two checks.
            times: number of checks; None never ends.

        Raises:
            VideoError: the file cannot be read at the first check or at the last.
            BudgetError: the model lacks the ratio, or the video does not fit.
            QuestionError: the question is empty or too long.
        """
        num_checks = 0
        while True:
            began = monotonic()
            num_checks += 1
            try:
                event = self._check()
            except VideoError as error:
                if num_checks in (1, times):
                    raise
                event = None
                self._warn((str(error),))
            if event is not None:
                yield event
            if num_checks == times:
                return
            sleep(max(_MIN_PAUSE_SECONDS, began + every - monotonic()))

    def _check(self) -> AnswerEvent | None:
        """Extend the memory and ask; return None if nothing is new or the answer is the same."""
        state = self._state()
        if self._memory is not None and state == self._last_state:
            return None
        video = Video(self._path, stream=self._memory_options.video_stream)
        plan = self._model.plan(video, options=self._memory_options, reserved_slots=self._reserved_slots)
        num_read = 0

        def count(progress: "Progress") -> None:
            nonlocal num_read
            num_read = progress.frames_done
            if self._on_progress is not None:
                self._on_progress(progress)

        replaced: tuple[str, ...] = ()
        try:
            if self._memory is None:
                result = self._model.memorize_plan(plan, count)
            else:
                result = self._model.extend_memory(plan, self._memory, count)
        except MemoryFileError as error:
            replaced = (f"{error}; its memory is made again",)
            result = self._model.memorize_plan(plan, count)
        self._memory, self._last_state = result.memory, state
        self._warn((*replaced, *result.warnings))
        answer = self._model.ask(self._memory, self._question, options=self._answer_options)
        if answer.text == self._last_text:
            return None
        self._last_text = answer.text
        time = self._memory.video.duration if self._memory.video is not None else 0.0
        return AnswerEvent(time, answer, self._memory.num_frames, num_read)

    def _state(self) -> tuple[int, int] | None:
        """Return the file's size and time of change; None if it cannot be read."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None  # opening it says why
        return status.st_size, status.st_mtime_ns

    def _warn(self, warnings: tuple[str, ...]) -> None:
        if self._on_warning is not None:
            for warning in warnings:
                if warning not in self._warnings:
                    self._on_warning(warning)
        self._warnings = warnings
