"""Items that are done and done again: old rows or new ones, never both, whatever happens in between."""

import json
from pathlib import Path
from typing import Any

import pytest
from run_jobs import Squares, numbers

from videoxl.errors import RunError
from videoxl.runs import row_file
from videoxl.runs.engine import load_results, run, state
from videoxl.runs.job import Item
from videoxl.runs.row_file import RowFile

OLD, NEW = [0, 1, 2], [0, 10, 2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run of three items of two rows, one of which has changed since."""
    run(tmp_path / "run", {}, numbers(3, rows=2), Squares(tmp_path / "calls"))
    return tmp_path / "run"


def changed(**data: Any) -> list[Item]:
    items = numbers(3, rows=2)
    return [items[0], Item("item 1", {"number": 10, "rows": 2} | data), items[2]]


def found(folder: Path) -> list[int]:
    rows = load_results(folder)
    assert [row["part"] for row in rows] == [0, 1] * (len(rows) // 2)
    return [row["number"] for row in rows[::2]]


def test_an_item_is_done_again_only_if_it_is_named(folder: Path) -> None:
    job = Squares(folder.parent / "calls")
    assert run(folder, {}, changed(), job).resumed == 3 and found(folder) == OLD
    summary = run(folder, {}, changed(), job, redo=["item 1", "what is not there"])
    assert (summary.done, summary.resumed) == (3, 2) and found(folder) == NEW
    assert job.counts() == {"item 0": 1, "item 1": 2, "item 2": 1}
    assert run(folder, {}, changed(), job).resumed == 3
    keys = [json.loads(line)["key"] for line in (folder / "results.jsonl").read_text().splitlines()]
    assert keys == [f"item {n}" for n in (0, 0, 2, 2, 1, 1)]


def test_one_that_fails_now_has_no_rows_any_more(folder: Path) -> None:
    run(folder, {}, changed(do="raise"), Squares(folder.parent / "calls"), redo=["item 1"])
    assert found(folder) == [0, 2] and [each.key for each in state(folder).failures] == ["item 1"]
    summary = run(folder, {}, changed(), Squares(folder.parent / "calls"), retry_failed=True)
    assert (summary.done, summary.failed) == (3, 0) and found(folder) == NEW


@pytest.mark.parametrize("do", [None, "raise", "make a file"])
@pytest.mark.parametrize("call", range(4))
def test_a_crash_anywhere_in_between(folder: Path, monkeypatch: pytest.MonkeyPatch, do: str | None, call: int) -> None:
    """The process ends before the n-th thing that is written."""
    left = [call]

    def dying(write: Any) -> Any:
        def written(*args: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise SystemExit("killed")
            return write(*args)

        return written

    job = Squares(folder.parent / "calls")
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        for name in ("append", "replace"):
            patch.setattr(RowFile, name, dying(getattr(RowFile, name)))
        patch.setattr(row_file, "write_file", dying(row_file.write_file))
        run(folder, {}, changed(do=do), job, redo=["item 1"])
        raise SystemExit("there was nothing more to write")
    keys = list(dict.fromkeys(row["key"] for row in load_results(folder)))  # an item that is there twice is an error
    assert keys in (["item 0", "item 1", "item 2"], ["item 0", "item 2"])
    assert call > 0 or len(keys) == 3  # nothing was written: what was known is known
    summary = run(folder, {}, changed(), job, retry_failed=True, redo=["item 1"])
    assert (summary.done, summary.failed) == (3, 0) and found(folder) == NEW


def test_a_folder_of_another_format_is_refused_as_older_or_newer(tmp_path: Path) -> None:
    old, new = {"model": "a"}, {"model": "a", "format": 2, "device": "cpu"}
    job = Squares(tmp_path / "calls")
    run(tmp_path / "old", old, numbers(1), job)
    run(tmp_path / "new", new, numbers(1), job)
    with pytest.raises(RunError, match="older"):
        run(tmp_path / "old", new, numbers(1), job)
    with pytest.raises(RunError, match="newer"):
        run(tmp_path / "new", old, numbers(1), job)
    assert [len(load_results(tmp_path / name)) for name in ("old", "new")] == [1, 1]
    assert run(tmp_path / "new", new, numbers(1), job).resumed == 1
