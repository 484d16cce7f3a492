"""Runs on a local Ray cluster: what is done, and what is survived, is what it is in processes of this machine."""

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_jobs import Faulty, Squares, end_by_themselves, numbers

from videoxl.errors import CheckpointError, RunError
from videoxl.runs.engine import load_results, run, state
from videoxl.runs.events import Event, ItemAdvanced, ItemDone, ItemFailed, WorkerLost
from videoxl.runs.job import Item
from videoxl.runs.ray_backend import RayBackend

# Not imported here: what Ray prints is chosen before that.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
    pytest.mark.skipif(os.name != "posix", reason="sends signals"),
]


@pytest.fixture(autouse=True, scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for the job of these tests, which is not installed
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # Ray keeps a token there
        yield


@pytest.fixture(scope="module")
def cluster(surroundings: None) -> Iterator[RayBackend]:
    with contextlib.closing(RayBackend(None, "cpu", workers=2)) as cluster:
        yield cluster


def test_a_worker_that_is_killed_costs_nothing(
    cluster: RayBackend, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    squares = Squares(tmp_path / "calls", seconds=0.05)
    events: list[Event] = []
    killed: list[int] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, ItemDone) and event.item.key == "item 8":
            killed.append(sorted(squares.processes())[0])
            os.kill(killed[0], signal.SIGKILL)
        if isinstance(event, ItemDone) and event.item in items[16:]:
            (tmp_path / "go").touch()

    items = numbers(20)
    items[15].data["await"] = str(tmp_path / "go")  # until the worker that takes the place of the killed one is there
    summary = run(tmp_path / "run", {}, items, squares, backend=cluster, on_event=on_event)
    assert (summary.done, summary.failed, summary.total) == (20, 0, 20)
    assert [row["square"] for row in load_results(tmp_path / "run")] == [n * n for n in range(20)]
    lines = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 20  # none twice
    (lost,) = (event for event in events if isinstance(event, WorkerLost))
    assert lost.replaced and lost.reason == "was lost (its worker process has died)"
    again = {item.key: 1 + (item == lost.item) for item in items}
    assert all(squares.counts()[key] <= most for key, most in again.items())
    assert len(squares.processes()) == 3
    assert capfd.readouterr() == ("", "")  # Ray says nothing on the terminal


def test_items_that_fail_and_that_end_their_workers(cluster: RayBackend, tmp_path: Path) -> None:
    events: list[Event] = []
    items = [Item("bad", {"do": "raise"}), Item("dies", {"do": "die"}), Item("slow", {"do": "report"}), *numbers(3)]
    squares = Squares(tmp_path / "calls")
    summary = run(tmp_path / "run", {}, items, squares, backend=cluster, retries=1, on_event=events.append)
    assert (summary.done, summary.failed) == (4, 2)
    bad, dies = state(tmp_path / "run").failures
    # If "dies" comes to the worker of "bad" next, that waits again, and fails a second time.
    assert (bad.key, bad.error, bad.message.removesuffix(", 2 times")) == ("bad", "ValueError", "no luck")
    assert (dies.key, dies.error) == ("dies", "WorkerLost")
    assert dies.message == "its worker was lost (its worker process has died), 2 times"
    finals = [event.final for event in events if isinstance(event, ItemFailed) and event.item.key == "dies"]
    assert finals == [False, True]
    assert {event.item.key for event in events if isinstance(event, ItemAdvanced)} == {"slow"}
    assert end_by_themselves(squares.processes())


def test_an_item_that_hangs_costs_itself_only(cluster: RayBackend, tmp_path: Path) -> None:
    job = Faulty(tmp_path / "begun")
    job.folder.mkdir()
    items = [Item("hung", {"raise": "hang"}), *numbers(4)]
    summary = run(tmp_path / "run", {}, items, job, backend=cluster, item_timeout=8.0)
    assert (summary.done, summary.failed) == (4, 1)
    (failure,) = state(tmp_path / "run").failures
    assert (failure.key, failure.error) == ("hung", "ItemTimeout")
    assert end_by_themselves({pid for pid, key in job.begun() if key == "hung"})


def test_what_cannot_be_set_up_ends_the_run(
    cluster: RayBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "devices", lambda max_workers: ["missing"])
    with pytest.raises(CheckpointError, match="device"):
        run(tmp_path / "run", {}, numbers(2), Squares(tmp_path / "calls"), backend=cluster)
    assert state(tmp_path / "run").waiting == 2


# A program started in the background of a script ignores Ctrl-C; the suite may run there.
PROGRAM = """
import signal, sys
from pathlib import Path
from run_jobs import Item, Squares, run
from videoxl.runs.ray_backend import RayBackend
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    items = [Item("first"), Item("last", {"do": "wait for", "file": "never"})]
    run(folder, {}, items, Squares(folder.with_name("calls")), backend=RayBackend(None, "cpu"),
        on_event=lambda event: print(type(event).__name__, flush=True))
"""


def test_ctrl_c_ends_the_actors_and_keeps_what_is_finished(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = [process.stdout.readline().strip() for _ in range(5)]
    assert printed == ["Progress", "ItemStarted", "ItemDone", "Progress", "ItemStarted"]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt") and errors.count("Traceback") == 1
    now = state(tmp_path / "run")
    assert (now.done, now.running, now.waiting, now.process) == (1, 0, 1, None)
    assert end_by_themselves(Squares(tmp_path / "calls").processes())


def test_addresses_where_nobody_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        with pytest.raises(RunError, match="Ray") as caught:
            RayBackend(f"127.0.0.1:{taken.getsockname()[1]}")
    assert "ray start --head" in caught.value.advice
    for address in ("head", "ray://head:10001", ":6379", "head:"):
        with pytest.raises(RunError, match=re.escape(address)):
            RayBackend(address)


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match="Ray") as caught:
        RayBackend(None)
    assert "pip install 'videoxl[ray]'" in caught.value.advice
