"""Manifests that were corrected, ids that are there twice, files that are no videos any more."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from video_clips import write_numbered

from videoxl.options import AnswerOptions
from videoxl.runs.engine import load_results, state
from videoxl.tasks.summarize.batch import summarize
from videoxl.tasks.summarize.changes import changed_sources
from videoxl.tasks.summarize.inputs import read_inputs
from videoxl.tasks.summarize.job import SummaryJob
from videoxl.tasks.summarize.prompts import Prompts

Summaries = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def summaries(model_folder: Path, tmp_path: Path) -> Summaries:
    """Summarise with the tiny model into one folder; videos that have changed are summarised again."""

    def begin(*names: str) -> list[dict[str, Any]]:
        out = tmp_path / "out"
        job = SummaryJob(model_folder, "tiny", Prompts("What is shown?", "What is it about?"), answer=AnswerOptions(2))
        sources = read_inputs([str(tmp_path / name) for name in names], out).sources
        changed = changed_sources(sources, out)
        summarize(sources, out, job, formats=["vtt"], device="cpu", redo=changed)
        return load_results(out)

    return begin


def test_a_corrected_path_is_another_video(summaries: Summaries, tmp_path: Path) -> None:
    for name, length in (("a.mp4", 4), ("b.mp4", 6)):
        write_numbered(tmp_path / name, length, fps=1)
        (tmp_path / "m.jsonl").write_text(json.dumps({"video": name, "id": "talk"}))
        (row,) = summaries("m.jsonl")
        assert (row["id"], row["video"]["duration"]) == ("talk", length)
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 2


def test_one_id_in_two_manifests_has_two_files(summaries: Summaries, tmp_path: Path) -> None:
    write_numbered(tmp_path / "a.mp4", 9, fps=1)
    for name, end in (("one.jsonl", 4), ("two.jsonl", 6)):
        (tmp_path / name).write_text(json.dumps({"video": "a.mp4", "id": "talk", "end": end}))
    rows = summaries("one.jsonl", "two.jsonl")
    assert [(row["start"], row["end"]) for row in rows] == [(None, 4.0), (None, 6.0)]
    for row, end in zip(rows, ("00:00:04.000", "00:00:06.000"), strict=True):
        assert end in (tmp_path / "out" / "vtt" / f"{row['key']}.vtt").read_text()
        assert (tmp_path / "out" / row["sheet"]["file"]).exists()


def test_what_is_no_video_any_more_leaves_nothing_of_the_old_one(summaries: Summaries, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_numbered(tmp_path / name, 4, fps=1)
    assert len(summaries("a.mp4", "b.mp4")) == 2
    (tmp_path / "a.mp4").write_text("no video any more")
    (row,) = summaries("a.mp4", "b.mp4")
    assert row["id"] == str(tmp_path / "b.mp4")
    assert [path.stem for path in (tmp_path / "out" / "vtt").iterdir()] == [row["key"]]
    (failure,) = state(tmp_path / "out").failures
    assert failure.name == str(tmp_path / "a.mp4") and failure.reason == "is a text file, not a video"
