"""Runs: every item once, failures kept apart, workers that die."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from run_jobs import Squares, numbers

from videoxl.errors import CheckpointError, RunError
from videoxl.runs.engine import RunSummary, load_results, run, state
from videoxl.runs.events import Event, ItemAdvanced, ItemDone, ItemFailed, ItemStarted, Progress, WorkerLost
from videoxl.runs.job import Item
from videoxl.runs.process_backend import ProcessBackend


def job(folder: Path, seconds: float = 0.0) -> Squares:
    return Squares(folder / "calls", seconds)


def counts(summary: RunSummary) -> tuple[int, int, int, int]:
    return summary.done, summary.failed, summary.total, summary.resumed


def of_kind(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_results_are_in_input_order_with_all_rows_of_an_item(tmp_path: Path) -> None:
    items = [*reversed(numbers(3)), *numbers(5, rows=2)[3:]]
    assert counts(run(tmp_path / "run", {}, items, job(tmp_path))) == (5, 0, 5, 0)
    rows = load_results(tmp_path / "run")
    assert [(row["key"], row["square"], row.get("of"), row.get("part")) for row in rows] == [
        ("item 2", 4, None, None),
        ("item 1", 1, None, None),
        ("item 0", 0, None, None),
        ("item 3", 9, 2, 0),
        ("item 3", 9, 2, 1),
        ("item 4", 16, 2, 0),
        ("item 4", 16, 2, 1),
    ]
    lines = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_the_same_call_does_only_what_is_new_and_sets_nothing_up_for_nothing(tmp_path: Path) -> None:
    squares = job(tmp_path)
    run(tmp_path / "run", {}, numbers(2), squares)
    assert counts(run(tmp_path / "run", {}, numbers(4), squares)) == (4, 0, 4, 2)
    assert squares.counts() == {f"item {n}": 1 for n in range(4)}
    assert counts(run(tmp_path / "run", {}, numbers(4), squares, devices=["missing"])) == (4, 0, 4, 4)
    assert [row["number"] for row in load_results(tmp_path / "run")] == [0, 1, 2, 3]
    run(tmp_path / "run", {}, numbers(4)[2:], squares)  # the others are no longer part of it
    assert [row["number"] for row in load_results(tmp_path / "run")] == [2, 3] and state(tmp_path / "run").total == 2


@pytest.mark.parametrize(
    ("do", "error", "message"),
    [
        ("raise", "ValueError", "no luck"),
        ("refuse", "VideoError", "bad: is no video"),
        ("nothing", "TypeError", "a worker returns a dict or a list of dicts, not []"),
        ("take a name", "ValueError", "'key'"),
        ("not JSON", "ValueError", "Out of range float values are not JSON compliant"),
    ],
)
def test_an_item_that_raises_fails_and_the_run_goes_on(tmp_path: Path, do: str, error: str, message: str) -> None:
    events: list[Event] = []
    items = [Item("bad", {"do": do}), *numbers(2)]
    assert counts(run(tmp_path / "run", {}, items, job(tmp_path), on_event=events.append)) == (2, 1, 3, 0)
    (failed,) = of_kind(events, ItemFailed)
    assert (failed.item.key, failed.error, failed.final) == ("bad", error, True) and message in failed.message
    (line,) = (tmp_path / "run" / "failures.jsonl").read_text().splitlines()
    assert json.loads(line) == {"key": "bad", "error": error, "message": failed.message}
    (kept,) = state(tmp_path / "run").failures
    assert (kept.key, kept.error, kept.message) == ("bad", error, failed.message)
    assert [row["key"] for row in load_results(tmp_path / "run")] == ["item 0", "item 1"]


def test_failed_items_are_done_again_only_when_asked(tmp_path: Path) -> None:
    squares = job(tmp_path)
    run(tmp_path / "run", {}, [Item("item 0", {"do": "raise"}), *numbers(2)[1:]], squares)
    assert counts(run(tmp_path / "run", {}, numbers(2), squares)) == (1, 1, 2, 2)
    assert counts(run(tmp_path / "run", {}, numbers(2), squares, retry_failed=True)) == (2, 0, 2, 1)
    assert squares.counts() == {"item 0": 2, "item 1": 1}
    assert (tmp_path / "run" / "failures.jsonl").read_text() == "" and state(tmp_path / "run").failures == ()


def test_events_tell_what_happens_in_its_order(tmp_path: Path) -> None:
    events: list[Event] = []
    one, bad = numbers(1)[0], Item("bad", {"do": "raise"})
    run(tmp_path / "run", {}, [one, bad], job(tmp_path), on_event=events.append)
    (done,) = of_kind(events, ItemDone)
    assert events == [
        Progress(0, 0, 2),
        ItemStarted(one, 0),
        ItemDone(one, load_results(tmp_path / "run"), done.seconds),
        Progress(1, 0, 2),
        ItemStarted(bad, 0),
        ItemFailed(bad, "ValueError", "no luck", final=True),
        Progress(1, 1, 2),
    ]
    assert state(tmp_path / "run").seconds == done.seconds > 0


def test_a_worker_tells_how_far_it_is_but_not_too_often(tmp_path: Path) -> None:
    events: list[Event] = []
    items = [*numbers(1), Item("slow", {"do": "report"})]
    run(tmp_path / "run", {}, items, job(tmp_path), on_event=events.append)
    progressed = of_kind(events, ItemAdvanced)
    assert all((event.item, event.worker, event.progress.what) == (items[1], 0, "frames") for event in progressed)
    amounts = [event.progress for event in progressed]
    assert (amounts[0].done, amounts[0].total, amounts[0].seconds) == (0, 500, 0.0) and len(amounts) > 1
    assert all(
        now.done > before.done and now.seconds - before.seconds >= 0.25 for before, now in itertools.pairwise(amounts)
    )
    assert events.index(ItemStarted(items[1], 0)) < events.index(progressed[0])


def test_names_need_not_be_unicode(tmp_path: Path) -> None:
    bad, good = "\udcff.mp4", "\udcfe.mp4"
    items = [Item(bad, {"do": "refuse"}), Item(good, {"number": 3})]
    run(tmp_path / "run", {"first": bad}, items, job(tmp_path))
    assert state(tmp_path / "run").failures[0].key == "\\udcff.mp4"
    assert [row["key"] for row in load_results(tmp_path / "run")] == [good]
    assert counts(run(tmp_path / "run", {"first": bad}, items, job(tmp_path))) == (1, 1, 2, 2)


def test_two_workers_share_the_items_and_do_each_once(tmp_path: Path) -> None:
    squares = job(tmp_path, seconds=0.02)
    assert counts(run(tmp_path / "run", {}, numbers(30), squares, devices=["cpu", "cpu"])) == (30, 0, 30, 0)
    assert squares.counts() == {f"item {n}": 1 for n in range(30)}
    assert len(squares.processes()) == 2
    assert [row["square"] for row in load_results(tmp_path / "run")] == [n * n for n in range(30)]


@pytest.mark.parametrize(
    ("devices", "chosen", "threads"), [(1, None, None), (2, None, "3"), (3, None, "2"), (9, None, "1"), (2, "5", "5")]
)
def test_workers_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: int, chosen: str | None, threads: str | None
) -> None:
    monkeypatch.setattr("videoxl.runs.process_backend.num_cores", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if chosen is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    backend = ProcessBackend(["cpu"] * devices)
    assert len(backend.devices(9)) == devices
    items = [Item("one", {"do": "tell threads"})]
    monkeypatch.setattr(backend, "devices", lambda max_workers: ["cpu"])
    run(tmp_path / "run", {}, items, job(tmp_path), backend=backend)
    assert load_results(tmp_path / "run") == [{"key": "one", "threads": threads}]
    assert os.environ.get("OMP_NUM_THREADS") == chosen


def test_an_item_that_kills_its_worker_is_tried_again_then_failed(tmp_path: Path) -> None:
    events: list[Event] = []
    squares = job(tmp_path)
    items = [Item("dies", {"do": "die"}), Item("crashes", {"do": "crash"}), *numbers(6)]
    summary = run(tmp_path / "run", {}, items, squares, devices=["cpu", "cpu"], retries=1, on_event=events.append)
    assert counts(summary) == (6, 2, 8, 0)
    assert squares.counts() == {"dies": 2, "crashes": 2} | {f"item {n}": 1 for n in range(6)}
    assert {(f.key, f.error, f.message) for f in state(tmp_path / "run").failures} == {
        ("dies", "WorkerLost", "its worker ended with exit code 3, 2 times"),
        ("crashes", "WorkerLost", "its worker was ended by SIGKILL, 2 times"),
    }
    finals = [event.final for event in of_kind(events, ItemFailed) if event.item.key == "dies"]
    assert finals == [False, True]
    assert len(of_kind(events, WorkerLost)) == 4 and all(event.replaced for event in of_kind(events, WorkerLost))


def test_one_device_has_a_process_of_its_own(tmp_path: Path) -> None:
    squares = job(tmp_path)
    summary = run(tmp_path / "run", {}, [Item("dies", {"do": "die"}), *numbers(2)], squares, retries=0)
    assert counts(summary) == (2, 1, 3, 0) and os.getpid() not in squares.processes()


def test_a_device_that_cannot_be_set_up_is_left_out(tmp_path: Path) -> None:
    lost: list[WorkerLost] = []
    file = tmp_path / "lost"

    def on_event(event: Event) -> None:
        if isinstance(event, WorkerLost):
            lost.append(event)
            file.touch()

    items = [Item("first", {"do": "wait for", "file": str(file)}), *numbers(3)]
    summary = run(tmp_path / "run", {}, items, job(tmp_path), devices=["missing", "cpu"], on_event=on_event)
    assert counts(summary) == (4, 0, 4, 0) and lost == [WorkerLost(0, None, "no such device", replaced=False)]


@pytest.mark.parametrize(
    ("devices", "error", "problem"),
    [
        (["missing"], CheckpointError, "no such device"),
        (["missing", "missing"], CheckpointError, "no such device"),
        (["deadly"], RunError, "deadly .* exit code 7"),
        ([], RunError, "device"),
    ],
)
def test_without_a_worker_there_is_no_run(
    tmp_path: Path, devices: list[str], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        run(tmp_path / "run", {}, numbers(2), job(tmp_path), devices=devices)
    assert state(tmp_path / "run").waiting == 2
    assert counts(run(tmp_path / "run", {}, numbers(2), job(tmp_path))) == (2, 0, 2, 0)
