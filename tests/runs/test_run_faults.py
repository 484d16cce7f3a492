"""What fails for reasons that are not the items': workers are replaced, devices given up, and nothing else is lost."""

import json
from pathlib import Path

import pytest
from run_jobs import ERRORS, AcceleratorError, Faulty, numbers

from videoxl.errors import BudgetError, CheckpointError, OutOfMemoryError, QuestionError, RunError, VideoError
from videoxl.runs.engine import load_results, run, state
from videoxl.runs.events import Event, ItemDone, ItemFailed, ItemStarted, WorkerLost
from videoxl.runs.faults import fault_of
from videoxl.runs.job import Item


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    (tmp_path / "begun").mkdir()
    return tmp_path / "begun"


def lost(events: list[Event]) -> list[WorkerLost]:
    return [event for event in events if isinstance(event, WorkerLost)]


def failed(events: list[Event]) -> list[tuple[str, str, bool]]:
    return [(event.item.key, event.error, event.final) for event in events if isinstance(event, ItemFailed)]


def all_fail(count: int, error: str) -> list[Item]:
    return [Item(f"bad {number}", {"raise": error}) for number in range(count)]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (VideoError("no video", "Take another."), "input"),
        (BudgetError("too long", "Take less."), "input"),
        (QuestionError("empty", "Ask."), "input"),
        (OutOfMemoryError("full", "Take less."), "memory"),
        (MemoryError(), "memory"),
        (CheckpointError("the weights are gone", "Get them."), "unknown"),
        (RunError("no", "Yes."), "unknown"),
        (AcceleratorError("an illegal memory access was encountered"), "device"),
        (RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be ..."), "device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device"),
        (RuntimeError("shapes do not match"), "unknown"),
        (OSError(5, "Input/output error"), "unknown"),
    ],
)
def test_whose_fault_an_error_is(error: Exception, fault: str) -> None:
    assert fault_of(error) == fault


def test_torch_calls_its_errors_so() -> None:
    torch = pytest.importorskip("torch")
    assert fault_of(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")) == "memory"
    if hasattr(torch, "AcceleratorError"):
        assert fault_of(torch.AcceleratorError("unspecified launch failure")) == "device"


@pytest.mark.parametrize("error", ["RuntimeError", "AcceleratorError", "die"])
def test_a_device_that_fails_for_good_stops_the_run_and_the_rest_waits(tmp_path: Path, begun: Path, error: str) -> None:
    events: list[Event] = []
    broken = Faulty(begun, good=3, error=error, all_workers=True)
    reason = "ended with exit code 3" if error == "die" else f"{error}: out of luck"
    with pytest.raises(RunError, match=reason):
        run(tmp_path / "run", {}, numbers(2000), broken, on_event=events.append)
    now = state(tmp_path / "run")
    assert (now.done, now.failed, now.waiting, now.running) == (3, 0, 1997, 0)
    assert [event.replaced for event in lost(events)][-1] is False and len(lost(events)) >= 2
    assert len(begun_items(broken)) <= 3 + 2 * 3 + 2  # an item or two more may have been given ahead
    assert not any(final for _, _, final in failed(events))
    summary = run(tmp_path / "run", {}, numbers(2000)[:30], Faulty(begun))  # the device works again
    assert (summary.done, summary.failed, summary.resumed) == (30, 0, 3)


def begun_items(job: Faulty) -> list[str]:
    return [key for _, key in job.begun()]


@pytest.mark.parametrize(("error", "workers"), [("RuntimeError", 3), ("AcceleratorError", 3)])
def test_a_worker_that_has_had_enough_is_replaced_and_all_is_done(
    tmp_path: Path, begun: Path, error: str, workers: int
) -> None:
    job, events = Faulty(begun, good=4, error=error), list[Event]()
    summary = run(tmp_path / "run", {}, numbers(10), job, on_event=events.append)
    assert (summary.done, summary.failed) == (10, 0)
    assert len({row["pid"] for row in load_results(tmp_path / "run")}) == workers
    assert all(event.replaced for event in lost(events)) and len(lost(events)) == workers - 1
    assert (tmp_path / "run" / "failures.jsonl").read_text() == ""


def test_bad_inputs_in_a_row_stop_nothing(tmp_path: Path, begun: Path) -> None:
    events: list[Event] = []
    items = [*all_fail(300, "video"), *(Item(f"long {n}", {"raise": "budget"}) for n in range(20)), *numbers(2)]
    summary = run(tmp_path / "run", {}, items, Faulty(begun), on_event=events.append)
    assert (summary.done, summary.failed) == (2, 320) and lost(events) == []


def test_items_that_are_at_fault_themselves_fail_and_the_others_are_done(tmp_path: Path, begun: Path) -> None:
    """Five of them stand in a row: the worker is replaced, and others go well; those of the row are tried again."""
    events: list[Event] = []
    items = [*numbers(2), *all_fail(5, "ValueError"), *(Item(f"later {n}") for n in range(4))]
    job = Faulty(begun)
    summary = run(tmp_path / "run", {}, items, job, on_event=events.append)
    assert (summary.done, summary.failed) == (6, 5)
    rows = [json.loads(line) for line in (tmp_path / "run" / "failures.jsonl").read_text().splitlines()]
    assert sorted((row["key"], row["error"], row["message"]) for row in rows) == [
        (f"bad {n}", "ValueError", "out of luck" + ", 3 times" * (n < 3)) for n in range(5)
    ]
    assert all(event.replaced for event in lost(events))
    assert max(begun_items(job).count(item.key) for item in items) == 3


def test_an_item_that_breaks_its_device_does_so_no_more_than_is_allowed(tmp_path: Path, begun: Path) -> None:
    events: list[Event] = []
    items = [*numbers(2), Item("bad", {"raise": "AcceleratorError"}), Item("later", {"seconds": 0.1})]
    summary = run(tmp_path / "run", {}, items, Faulty(begun), retries=1, on_event=events.append)
    assert (summary.done, summary.failed) == (3, 1)
    assert failed(events) == [("bad", "AcceleratorError", False), ("bad", "AcceleratorError", True)]


def test_one_device_is_given_up_and_another_does_the_rest(tmp_path: Path, begun: Path) -> None:
    events: list[Event] = []
    items = [Item(f"item {number}", {"seconds": 0.4}) for number in range(24)]
    job = Faulty(begun, good=1, all_workers=True, device_good="good")
    summary = run(tmp_path / "run", {}, items, job, devices=["cpu", "good"], on_event=events.append)
    assert (summary.done, summary.failed) == (24, 0)
    assert [(event.worker, event.replaced) for event in lost(events)] == [(0, True), (0, False)]


@pytest.mark.parametrize("error", ["memory", "MemoryError"])
def test_what_ran_out_of_memory_is_tried_once_more_at_the_end_and_alone(
    tmp_path: Path, begun: Path, error: str
) -> None:
    events: list[Event] = []
    job = Faulty(begun)
    items = [Item("big", {"raise": error}), Item("large", {"raise": error}), *numbers(4)]
    summary = run(tmp_path / "run", {}, items, job, devices=["cpu", "cpu"], on_event=events.append)
    assert (summary.done, summary.failed) == (4, 2) and lost(events) == []
    *before, (first, one), (second, other) = job.begun()
    assert {one, other} == {"big", "large"} and sorted(begun_items(job)).count("big") == 2
    assert first != second and not {first, second} & {pid for pid, _ in before}
    name = type(ERRORS[error]).__name__
    assert sorted(failed(events)) == sorted((key, name, final) for key in ("big", "large") for final in (False, True))
    ends = [event for event in events if isinstance(event, ItemStarted | ItemFailed | ItemDone)][-4:]
    assert [type(event) for event in ends] == [ItemStarted, ItemFailed] * 2  # one after the other


def test_memory_that_is_there_when_an_item_is_alone_is_enough(tmp_path: Path, begun: Path) -> None:
    broken = Faulty(begun, good=2, error="memory")
    summary = run(tmp_path / "run", {}, numbers(6), broken)
    assert (summary.done, summary.failed) == (6, 0)


def test_a_worker_that_cannot_be_set_up_gives_its_traceback(tmp_path: Path, begun: Path) -> None:
    with pytest.raises(RunError, match="ZeroDivisionError") as caught:
        run(tmp_path / "run", {}, numbers(2), Faulty(begun), devices=["zero"])
    assert "--debug" in caught.value.advice
    assert "in setup" in "".join(caught.value.__notes__)
