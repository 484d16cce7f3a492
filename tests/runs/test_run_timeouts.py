"""An item has a limit of time, which nothing puts off: one that hangs costs itself and its worker, and nothing else."""

import time
from pathlib import Path

import pytest
from run_jobs import Faulty, end_by_themselves, numbers

from videoxl.errors import RunError
from videoxl.runs.engine import RunSummary, load_results, run, state
from videoxl.runs.events import Event, ItemAdvanced, ItemFailed, WorkerLost
from videoxl.runs.job import TIMEOUT_SECONDS, Item
from videoxl.runs.process_backend import ProcessBackend


@pytest.fixture
def job(tmp_path: Path) -> Faulty:
    (tmp_path / "begun").mkdir()
    return Faulty(tmp_path / "begun")


def counts(summary: RunSummary) -> tuple[int, int]:
    return summary.done, summary.failed


@pytest.mark.parametrize("how", ["hang", "chat"])
def test_an_item_that_hangs_costs_itself_only(tmp_path: Path, job: Faulty, how: str) -> None:
    events: list[Event] = []
    items = [*numbers(1), Item("hung", {"raise": how}), *(Item(f"later {n}", {"seconds": 0.1}) for n in range(3))]
    began = time.monotonic()
    summary = run(tmp_path / "run", {}, items, job, item_timeout=2.0, on_event=events.append)
    assert 2 <= time.monotonic() - began < 30
    assert counts(summary) == (4, 1)
    (failure,) = state(tmp_path / "run").failures
    assert (failure.key, failure.error) == ("hung", "ItemTimeout") and "2 s" in failure.message
    assert [event.final for event in events if isinstance(event, ItemFailed)] == [True]  # it is not tried again
    (lost,) = (event for event in events if isinstance(event, WorkerLost))
    assert lost.item == items[1] and lost.replaced
    if how == "chat":
        assert any(isinstance(event, ItemAdvanced) for event in events)
    assert end_by_themselves({pid for pid, _ in job.begun()})


def test_the_next_item_which_the_worker_had_already_waits_again(tmp_path: Path, job: Faulty) -> None:
    items = [Item("hung", {"seconds": 600}), *numbers(2)]  # it has looked ahead by then
    assert counts(run(tmp_path / "run", {}, items, job, item_timeout=2.0)) == (2, 1)
    assert [key for _, key in job.begun()] == ["hung", "item 0", "item 1"]
    assert len({pid for pid, _ in job.begun()}) == 2


def test_the_time_is_counted_from_the_beginning_of_the_item(tmp_path: Path, job: Faulty) -> None:
    """Neither while a worker is set up, nor while the item waits in it for the one before."""
    items = [Item(f"item {number}", {"seconds": 1.2}) for number in range(3)]
    assert counts(run(tmp_path / "run", {}, items, job, devices=["slow"], item_timeout=2.4)) == (3, 0)


def test_items_say_how_long_they_may_take(tmp_path: Path, job: Faulty) -> None:
    items = [
        Item("short", {"raise": "hang"}, timeout_seconds=1.0),
        Item("more than it said", {"seconds": 1.5, "allow": 60.0}, timeout_seconds=1.0),
        Item("less than it said", {"raise": "hang", "allow": 1.5}),
        *numbers(1),
    ]
    assert items[3].timeout_seconds == TIMEOUT_SECONDS >= 600
    assert counts(run(tmp_path / "run", {}, items, job)) == (2, 2)
    assert {row["key"] for row in load_results(tmp_path / "run")} == {"more than it said", "item 0"}


def test_the_limit_of_a_run_stands_above_what_items_say(tmp_path: Path, job: Faulty) -> None:
    items = [
        Item("hung", {"raise": "hang", "allow": 600.0}),
        Item("slow", {"seconds": 1.0, "allow": 0.2}, timeout_seconds=0.1),
    ]
    assert counts(run(tmp_path / "run", {}, items, job, item_timeout=3.0)) == (1, 1)
    assert [row["key"] for row in load_results(tmp_path / "run")] == ["slow"]


def test_a_device_on_which_everything_hangs_is_given_up(tmp_path: Path, job: Faulty) -> None:
    hanging = Faulty(job.folder, good=1, error="hang", all_workers=True)
    with pytest.raises(RunError, match="2 s"):
        run(tmp_path / "run", {}, numbers(20), hanging, item_timeout=2.0)
    now = state(tmp_path / "run")
    assert (now.done, now.failed, now.waiting) == (1, 3, 16)
    assert counts(run(tmp_path / "run", {}, numbers(20), job, retry_failed=True)) == (20, 0)


def test_a_worker_that_is_never_set_up_is_not_waited_for(
    tmp_path: Path, job: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProcessBackend, "setup_timeout", 1.0)
    with pytest.raises(RunError, match=r"stuck .* 1 s"):
        run(tmp_path / "run", {}, numbers(2), job, devices=["stuck"])
    assert state(tmp_path / "run").waiting == 2
