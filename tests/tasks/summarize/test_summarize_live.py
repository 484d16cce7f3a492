"""The page about a run is there from the first video on, and when the run was stopped; never in another's folder."""

import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from summary_rows import a_row

from videoxl.errors import RunError, VideoError
from videoxl.runs.context import ItemContext
from videoxl.runs.events import Event, Progress
from videoxl.runs.job import Item, Worker
from videoxl.tasks.summarize import live_report
from videoxl.tasks.summarize.batch import summarize
from videoxl.tasks.summarize.inputs import Source


@dataclass(frozen=True)
class Rows:
    """Makes rows without a model, in the place of a `SummaryJob`."""

    folder: Path
    settings: dict[str, Any]
    dtype: str = "auto"

    def check(self, prompts: list[str]) -> None:
        pass

    def setup(self, device: str) -> Worker:
        def worker(item: Item, context: ItemContext) -> dict[str, Any]:
            if item.data["id"] == "bad":
                raise VideoError("bad: is no video", "Take another.")
            row = a_row(self.folder, item.data["id"])
            del row["key"]
            return row

        return worker


Clock = types.SimpleNamespace
Begin = Callable[..., None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still until it is told to go on."""
    clock = Clock(now=1000.0)
    monkeypatch.setattr(live_report, "time", Clock(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def begin(tmp_path: Path) -> Begin:
    """Summarise these videos; `on_finished` is told the number of those that are finished, after each."""
    tmp_path.joinpath("out").mkdir()

    def begin(*ids: str, on_finished: Callable[[int], None] = lambda count: None, **settings: Any) -> None:
        def told(event: Event) -> None:
            if isinstance(event, Progress):
                on_finished(event.done + event.failed)

        job: Any = Rows(tmp_path / "out", settings)
        sources = [Source(id, id) for id in ids]
        summarize(sources, tmp_path / "out", job, device="cpu", on_event=told)

    return begin


def test_it_is_written_from_the_first_on_and_then_now_and_then(begin: Begin, clock: Clock, tmp_path: Path) -> None:
    titles: list[str] = []

    def look(finished: int) -> None:
        page = tmp_path / "out" / "report.html"
        titles.append(title(page) if page.exists() else "")
        clock.now += 2.0

    begin("a", "bad", "b", "c", "d", on_finished=look)
    first, later = "1 of 5 videos", "3 of 5 videos, 1 failed"
    assert titles == ["", first, first, first, later, later]
    assert title(tmp_path / "out" / "report.html") == "5 videos, 1 failed"


def test_a_page_that_takes_long_is_written_less_often(
    begin: Begin, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []

    def write(*args: Any) -> None:
        written.append(clock.now)
        clock.now += 1.0

    def later(finished: int) -> None:
        clock.now += 4.0

    monkeypatch.setattr(live_report, "write_report", write)
    begin(*map(str, range(12)), on_finished=later)
    assert len(written) == 4 and written[1] - written[0] >= 20 and written[2] - written[1] >= 20


def test_it_is_there_after_ctrl_c(begin: Begin, clock: Clock, tmp_path: Path) -> None:
    def stop(finished: int) -> None:
        if finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin("a", "b", "c", on_finished=stop)
    assert title(tmp_path / "out" / "report.html") == "2 of 3 videos"


def test_what_cannot_be_written_ends_no_run(begin: Begin, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "out" / "report.html").mkdir()

    def mend(finished: int) -> None:
        if finished == 2:
            (tmp_path / "out" / "report.html").rmdir()

    begin("a", "b", on_finished=mend)
    assert title(tmp_path / "out" / "report.html") == "2 videos"


def test_the_folder_of_another_run_is_left_alone(begin: Begin, tmp_path: Path) -> None:
    begin("a")
    (tmp_path / "out" / "report.html").write_text("as it was")
    with pytest.raises(RunError, match="other settings"):
        begin("a", "b", ratio=8)
    assert (tmp_path / "out" / "report.html").read_text() == "as it was"


def title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("<title>")[2].partition("</title>")[0]
