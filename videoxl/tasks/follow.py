"""A question about a recording in progress, asked again as the file grows."""

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

_PAUSE_SECONDS = 1.0  # at least


@dataclass(frozen=True)
class AnswerEvent:
    """An answer that differs from the one before, or is the first.

    Args:
        time: seconds of the video that were there to be watched.
        answer: with its evidence.
        num_frames: frames that it was answered from.
        num_read: frames of these that were read for it; what was read before is in memory.
    """

    time: float
    answer: "Answer"
    num_frames: int
    num_read: int


class Follower:
    """Looks at a file now and then, and asks when it has grown.

    Args:
        path: of a video file that may still be written.
        model: answers.
        watch: how the file is watched; with mode "fixed-rate" only what is new is read.
        question: in words.
        answer: how it is answered.
        reserved_slots: slots to leave for question and answer.
        on_warning: called with a sentence about what is wrong with the file now, once for as long as it is the same.
        on_progress: called after every chunk of frames.
    """

    def __init__(
        self,
        path: str,
        model: "VideoXL",
        watch: MemoryOptions,
        question: str,
        answer: AnswerOptions,
        reserved_slots: int = DEFAULT_RESERVED_SLOTS,
        on_warning: Callable[[str], None] | None = None,
        on_progress: Callable[["Progress"], None] | None = None,
    ) -> None:
        self._path, self._model, self._watch = local_path(path), model, watch
        self._question, self._answer, self._reserved_slots = question, answer, reserved_slots
        self._on_warning, self._on_progress = on_warning, on_progress
        self._memory: VisualMemory | None = None
        self._seen: tuple[int, int] | None = None
        self._text: str | None = None
        self._warnings: tuple[str, ...] = ()

    def events(self, every: float, times: int | None = None) -> Iterator[AnswerEvent]:
        """Yield an event whenever the answer changes.

        A file that cannot be read at the first look is an error, later a warning: it is looked at again. One that was
        replaced, or whose beginning was written anew, is watched from its start.

        Args:
            every: seconds from one look to the next, or more where looking takes longer; there is a second between two.
            times: end after so many looks; None never ends.

        Raises:
            VideoError: the file cannot be read, at the first look or at the last.
            BudgetError: the model lacks the ratio, or the video does not fit.
            QuestionError: the question is empty or too long.
        """
        looks = 0
        while True:
            began = monotonic()
            looks += 1
            try:
                event = self._look()
            except VideoError as error:
                if looks in (1, times):
                    raise
                event = None
                self._warn((str(error),))
            if event is not None:
                yield event
            if looks == times:
                return
            sleep(max(_PAUSE_SECONDS, began + every - monotonic()))

    def _look(self) -> AnswerEvent | None:
        """Watch what is new and ask; None if nothing is new, or the answer is the same."""
        seen = self._state()
        if self._memory is not None and seen == self._seen:
            return None
        video = Video(self._path, stream=self._watch.video_stream)
        plan = self._model.plan(video, options=self._watch, reserved_slots=self._reserved_slots)
        num_read = 0

        def count(progress: "Progress") -> None:
            nonlocal num_read
            num_read = progress.frames_done
            if self._on_progress is not None:
                self._on_progress(progress)

        replaced: tuple[str, ...] = ()
        try:
            if self._memory is None:
                watched = self._model.memorize_plan(plan, count)
            else:
                watched = self._model.extend_memory(plan, self._memory, count)
        except MemoryFileError as error:
            replaced = (f"{error}; it is watched anew",)
            watched = self._model.memorize_plan(plan, count)
        self._memory, self._seen = watched.memory, seen
        self._warn((*replaced, *watched.warnings))
        answer = self._model.ask(self._memory, self._question, options=self._answer)
        if answer.text == self._text:
            return None
        self._text = answer.text
        time = self._memory.video.duration if self._memory.video is not None else 0.0
        return AnswerEvent(time, answer, self._memory.num_frames, num_read)

    def _state(self) -> tuple[int, int] | None:
        """Return what changes when the file is written to."""
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
