"""What ends a run from outside: nothing that is finished is lost, nothing is done twice, nobody is left behind."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import run_jobs
from run_jobs import Squares, end_by_themselves, numbers

from videoxl.errors import RunError
from videoxl.runs.engine import load_results, run, state
from videoxl.runs.job import Item

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def begin(folder: Path, item: str = "", devices: str = "cpu", most: int = 100) -> "subprocess.Popen[str]":
    """Start the program in `run_jobs.py`, in a process group of its own."""
    command = [sys.executable, run_jobs.__file__, str(folder), item, devices, str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == words:
            return
    raise AssertionError(f"the program never said {words!r}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert begin(folder).wait(60) == 0
    yield folder


def check_finished(folder: Path, whole: Path) -> None:
    """Finish a run; its results must be those of one that nothing interrupted."""
    summary = run(folder, {"of": "a test"}, numbers(40, rows=3), Squares(Path(f"{folder}.calls")))
    assert (summary.done, summary.failed) == (40, 0)
    assert load_results(folder) == load_results(whole)
    lines, expected = ((path / "results.jsonl").read_text().splitlines() for path in (folder, whole))
    assert sorted(lines) == sorted(expected)


def test_killed_ten_times_at_random_moments(tmp_path: Path, whole: Path) -> None:
    draw = random.Random(7)
    folder = tmp_path / "run"
    for _ in range(10):
        process = begin(folder, most=3)
        assert process.stdout is not None
        for _ in range(draw.randint(0, 6)):  # two lines an item
            process.stdout.readline()
        time.sleep(draw.uniform(0, 0.012))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    check_finished(folder, whole)
    begun = Squares(Path(f"{folder}.calls")).counts()
    # A kill costs what its worker does, and perhaps the next item, which the worker has already.
    assert set(begun) == {f"item {n}" for n in range(40)} and sum(begun.values()) <= 40 + 2 * 10


def test_workers_end_with_the_process_that_was_killed(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    process = begin(folder, "wait for", "cpu cpu")
    wait_for(process, "ItemStarted wait for")
    workers = Squares(Path(f"{folder}.calls")).processes()
    process.kill()
    process.wait()
    assert process.pid not in workers and end_by_themselves(workers)
    check_finished(folder, whole)


def test_ctrl_c_ends_all_and_keeps_what_is_finished(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    process = begin(folder, "wait for", "cpu cpu")
    wait_for(process, "ItemDone item 3")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert end_by_themselves(Squares(Path(f"{folder}.calls")).processes())
    now = state(folder)
    # With two workers the other one may have been at work on an earlier item, and on the next, when item 3 was done.
    assert now.process is None and now.running == 0 and 2 <= now.done <= 40 and now.done + now.waiting == 41
    check_finished(folder, whole)


def test_workers_are_deaf_to_ctrl_c_before_they_run_any_python(tmp_path: Path) -> None:
    run(tmp_path / "run", {}, [Item("one", {"do": "tell signals"})], Squares(tmp_path / "calls"))
    assert load_results(tmp_path / "run") == [{"key": "one", "deaf": True}]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_ctrl_c_in_this_process(tmp_path: Path) -> None:
    def on_event(event: object) -> None:
        if state(tmp_path / "run").done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", {}, numbers(4), Squares(tmp_path / "calls"), on_event=on_event)
    assert (state(tmp_path / "run").done, state(tmp_path / "run").waiting) == (2, 2)
    assert run(tmp_path / "run", {}, numbers(4), Squares(tmp_path / "calls")).resumed == 2


def test_a_second_process_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    folder, calls = tmp_path / "run", tmp_path / "run.calls"
    process = begin(folder, "wait for")
    wait_for(process, "ItemStarted wait for")
    with pytest.raises(RunError, match=rf"process {process.pid} on "):
        run(folder, {"of": "a test"}, numbers(40, rows=3), Squares(calls))
    now = state(folder)
    assert (now.done, now.running, now.waiting, now.failed) == (40, 1, 0, 0)
    assert now.process is not None and now.process[0] == process.pid
    assert [(item.key, item.worker) for item in now.running_items] == [("wait for", 0)] and now.running_items[
        0
    ].seconds >= 0
    process.kill()
    process.wait()
    now = state(folder)
    assert (now.done, now.running, now.waiting, now.process, now.running_items) == (40, 0, 1, None, ())
    items = [*numbers(40, rows=3), Item("wait for", {"number": 1})]
    assert run(folder, {"of": "a test"}, items, Squares(calls)).done == 41


FULL = """
import resource, sys
from pathlib import Path
from run_jobs import Squares, Item
from videoxl.runs.engine import run
resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, resource.RLIM_INFINITY))  # two items of 100 kB and half another
items = [Item(f"item {n}", {"do": "fill"}) for n in range(4)]
run(Path(sys.argv[1]), {}, items, Squares(Path(sys.argv[1] + ".calls")))
"""


def test_a_full_disk_stops_the_run_and_half_an_item_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert f"RunError: {folder / 'results.jsonl'}: cannot be written (File too large)" in result.stderr
    content = (folder / "results.jsonl").read_text()
    assert content.endswith("\n") and content.count("\n") == 2 and state(folder).waiting == 2
    items = [Item(f"item {n}", {"do": "fill"}) for n in range(4)]
    summary = run(folder, {}, items, Squares(Path(f"{folder}.calls")))
    assert (summary.done, summary.resumed) == (4, 2)
    assert [row["key"] for row in load_results(folder)] == [f"item {n}" for n in range(4)]
