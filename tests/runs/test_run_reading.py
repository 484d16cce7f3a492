"""Looking at a run changes nothing in its folder, and needs no leave to: of one that ended, was killed, or goes on."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import run_jobs
from run_jobs import Squares, numbers
from typer.testing import CliRunner

from videoxl.cli.main import app
from videoxl.runs.engine import load_results, run, state
from videoxl.runs.events import Event, ItemStarted
from videoxl.runs.lock import FolderLock, is_held

pytestmark = pytest.mark.skipif(os.name != "posix", reason="takes permissions away")
NOBODY = 65534


@pytest.fixture
def folder_path() -> Iterator[Path]:
    """A folder that every user can look into, as those of pytest are not."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def without_rights(look: Callable[[], Any]) -> Any:
    """Return what a function gives that runs as somebody who may only read; root may do anything."""
    look()  # whatever is imported only now, nobody else may be able to
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            answer = json.dumps(look())
        except BaseException as error:  # whatever it is, it is reported
            answer = json.dumps(repr(error))
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        answer = file.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def show(folder: Path) -> Any:
    result = CliRunner().invoke(app, ["runs", "show", str(folder), "--json"])
    return json.loads(result.stdout) if result.exit_code == 0 else result.stderr


def contents(folder: Path) -> dict[str, Any]:
    """Return all files but the one by which SQLite's readers know of each other."""
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.iterdir()
        if path.suffix != ".sqlite-shm"
    }


def test_a_run_that_has_ended(folder_path: Path) -> None:
    folder = folder_path / "a run?#%"
    run(folder, {}, numbers(3), Squares(folder_path / "calls"))
    before = contents(folder)
    with read_only(folder):
        shown = without_rights(lambda: show(folder))
        rows = without_rights(lambda: load_results(folder))
    assert (shown["items"], shown["done"], shown["process"]) == (3, 3, None)
    assert [row["number"] for row in rows] == [0, 1, 2]
    assert contents(folder) == before


def test_a_run_that_was_killed(folder_path: Path) -> None:
    folder = folder_path / "run"
    process = subprocess.Popen(
        [sys.executable, run_jobs.__file__, str(folder), "", "cpu", "3"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert any(line.strip() == "ItemDone item 2" for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "journal.sqlite-wal").exists()
    before = contents(folder)
    with read_only(folder):
        shown = without_rights(lambda: show(folder))
    assert (shown["items"], shown["done"], shown["waiting"], shown["process"]) == (40, 3, 37, None)
    assert contents(folder) == before


def test_a_run_that_goes_on(folder_path: Path) -> None:
    folder, seen = folder_path / "run", []

    def on_event(event: Event) -> None:
        if isinstance(event, ItemStarted) and event.item.key == "item 2":
            before = contents(folder)
            seen.append(without_rights(lambda: show(folder)))
            assert contents(folder) == before

    folder.mkdir(mode=0o755)
    run(folder, {}, numbers(3), Squares(folder_path / "calls"), on_event=on_event)
    assert [(shown["done"], shown["process"]["pid"]) for shown in seen] == [(2, os.getpid())]
    assert [item["key"] for item in seen[0]["running_items"]] == ["item 2"]


def test_looking_keeps_no_run_from_its_start(folder_path: Path) -> None:
    path, stop, seen = folder_path / "lock.sqlite", threading.Event(), set()

    def look() -> None:
        while not stop.is_set():
            seen.add(is_held(path))

    FolderLock(path).close()
    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            lock = FolderLock(path)
            assert is_held(path)
            lock.close()
    finally:
        stop.set()
        looking.join()
    assert seen <= {True, False} and not is_held(path)


def test_journals_of_before_had_no_names(folder_path: Path) -> None:
    folder = folder_path / "run"
    run(folder, {}, numbers(2), Squares(folder_path / "calls"))
    with contextlib.closing(sqlite3.connect(folder / "journal.sqlite", isolation_level=None)) as journal:
        journal.execute("ALTER TABLE items DROP COLUMN name")
        journal.execute("UPDATE items SET state = 'failed', error = 'E', message = 'item 1: no' WHERE key = 'item 1'")
    (failure,) = state(folder).failures
    assert (failure.name, failure.reason) == ("item 1", "no")
    assert run(folder, {}, numbers(3), Squares(folder_path / "calls")).resumed == 2
