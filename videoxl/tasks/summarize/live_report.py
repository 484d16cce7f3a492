"""The page about a run while it goes on."""

import contextlib
import time
from pathlib import Path

from ...errors import RunError
from ...runs.events import Event, Progress
from ...runs.state import load_results, state
from .report import write_report

_SECONDS = 5.0  # at least, from one page to the next
_SHARE = 0.05  # at most, of the time for pages


class LiveReport(contextlib.AbstractContextManager["LiveReport"]):
    """Takes the events of a run, and writes its page when the first video is done or has failed, then now and then.

    The last page is written when the context ends, whatever ends it.

    Args:
        folder: of the run.
        self_contained: of the last page; see `write_report`.

    Raises:
        RunError: the last page cannot be written.
    """

    def __init__(self, folder: Path, self_contained: bool = False) -> None:
        self._folder, self._self_contained = folder, self_contained
        self._is_open = self._is_behind = False
        self._due = 0.0

    def __call__(self, event: Event) -> None:
        """Write the page, if it is behind and due; one that cannot be written now may be later."""
        if isinstance(event, Progress):
            self._is_open = True
            self._is_behind = event.done + event.failed > 0
        if self._is_behind and time.monotonic() >= self._due:
            began = time.monotonic()
            with contextlib.suppress(RunError):
                self._write(self_contained=False)
            self._is_behind = False
            now = time.monotonic()
            self._due = now + max(_SECONDS, (now - began) / _SHARE)

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if self._is_open:  # else the folder may be another run's, or another process may work in it
            with contextlib.nullcontext() if kind is None else contextlib.suppress(RunError):
                self._write(self._self_contained)

    def _write(self, self_contained: bool) -> None:
        now = state(self._folder)
        waiting = now.waiting + now.running
        write_report(self._folder, load_results(self._folder), now.failures, waiting, self_contained)
