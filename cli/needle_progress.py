"""What `videoxl needle` shows while it works: a grid that fills on a terminal, a line a cell elsewhere."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoxl.runs.engine import load_results
from videoxl.runs.events import Event, ItemAdvanced, ItemDone, ItemFailed, ItemStarted, Progress, WorkerLost

from . import render

if TYPE_CHECKING:
    from rich.table import Table

    from videoxl.tasks.needle.settings import NeedleSettings

_FAILED = "failed"


class NeedleProgress:
    """Shows a run on stderr.

    Args:
        settings: of the run.
        folder: of the run; what is done in it already is shown as done.
        enabled: False shows nothing.
    """

    def __init__(self, settings: "NeedleSettings", folder: Path, enabled: bool) -> None:
        self._settings, self._folder, self._enabled = settings, folder, enabled
        self._cells: dict[tuple[int, float], list[float]] = {}
        self._failed: set[tuple[int, float]] = set()
        self._running: dict[tuple[int, float], str] = {}
        self._progress = Progress(0, 0, 0)
        self._started = time.perf_counter()
        self._done_cost = 0.0  # of the cells done by this command
        self._is_loaded = False
        self._finished: ItemDone | None = None
        self._live: Any = None

    def __enter__(self) -> "NeedleProgress":
        if self._enabled and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), get_renderable=self._table, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def on_event(self, event: Event) -> None:
        """Take note of what happened."""
        if isinstance(event, Progress):
            if not self._progress.total and event.done:
                for row in load_results(self._folder):
                    self._cells.setdefault(_cell(row), []).append(row["score"])
            self._progress = event
            if self._finished is not None:
                self._cell_done(self._finished)
                self._finished = None
        elif isinstance(event, ItemStarted):
            if not self._running and not self._done_cost:
                self._started = time.perf_counter()  # the model is loaded now
            self._is_loaded = True
            self._running[_cell(event.item.data)] = "…"
        elif isinstance(event, ItemAdvanced):
            self._running[_cell(event.item.data)] = f"{event.progress.done}/{event.progress.total}"
        elif isinstance(event, ItemDone):
            self._finished = event  # shown once the progress that comes with it is known
        elif isinstance(event, ItemFailed):
            self._running.pop(_cell(event.item.data), None)
            if not event.final:
                return
            self._failed.add(_cell(event.item.data))
            self._line(f"{event.item.name}: failed: {event.message}", always=True)
        elif isinstance(event, WorkerLost):
            self._line(f"worker {event.worker} {event.reason}", always=True)

    def _cell_done(self, event: ItemDone) -> None:
        cell = _cell(event.item.data)
        self._running.pop(cell, None)
        scores = [row["score"] for row in event.rows]
        self._cells.setdefault(cell, []).extend(scores)
        self._done_cost += _cost(*cell)
        count = f"[{self._progress.done + self._progress.failed}/{self._progress.total}]"
        right = f"{sum(scores):.0f}/{len(scores)} right, {event.seconds:.1f} s{self._left()}"
        self._line(f"{count} {event.item.data['haystack']}, {cell[0]} frames, depth {cell[1]:g} %: {right}")

    def _line(self, text: str, always: bool = False) -> None:
        """Show a line for good; on a terminal only what the grid does not show."""
        if self._live is None and self._enabled:
            render.message(text)
        elif self._live is not None and always:
            self._live.console.print(render.printable(text), highlight=False, markup=False)

    def _left(self) -> str:
        """Return for example ", 2:05 left"."""
        # Cells are done about in this order, the same for every haystack.
        grid = [_cost(length, depth) for length in self._settings.lengths for depth in sorted(self._settings.depths)]
        done = self._progress.done + self._progress.failed
        haystacks = max(1, self._progress.total // len(grid))
        waiting = (grid * haystacks)[done:]
        seconds = time.perf_counter() - self._started
        _, left = render.rate_and_time_left(self._done_cost, sum(waiting), seconds)
        return f", {left}" if left and waiting else ""

    def _table(self) -> "Table":
        from rich.table import Table

        progress = self._progress
        title = f"{progress.done + progress.failed} of {progress.total} cells{self._left()}"
        if not self._is_loaded:
            title = f"loading {self._settings.model}"
        table = Table(title=render.printable(title), title_justify="left")
        table.add_column("depth", justify="right")
        for length in sorted(self._settings.lengths):
            table.add_column(str(length), justify="right")
        for depth in sorted(self._settings.depths):
            table.add_row(f"{depth:g} %", *(self._text((length, depth)) for length in sorted(self._settings.lengths)))
        return table

    def _text(self, cell: tuple[int, float]) -> str:
        if cell in self._failed:
            return f"[red]{_FAILED}[/red]"
        scores = self._cells.get(cell)
        if not scores:
            return f"[dim]{self._running.get(cell, '')}[/dim]"
        share = 100 * sum(scores) / len(scores)
        colour = "green" if share >= 90 else "yellow" if share >= 50 else "red"
        return f"[{colour}]{share:.0f}[/{colour}]"


def _cost(length: int, depth: float) -> float:
    """Return about how long a cell takes: what comes after the needle is condensed for every trial."""
    return length * (1.1 - depth / 100)


def _cell(data: dict[str, Any]) -> tuple[int, float]:
    return data["length"], data["depth"]
