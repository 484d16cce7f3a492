"""What commands show: results on stdout, all else on stderr, and the one place that turns errors into exit codes."""

import contextlib
import errno
import json
import logging
import sys
import time
import traceback
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from videoxl.errors import VideoXLError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from videoxl.model import Progress
    from videoxl.runs.state import Failure


_UNWRITABLE = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS)


def printable(text: str) -> str:
    """Return text without terminal control sequences: file names and answers come from strangers."""
    return "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def _escaped(character: str) -> str:
    return character if character in "\n\t" else character.encode("unicode_escape").decode()


def message(text: str) -> None:
    """Print one line on stderr, whatever the text contains. Never wrapped: it may hold a path to copy."""
    typer.echo(_one_line(text), err=True)


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())


def print_json(value: Any) -> None:
    """Print one JSON object on stdout. ASCII, so that any name of a file survives any encoding."""
    typer.echo(json.dumps(value, indent=2))


def print_json_line(value: Any) -> None:
    """Print one JSON object on one line of stdout, at once: others may follow."""
    line(json.dumps(value))


def line(text: str) -> None:
    """Print one line on stdout, at once, whatever the text contains."""
    typer.echo(printable(text).replace("\n", "\\n"))
    sys.stdout.flush()


class AnswerLine:
    """Shows an answer on stdout as it comes, without the white space around it."""

    def __init__(self) -> None:
        self._has_begun = False
        self._pending = ""

    def push(self, piece: str) -> None:
        """Show the next piece; white space is held back until something follows it."""
        self._pending += piece
        shown = self._pending.rstrip() if self._has_begun else self._pending.strip()
        if shown:
            typer.echo(printable(shown), nl=False)
            sys.stdout.flush()
            self._has_begun, self._pending = True, self._pending[len(self._pending.rstrip()) :]

    def end(self) -> None:
        """End the line."""
        typer.echo()


@contextlib.contextmanager
def error_boundary(debug: bool = False) -> Iterator[None]:
    """Turn errors into one or two lines on stderr and an exit code; keep libraries from writing to the terminal.

    Args:
        debug: show tracebacks, and let the libraries write.
    """
    try:
        with contextlib.nullcontext() if debug else _quiet_libraries():
            yield
    except KeyboardInterrupt:
        message("interrupted")
        raise typer.Exit(130) from None
    except (BrokenPipeError, typer.Exit, typer.BadParameter):
        raise  # typer ends the program
    except VideoXLError as error:
        _fail(str(error), error.advice, debug)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:  # what writes files says it by itself
            _fail(f"the output: {error.strerror}", "Check the disk's free space and the permissions.", debug)
        _fail(
            f"{type(error).__name__}: {error}", "This is a bug in videoxl: run again with --debug for details.", debug
        )


def _fail(problem: str, advice: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    message(f"error: {problem}")
    message(advice)
    raise typer.Exit(1)


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


class StatusLine:
    """One line on stderr that says what goes on, and is gone afterwards. Nothing where stderr is no terminal.

    Args:
        enabled: False shows nothing at all.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._bar: Bar | None = None
        self._task: Any = None
        self._started = 0.0

    def __enter__(self) -> "StatusLine":
        if self._enabled:
            from rich.console import Console
            from rich.progress import BarColumn, SpinnerColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[detail]}"),
            )
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=None, detail="")
            self._bar.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the line away for as long as something else is printed."""
        if self._bar is not None:
            self._bar.stop()
        yield
        if self._bar is not None:
            self._bar.start()

    def stage(self, name: str) -> None:
        """Say what begins now."""
        self._started = time.perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, description=printable(name), total=None, completed=0, detail="")

    def frames(self, progress: "Progress") -> None:
        """Show how many frames are done; the `on_progress` of `VideoXL.memorize`."""
        self.count(progress.frames_done, progress.frames_total, "frames")

    def count(self, done: int, total: int, what: str) -> None:
        """Show how many of something are done since the stage began, how fast, and how long the rest will take."""
        if self._bar is not None:
            detail = count_detail(done, total, what, time.perf_counter() - self._started)
            self._bar.update(self._task, completed=done, total=total, detail=detail)


def count_detail(done: int, total: int, what: str, seconds: float) -> str:
    """Return for example "256/1024 frames, 64.0 frames/s, 0:12 left"."""
    rate, left = rate_and_time_left(done, total - done, seconds)
    return f"{done}/{total} {what}" + (f", {rate:.1f} {what}/s, {left}" if left else "")


def rate_and_time_left(done: float, remaining: float, seconds: float) -> tuple[float, str]:
    """Estimate how long work takes from what is done.

    Args:
        done: how much is done, in any unit.
        remaining: how much is not, in the same unit.
        seconds: what was done took.

    Returns:
        units per second, and for example "2:05 left"; 0 and "" while nothing is known.
    """
    if done <= 0 or seconds <= 0:
        return 0.0, ""
    left = round(remaining * seconds / done)
    return done / seconds, f"{left // 60}:{left % 60:02d} left"


def size(num_bytes: int | None) -> str:
    """Return for example "16.8 GB"."""
    if num_bytes is None:
        return "-"
    unit, scale = ("GB", 1e9) if num_bytes >= 1e9 else ("MB", 1e6)
    return f"{num_bytes / scale:.1f} {unit}"


def ago(seconds: float) -> str:
    """Return for example "5 min ago"."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def table(header: list[str], rows: list[list[str]]) -> None:
    """Print columns on stdout; plain text, so that it reads the same in a pipe."""
    cells = [[_one_line(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def failures(failed: "Sequence[Failure]") -> None:
    """Print a table of the items of a run that failed."""
    table(["FAILED", "ERROR", "REASON"], [[each.name, each.error, each.reason] for each in failed])


def markdown(text: str) -> None:
    """Print Markdown on stdout, without its pictures: rendered on a terminal, as it is in a pipe."""
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("!["))
    if not sys.stdout.isatty():
        typer.echo(text.rstrip())
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
