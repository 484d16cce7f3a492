"""Statistics of trials, counted by hand; the records that other scripts read; figures."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from videoxl.tasks.needle.figure import draw
from videoxl.tasks.needle.results import (
    Cells,
    grid,
    longva_records,
    markdown,
    reference_records,
    summary,
    write_reports,
)

SETTINGS = {
    "model": "videoxl-nano", "ratio": 16, "protocol": "free", "task": "retrieval", "per_video": 1, "distractors": 0,
    "needles": "bundled", "haystack": "synthetic:0",
}  # fmt: skip
CELLS = Cells(3, 0, 3)


def row(length: int, depth: float, trial: int, score: float, **changes: Any) -> dict[str, Any]:
    return {
        "length": length, "depth": depth, "trial": trial, "needle": f"n{trial}", "question": "?", "response": "r",
        "answer": "a", "score": score, "seconds": 1.5, "slots": 9, "haystack": "h", "frames": length + 1,
        "encoded": 10, "condensed": 20, **changes,
    }  # fmt: skip


ROWS = [
    *(row(100, 0.0, trial, 1.0) for trial in range(4)),
    *(row(100, 50.0, trial, float(trial < 2)) for trial in range(4)),
    *(row(200, 0.0, trial, 0.0) for trial in range(4)),
]


def test_cells_columns_and_all_are_counted_with_their_intervals() -> None:
    said = summary(ROWS, SETTINGS, {"date": "2026-01-01"}, CELLS)
    assert [(cell["length"], cell["depth"], cell["right"], cell["asked"]) for cell in said["cells"]] == [
        (100, 0.0, 4, 4), (100, 50.0, 2, 4), (200, 0.0, 0, 4),
    ]  # fmt: skip
    assert [(column["length"], column["right"], column["asked"]) for column in said["lengths"]] == [
        (100, 6, 8), (200, 0, 4),
    ]  # fmt: skip
    assert (said["overall"]["right"], said["overall"]["asked"]) == (6, 12)
    # Wilson's interval of 2 in 4, from its formula: centre 0.5, half 0.3501.
    assert (said["cells"][1]["low"], said["cells"][1]["high"]) == (0.15, 0.85)
    # Twelve videos of 101 and 201 frames would be 8 * 101 + 4 * 201 frames; 120 were encoded, 240 condensed.
    assert said["saving"] == {"encoded": round(1612 / 120, 2), "condensed": round(1612 / 240, 2)}


def test_a_video_that_is_asked_twice_is_watched_once() -> None:
    twice = [row(100, 0.0, 0, 1.0), row(100, 0.0, 0, 0.0, encoded=0, condensed=0)]
    assert grid(twice).saving == (10.1, 5.05)


def test_the_table_has_a_column_for_every_length_and_their_sums() -> None:
    text = markdown(ROWS, "Title", Cells(3, 1, 5))
    assert "| depth | 100 frames | 200 frames |" in text
    assert "| 50 % | 2/4 = 50% (15-85) | - |" in text
    assert "**3 of 5 cells are finished, 1 failed.**" in text
    assert "| all depths | 6/8 = 75% (41-93) | 0/4 = 0% (0-49) |" in text


def test_records_have_the_fields_that_other_scripts_read() -> None:
    assert longva_records(ROWS)[1] == {"Num. Frame": 100, "Document Depth": 50.0, "Score": 0.5}
    records = reference_records(ROWS, "video.xl")
    record = records["video_xl_modality_image_len_100_depth_50_results.json"]
    assert (record["model"], record["context_length"], record["depth_percent"], record["score"]) == (
        "video.xl", 100, 50.0, 0.5,
    )  # fmt: skip
    assert record["test_duration_seconds"] == 6.0 and len(records) == 3


def test_reports_are_written(tmp_path: Path) -> None:
    write_reports(tmp_path, ROWS, SETTINGS, {"date": "2026-01-01"}, CELLS)
    assert json.loads((tmp_path / "summary.json").read_text())["date"] == "2026-01-01"
    assert len(json.loads((tmp_path / "records" / "longva" / "all_accuracies.json").read_text())) == 3
    assert len([*(tmp_path / "records" / "video-xl").iterdir()]) == 3
    assert "n = 12" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize("count", [1, 2])
def test_figures_show_green_where_answers_are_right_and_red_where_not(tmp_path: Path, count: int) -> None:
    draw([("A run", grid(ROWS))] * count, tmp_path / "map")
    picture = Image.open(tmp_path / "map.png").convert("RGB")
    colours = {colour for _, colour in picture.getcolors(1 << 24) or ()}
    assert {(12, 215, 159), (240, 73, 110)} <= colours  # the ends of the scale, in full
    svg = (tmp_path / "map.svg").read_text()
    assert "A run" in svg or "<path" in svg
    draw([("A run", grid(ROWS))] * count, tmp_path / "again")
    for ending in ("png", "svg"):
        assert (tmp_path / f"again.{ending}").read_bytes() == (tmp_path / f"map.{ending}").read_bytes()
