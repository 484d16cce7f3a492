"""What is shown of a run: lines in a log, bars on a terminal."""

import io
import sys

import pytest

from videoxl.cli.run_progress import RunProgress
from videoxl.runs.context import ItemProgress
from videoxl.runs.events import Event, ItemAdvanced, ItemDone, ItemFailed, ItemStarted, Progress, WorkerLost
from videoxl.runs.job import Item

A, B, C = Item("a.mp4"), Item("b\x1b[31m.mp4"), Item("c [1/2].mp4")
EVENTS: list[Event] = [
    *(
        Progress(1, 0, 4),
        ItemStarted(A, 0),
        ItemDone(A, [{"warnings": ["a.mp4: 1 of 4 frames lost"]}], 2.5),
        Progress(2, 0, 4),
    ),
    *(ItemStarted(B, 0), WorkerLost(0, B, "was ended by SIGKILL", replaced=True)),
    *(ItemFailed(B, "WorkerLost", "its worker was ended by SIGKILL", final=False), ItemStarted(C, 0)),
    WorkerLost(1, None, "no such device", replaced=False),
    ItemAdvanced(C, 0, ItemProgress(512, 1024, "frames", 16.0)),
    *(ItemFailed(C, "VideoError", "c: not a video", final=True), Progress(2, 1, 4)),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO, enabled: bool) -> str:
    monkeypatch.setattr(sys, "stderr", stderr)
    seconds = iter(range(0, 1000, 15))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(seconds)))
    with RunProgress(enabled, "videos") as display:
        for event in EVENTS:
            display(event)
    return stderr.getvalue()


def test_lines_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    assert show(monkeypatch, io.StringIO(), enabled=True).splitlines() == [
        "1 of 4 videos are finished from before",
        "[2/4] a.mp4: 2.5 s, 4.0 a minute, 0:30 left",
        "warning: a.mp4: 1 of 4 frames lost",
        "- b\\x1b[31m.mp4: will be tried again: its worker was ended by SIGKILL",
        "worker 1: no such device; the run continues without it",
        "[3/4] c [1/2].mp4: failed: c: not a video",
    ]


def test_quiet_tells_failures_only(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = show(monkeypatch, io.StringIO(), enabled=False).splitlines()
    assert len(lines) == 4 and "[3/4] c [1/2].mp4: failed: c: not a video" in lines


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    shown = show(monkeypatch, Terminal(), enabled=True)
    assert "512/1024 frames, 32.0 frames/s, 0:16 left" in shown
    assert "3/4, 1 failed" in shown and "c [1/2].mp4" in shown
    assert "[3/4] c [1/2].mp4: failed: c: not a video\n" in shown.replace("\r", "")
    assert "\x1b[31m.mp4" not in shown
    assert "[2/4]" not in shown  # what is done is in the bar
