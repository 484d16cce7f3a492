"""Looking ahead: the next item is prepared while one is done, and nothing else changes."""

import os
from pathlib import Path

import pytest
from run_jobs import Squares

from videoxl.runs.engine import load_results, run, state
from videoxl.runs.events import Event, ItemDone, ItemFailed, ItemStarted, WorkerLost
from videoxl.runs.job import Item


def waiting_for_the_next(folder: Path, *does: str) -> list[Item]:
    """Items that are each only done once the next has been prepared, but for the last."""
    files = [str(folder / f"calls.item {number}") for number in range(1, len(does))]
    return [
        Item(f"item {number}", {"number": number, "do": do, "await": file})
        for number, (do, file) in enumerate(zip(does, [*files, None], strict=True))
    ]


def test_the_next_item_is_prepared_while_one_is_done(tmp_path: Path) -> None:
    events: list[Event] = []
    items = waiting_for_the_next(tmp_path, *["prepared"] * 4)
    run(tmp_path / "run", {}, items, Squares(tmp_path / "calls"), on_event=events.append)
    assert [row["prepared"] for row in load_results(tmp_path / "run")] == [None, 10, 20, 30]
    begun_and_done = [event for event in events if isinstance(event, ItemStarted | ItemDone)]
    assert [(type(event), event.item) for event in begun_and_done] == [
        (kind, item) for item in items for kind in (ItemStarted, ItemDone)
    ]


def test_what_cannot_be_prepared_fails_in_its_own_turn(tmp_path: Path) -> None:
    items = waiting_for_the_next(tmp_path, "prepared", "prepare badly", "prepared")
    run(tmp_path / "run", {}, items, Squares(tmp_path / "calls"))
    (failure,) = state(tmp_path / "run").failures
    assert (failure.key, failure.message) == ("item 1", "item 1: cannot be prepared")
    assert [row["prepared"] for row in load_results(tmp_path / "run")] == [None, 20]


def test_the_last_items_are_left_to_whoever_is_free(tmp_path: Path) -> None:
    done: list[str] = []

    def on_event(event: Event) -> None:
        if isinstance(event, ItemDone):
            done.append(event.item.key)
            (tmp_path / event.item.key).touch()

    items = [Item(f"item {number}", {"number": number}) for number in range(3)]
    items[0].data["await"] = str(tmp_path / "item 2")
    run(tmp_path / "run", {}, items, Squares(tmp_path / "calls"), devices=["cpu", "cpu"], on_event=on_event)
    assert done.index("item 2") < done.index("item 0")


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_worker_that_ends_takes_only_its_own_item_with_it(tmp_path: Path) -> None:
    events: list[Event] = []
    squares = Squares(tmp_path / "calls")
    items = waiting_for_the_next(tmp_path, "crash", "prepared", "prepared")
    summary = run(tmp_path / "run", {}, items, squares, retries=0, on_event=events.append)
    assert (summary.done, summary.failed) == (2, 1)
    assert [event.item for event in events if isinstance(event, ItemFailed)] == [items[0]]
    assert [event.item for event in events if isinstance(event, WorkerLost)] == [items[0]]
    assert squares.counts() == {item.key: 1 for item in items}
    assert [row["prepared"] for row in load_results(tmp_path / "run")] == [None, 20]  # the next was sent again


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_an_item_that_ended_a_worker_is_not_with_others_again(tmp_path: Path) -> None:
    squares = Squares(tmp_path / "calls", seconds=0.2)

    def on_event(event: Event) -> None:
        if isinstance(event, ItemDone) and event.item.key == "item 2":
            (tmp_path / "calls.quiet").touch()

    items = [Item("item 0", {"do": "crash"}), *(Item(f"item {n}", {"number": n}) for n in (1, 2))]
    summary = run(tmp_path / "run", {}, items, squares, retries=1, on_event=on_event)
    assert (summary.done, summary.failed) == (2, 1) and squares.counts()["item 0"] == 2
    assert (tmp_path / "calls.item 2").read_text() == "beside another"
    assert (tmp_path / "calls.item 0").read_text() == ""
