"""`videoxl runs show`: what it says while a run goes on, after one that was stopped, and at the end."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from videoxl.cli.main import app
from videoxl.errors import VideoError
from videoxl.runs.context import ItemContext
from videoxl.runs.engine import run
from videoxl.runs.events import Event, ItemStarted
from videoxl.runs.job import Item, Worker

ITEMS = [Item("talk.mp4"), Item("broken\x1b[31m.mp4"), Item("film.mp4")]


def show(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["runs", "show", str(folder), *options])


def show_json(folder: Path) -> dict[str, Any]:
    return json.loads(show(folder, "--json").stdout)


@dataclass(frozen=True)
class Lengths:
    def setup(self, device: str) -> Worker:
        def worker(item: Item, turn: ItemContext) -> dict[str, Any]:
            if item.key.startswith("broken"):
                raise VideoError(f"{item.key}: is no video", "Take another.")
            return {"length": len(item.key)}

        return worker


def test_while_it_goes_on(tmp_path: Path) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    def told(event: Event) -> None:
        if event == ItemStarted(ITEMS[2], 0):
            seen.append((show(tmp_path).stdout, show_json(tmp_path)))

    run(tmp_path, {}, ITEMS, Lengths(), on_event=told)
    ((text, as_json),) = seen
    lines = [line.split() for line in text.splitlines()]
    assert [line[:2] for line in lines[1:6]] == [
        *(["items", "3"], ["done", "1"], ["failed", "1"], ["running", "1"], ["waiting", "0"])
    ]
    running, failed = lines.index(["WORKER", "SECONDS", "RUNNING"]), lines.index(["FAILED", "ERROR", "REASON"])
    assert lines[running + 1][0] == "0" and lines[running + 1][2] == "film.mp4"
    assert lines[failed + 1] == ["broken\\x1b[31m.mp4", "VideoError", "is", "no", "video"]
    assert set(as_json["process"]) == {"pid", "host"}
    (item,) = as_json["running_items"]
    assert (item["key"], item["worker"]) == ("film.mp4", 0)


def test_when_it_has_ended(tmp_path: Path) -> None:
    run(tmp_path, {}, ITEMS, Lengths())
    result = show(tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "process  none: it has ended" in result.stdout and "RUNNING" not in result.stdout
    shown, key = show_json(tmp_path), "broken\x1b[31m.mp4"
    assert shown.pop("seconds") >= 0
    assert shown == {
        **{"items": 3, "done": 2, "failed": 1, "running": 0, "waiting": 0, "process": None, "running_items": []},
        "failures": [{"key": key, "name": key, "error": "VideoError", "message": f"{key}: is no video"}],
    }


def test_when_it_was_stopped(tmp_path: Path) -> None:
    def told(event: Event) -> None:
        if event == ItemStarted(ITEMS[1], 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {}, ITEMS, Lengths(), on_event=told)
    assert "process  none: it was stopped" in show(tmp_path).stdout
    assert show_json(tmp_path)["waiting"] == 2


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    result = show(tmp_path / "nothing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {tmp_path / 'nothing'}: holds no run\nGive the folder that a run writes to.\n"
    assert not (tmp_path / "nothing").exists()
