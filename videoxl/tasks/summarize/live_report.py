"""The page of a run, updated while the run works."""

import contextlib
import time
from pathlib import Path

from ...errors import RunError
from ...runs.events import Event, Progress
from ...runs.state import load_results, state
from .report import write_report

_MIN_SECONDS = 5.0  # between two pages
_MAX_SHARE = 0.05  # of the time, for writing pages


class LiveReport(contextlib.AbstractContextManager["LiveReport"]):
    """Receives the events of a run, and writes its page once a video is done or has failed, then at intervals.

    The last page is written when the context exits, also after an error.

    Args:
        folder: of the run.
        self_contained: for the last page; see `write_report`.

    Raises:
        RunError: the last page cannot be written.
    """

    def __init__(self, folder: Path, self_contained: bool = False) -> None:
        self._folder, self._self_contained = folder, self_contained
        self._is_open = self._is_outdated = False
        self._due = 0.0

    def __call__(self, event: Event) -> None:
        """Write the page if it is outdated and due; a failure to write is ignored until the last page."""
        if isinstance(event, Progress):
            self._is_open = True
            self._is_outdated = event.done + event.failed > 0
        if self._is_outdated and time.monotonic() >= self._due:
            began = time.monotonic()
            with contextlib.suppress(RunError):
                self._write(self_contained=False)
            self._is_outdated = False
            now = time.monotonic()
            self._due = now + max(_MIN_SECONDS, (now - began) / _MAX_SHARE)

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if self._is_open:  # else the folder may belong to another run or process
            with contextlib.nullcontext() if kind is None else contextlib.suppress(RunError):
                self._write(self._self_contained)

    def _write(self, self_contained: bool) -> None:
        now = state(self._folder)
        waiting = now.waiting + now.running
        write_report(self._folder, load_results(self._folder), now.failures, waiting, self_contained)
