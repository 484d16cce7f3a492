"""The pictures in a folder are those of the last answers, whatever was there before and whatever ends the writing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_clips import read_numbers

from videoxl import Video
from videoxl.engine.answer import Answer
from videoxl.engine.evidence import Evidence
from videoxl.tasks import evidence_pictures
from videoxl.tasks.evidence_pictures import SHEET, write_evidence


def answers(*moments: list[float]) -> list[tuple[str, Answer]]:
    """A question for each list of moments, each the middle of a span."""
    return [
        (f"Question {number}?", Answer("yes", 1, 1, True, tuple(Evidence(at, at, 0.5) for at in own)))
        for number, own in enumerate(moments)
    ]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def video(clip: Path) -> Video:
    return Video(clip)


def test_pictures_of_an_earlier_run_give_way(video: Video, tmp_path: Path) -> None:
    write_evidence(tmp_path, video, answers([1.0, 5.0], [3.0]))
    assert names(tmp_path) == ["1-1_00-00-01.png", "1-2_00-00-05.png", "2-1_00-00-03.png", SHEET]
    written = write_evidence(tmp_path, video, answers([2.0, 5.2]))
    assert names(tmp_path) == ["1-1_00-00-02.png", "1-2_00-00-05.png", SHEET]
    assert sorted(path.name for path in written) == names(tmp_path)
    (shown,) = read_numbers(np.asarray(Image.open(tmp_path / "1-2_00-00-05.png"))[None])
    assert shown == 52


def test_nothing_to_show_leaves_nothing_of_an_earlier_run(video: Video, tmp_path: Path) -> None:
    write_evidence(tmp_path, video, answers([1.0]))
    assert write_evidence(tmp_path, video, answers([])) == [] and names(tmp_path) == []


def test_other_files_stay(video: Video, tmp_path: Path) -> None:
    others = {
        "1-1_00-00-09.png": b"no picture",
        "holiday.png": b"mine",
        "1-1_00-00-01.txt": b"a note",
        ".hidden": b"",
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (9, 9)).save(tmp_path / "3-1_00-00-07.png")  # named like ours, and made by something else
    (tmp_path / "2-1_00-00-01.png").mkdir()
    write_evidence(tmp_path, video, answers([1.0, 3.0]))
    (tmp_path / "kept.png").write_bytes((tmp_path / "1-2_00-00-03.png").read_bytes())  # ours, under another name
    write_evidence(tmp_path, video, answers([2.0]))
    assert names(tmp_path) == sorted(
        [*others, "3-1_00-00-07.png", "2-1_00-00-01.png", "kept.png", "1-1_00-00-02.png", SHEET]
    )
    assert {name: (tmp_path / name).read_bytes() for name in others} == others


@pytest.mark.parametrize("stopped_at", range(1, 12))
def test_ctrl_c_leaves_no_sheet_beside_other_pictures(
    video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    """At any step: the old pictures with their sheet, the new ones with theirs, or no sheet."""
    write_evidence(tmp_path, video, answers([1.0, 5.0, 7.0]))
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    steps = 0

    def step(function: object) -> object:
        def interrupted(*arguments: object, **options: object) -> object:
            nonlocal steps
            steps += 1
            if steps == stopped_at:
                raise KeyboardInterrupt
            return function(*arguments, **options)  # type: ignore[operator]

        return interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", step(Image.Image.save))
        patch.setattr(evidence_pictures, "replace_file", step(evidence_pictures.replace_file))
        patch.setattr(Path, "unlink", step(Path.unlink))
        try:
            write_evidence(tmp_path, video, answers([2.0, 5.2]))
            stopped = False
        except KeyboardInterrupt:
            stopped = True
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert stopped == (stopped_at <= steps)
    write_evidence(tmp_path / "whole", video, answers([2.0, 5.2]))
    new = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert left in (old, new) if SHEET in left else stopped
    write_evidence(tmp_path, video, answers([2.0, 5.2]))
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {*new}
