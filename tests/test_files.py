"""Atomic writes: the old file or the whole new one."""

import json
import os
from pathlib import Path

import pytest

from videoxl.files import atomic_write, write_json


def test_an_error_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for error in (OSError("disk full"), KeyboardInterrupt()):
        with pytest.raises(type(error)), atomic_write(path) as file:
            file.write(b"half of the new")
            raise error
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_nobody_sees_half_a_file_and_it_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, events = tmp_path / "file", []
    path.write_bytes(b"old")
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: events.append("fsync") or fsync(fd))
    monkeypatch.setattr(Path, "replace", lambda self, to: events.append("replace") or replace(self, to))
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert events == ["fsync", "replace", "fsync"]  # of the file, and of the folder
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_json_makes_its_folder(tmp_path: Path) -> None:
    content = {"ü": 1, "name": os.fsdecode(b"\xff.mp4")}
    write_json(tmp_path / "a" / "b.json", content)
    assert json.loads((tmp_path / "a" / "b.json").read_text(encoding="utf-8")) == content


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
