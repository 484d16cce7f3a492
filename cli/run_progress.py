"""What a run over many items looks like: bars on a terminal, lines elsewhere; all of it on stderr."""

import sys
import time
from typing import TYPE_CHECKING, Any

from videoxl.runs.events import Event, ItemAdvanced, ItemDone, ItemFailed, ItemStarted, Progress, WorkerLost

from . import render

if TYPE_CHECKING:
    from rich.progress import Progress as Bars


class RunProgress:
    """Shows the events of a run, as its `on_event`. Failures are always shown, progress only if it is enabled.

    Args:
        enabled: show progress.
        what: the items are, for example "videos".
    """

    def __init__(self, enabled: bool, what: str) -> None:
        self._lines = enabled and not sys.stderr.isatty()
        self._is_live = enabled and sys.stderr.isatty()
        self._what = what
        self._bars: Bars | None = None
        self._overall: Any = None
        self._rows: dict[int, Any] = {}
        self._progress = Progress(0, 0, 0)
        self._num_resumed = 0  # items that earlier calls have done or given up
        self._started = time.perf_counter()

    def __enter__(self) -> "RunProgress":
        if self._is_live:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(20))
            detail = TextColumn("{task.fields[detail]}", markup=False)
            self._bars = Progress(*columns, detail, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self._overall = self._bars.add_task(self._what, total=None, detail="")
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if self._bars is not None:
            self._bars.stop()
        if kind is KeyboardInterrupt and self._progress.total:
            now = self._progress
            render.message(f"{now.done} of {now.total} {self._what} are done; the same command resumes")

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Progress):
            self._count(event)
        elif isinstance(event, ItemStarted):
            if not self._rows and self._progress.done + self._progress.failed == self._num_resumed:
                self._started = time.perf_counter()  # the model is loaded now
            self._show_worker(event.worker, event.item.name)
        elif isinstance(event, ItemAdvanced):
            self._advance(event)
        elif isinstance(event, ItemDone):
            if self._lines:
                render.message(f"{self._index()} {event.item.name}: {event.seconds:.1f} s{self._left()}")
            for warning in (warning for row in event.rows for warning in row.get("warnings", ())):
                self._print(f"warning: {warning}")
        elif isinstance(event, ItemFailed):
            verb = "failed" if event.final else "will be tried again"
            self._print(f"{self._index() if event.final else '-'} {event.item.name}: {verb}: {event.message}")
        elif isinstance(event, WorkerLost):
            self._show_worker(event.worker, "starting again" if event.replaced else "gone")
            if event.item is None or not event.replaced:  # else the event about its item says so
                outcome = "it is started again" if event.replaced else "the run continues without it"
                self._print(f"worker {event.worker}: {event.reason}; {outcome}")

    def _count(self, progress: Progress) -> None:
        if not self._progress.total:
            self._num_resumed = progress.done + progress.failed
            if self._num_resumed and self._lines:
                render.message(f"{self._num_resumed} of {progress.total} {self._what} are finished from before")
        self._progress = progress
        if self._bars is not None:
            finished = progress.done + progress.failed
            detail = f"{finished}/{progress.total}" + (f", {progress.failed} failed" if progress.failed else "")
            self._bars.update(
                self._overall, total=progress.total, completed=finished, detail=detail + self._left(finished)
            )

    def _show_worker(self, worker: int, doing: str) -> None:
        """Show what a worker does."""
        if self._bars is not None:
            if worker in self._rows:
                self._bars.remove_task(self._rows[worker])
            self._rows[worker] = self._bars.add_task(f"  {render.printable(doing)}", total=None, detail="")

    def _advance(self, event: ItemAdvanced) -> None:
        """Show how far a worker is."""
        if self._bars is not None:
            now = event.progress
            detail = render.count_detail(now.done, now.total, now.what, now.seconds)
            self._bars.update(self._rows[event.worker], completed=now.done, total=now.total, detail=detail)

    def _print(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(render.printable(text), markup=False, highlight=False, soft_wrap=True)
        else:
            render.message(text)

    def _index(self) -> str:
        """Return for example "[3/12]", of an item that finishes now: it is counted by the event that follows."""
        return f"[{self._progress.done + self._progress.failed + 1}/{self._progress.total}]"

    def _left(self, finished: int | None = None) -> str:
        """Return for example ", 2.4 a minute, 12:30 left", judged by the items of this call."""
        if finished is None:
            finished = self._progress.done + self._progress.failed + 1
        count, seconds = finished - self._num_resumed, time.perf_counter() - self._started
        rate, left = render.rate_and_time_left(count, self._progress.total - finished, seconds)
        return f", {60 * rate:.1f} a minute, {left}" if left else ""
