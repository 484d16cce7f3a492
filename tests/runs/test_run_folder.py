"""The folder of a run: what it says when it is opened again, and what it refuses."""

import json
import os
from pathlib import Path

import pytest
from run_jobs import Squares, numbers

from videoxl.errors import RunError
from videoxl.runs.engine import load_results, run, state
from videoxl.runs.events import Event, ItemDone
from videoxl.runs.job import Item
from videoxl.runs.journal import Journal
from videoxl.runs.rows import encode, read


def job(folder: Path) -> Squares:
    return Squares(folder / "calls")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run of three items, of two rows each."""
    run(tmp_path / "run", {}, numbers(3, rows=2), job(tmp_path))
    return tmp_path / "run"


def test_only_whole_items_count_wherever_the_file_is_torn(tmp_path: Path) -> None:
    parts = [encode("a", {"x": 1}), encode("b", [{"x": 2}, {"x": 3}]), encode("c", [{"x": "é"}])]
    text, path = "".join(parts).encode(), tmp_path / "rows"
    ends = [len("".join(parts[:count])) for count in range(4)]
    for cut in range(len(text) + 1):
        for tail in (b"", b"\0" * 50):  # some file systems give zeros for what was not written before a power loss
            path.write_bytes(text[:cut] + tail)
            items, whole = read(path)
            expected = max(end for end in ends if end <= cut)
            assert (whole, list(items)) == (expected, ["a", "b", "c"][: ends.index(expected)])
    assert items["b"] == [{"key": "b", "of": 2, "x": 2}, {"key": "b", "of": 2, "x": 3}]


@pytest.mark.parametrize("tail", [b"", b"\0\0\0", b'{"key": "item 2", "of": 2, "number"'])
def test_a_torn_item_is_cut_off_and_done_again(folder: Path, tail: bytes) -> None:
    path = folder / "results.jsonl"
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + tail)
    assert [row["number"] for row in load_results(folder)] == [0, 0, 1, 1]
    run(folder, {}, numbers(3, rows=2), job(folder.parent))
    assert path.read_bytes() == content
    assert job(folder.parent).counts() == {"item 0": 1, "item 1": 1, "item 2": 2}


def test_damage_that_no_crash_can_cause_is_refused(folder: Path) -> None:
    path = folder / "results.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for wrong, problem in (
        ([lines[0], *lines[2:]], "line 1 "),
        ([*lines[:2], "{\n", *lines[2:]], "line 3 "),
        ([*lines, *lines[:2]], "line 8: item 0 "),
    ):
        path.write_text("".join(wrong))
        with pytest.raises(RunError, match=problem):
            run(folder, {}, numbers(3, rows=2), job(folder.parent))
        assert path.read_text() == "".join(wrong)


@pytest.mark.parametrize("method", ["finish", "fail"])
def test_what_is_on_the_disk_counts_though_the_journal_has_not_heard_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit("killed")

    items = [Item("item 0", {"number": 0} if method == "finish" else {"do": "refuse"}), *numbers(2)[1:]]
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Journal, method, killed)
        run(tmp_path / "run", {}, items, job(tmp_path))
    assert state(tmp_path / "run").waiting == 2
    assert run(tmp_path / "run", {}, items, job(tmp_path)).resumed == 1
    assert job(tmp_path).counts()["item 0"] == 1
    assert len(state(tmp_path / "run").failures) == (method == "fail")


def test_rows_are_on_the_disk_before_the_item_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, finish = os.fsync, Journal.finish

    def synced(descriptor: int) -> None:
        if (tmp_path / "run" / "results.jsonl").exists():
            order.append(f"sync {os.fstat(descriptor).st_size > 0}")
        fsync(descriptor)

    def finished(journal: Journal, key: str, seconds: float) -> None:
        order.append(key)
        finish(journal, key, seconds)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Journal, "finish", finished)
    run(tmp_path / "run", {}, numbers(2, rows=3), job(tmp_path))
    assert order[-4:] == ["sync True", "item 0", "sync True", "item 1"]


def test_files_are_there_before_the_rows_that_name_them(tmp_path: Path) -> None:
    items = [Item(f"item {n}", {"do": "make a file"}) for n in range(2)]
    seen = []

    def look(event: Event) -> None:
        if isinstance(event, ItemDone):
            seen.append((tmp_path / "run" / event.rows[0]["file"]).read_bytes())

    run(tmp_path / "run", {}, items, job(tmp_path), on_event=look)
    assert seen == [b"of item 0", b"of item 1"]


def test_rows_whose_files_cannot_be_written_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "made").touch()
    with pytest.raises(RunError, match=r"made.item 0"):
        run(tmp_path / "run", {}, [Item("item 0", {"do": "make a file"})], job(tmp_path))
    assert load_results(tmp_path / "run") == [] and state(tmp_path / "run").waiting == 1


def test_the_journal_is_rebuilt_from_the_results(folder: Path) -> None:
    before = load_results(folder)
    for path in folder.glob("journal.sqlite*"):
        path.unlink()
    for look in (state, load_results):
        with pytest.raises(RunError, match=r"journal\.sqlite"):
            look(folder)
    assert run(folder, {}, numbers(3, rows=2), job(folder.parent)).resumed == 3
    assert load_results(folder) == before and state(folder).done == 3
    (folder / "journal.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(RunError, match=r"journal\.sqlite"):
        state(folder)


def test_changed_settings_are_refused_and_named(tmp_path: Path) -> None:
    old = {"ratio": 16, "watch": {"fps": 1.0, "mode": "uniform"}, "lengths": (1, 2), "model": "a"}
    run(tmp_path / "run", old, numbers(1), job(tmp_path))
    new = {"ratio": 8, "watch": {"fps": None, "mode": "uniform"}, "lengths": [1, 2], "protocol": "free"}
    with pytest.raises(RunError) as caught:
        run(tmp_path / "run", new, numbers(2), job(tmp_path))
    assert str(tmp_path / "run") in str(caught.value)
    changes = '(ratio: 16 → 8; watch.fps: 1.0 → null; model: "a" → not set; protocol: not set → "free")'
    assert changes in str(caught.value)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"] == old | {"lengths": [1, 2]}
    assert run(tmp_path / "run", old, numbers(2), job(tmp_path)).resumed == 1


def test_items_need_names_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="'item 1'"):
        run(tmp_path / "run", {}, [*numbers(2), *numbers(2)[1:]], job(tmp_path))
    assert not (tmp_path / "run").exists()


def test_folders_that_are_none_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(RunError, match=r"file: "):
        run(tmp_path / "file", {}, numbers(1), job(tmp_path))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.jsonl").write_text('{"mine": 1}\n')
    with pytest.raises(RunError, match=r"results\.jsonl .* run\.json"):
        run(tmp_path / "other", {}, numbers(1), job(tmp_path))
    for look in (state, load_results):
        with pytest.raises(RunError, match="nothing: "):
            look(tmp_path / "nothing")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json"):
        run(tmp_path / "broken", {}, numbers(1), job(tmp_path))


def test_results_are_put_in_order_when_asked(tmp_path: Path) -> None:
    items, path = numbers(4, rows=2), tmp_path / "run" / "results.jsonl"
    run(tmp_path / "run", {}, [items[3], items[1], items[0]], job(tmp_path))
    lines = path.read_text().splitlines()
    summary = run(tmp_path / "run", {}, items[:3], job(tmp_path), ordered=True)
    assert (summary.done, summary.resumed) == (3, 2)
    keys = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    assert keys == [f"item {n}" for n in (0, 0, 1, 1, 2, 2, 3, 3)]  # what is no longer asked for is kept, at the end
    assert set(lines) < set(path.read_text().splitlines())
    assert run(tmp_path / "run", {}, items, job(tmp_path)).resumed == 4
