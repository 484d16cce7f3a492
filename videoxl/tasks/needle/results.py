"""Statistics of finished trials: shares with intervals, by cell, length and depth, and records for other scripts."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...files import atomic_write, write_json
from ..tables import Count
from .haystacks import SYNTHETIC
from .needles import BUNDLED

Row = dict[str, Any]


@dataclass(frozen=True)
class Cells:
    """Progress of a grid: numbers of cells that are done, that failed, and of all."""

    done: int
    failed: int
    total: int


@dataclass(frozen=True)
class Grid:
    """Counts by length and depth.

    Args:
        cells: right answers and questions, by length and depth; finished cells only.
        saving: how many times fewer frames were encoded and condensed than if every video were processed separately.
    """

    cells: dict[tuple[int, float], Count]
    saving: tuple[float, float]

    @property
    def lengths(self) -> list[int]:
        """Lengths that have a finished cell, ascending."""
        return sorted({length for length, _ in self.cells})

    @property
    def depths(self) -> list[float]:
        """Depths that have a finished cell, ascending."""
        return sorted({depth for _, depth in self.cells})

    @property
    def overall(self) -> Count:
        """All questions."""
        return _sum(self.cells.values())

    def column(self, length: int) -> Count:
        """All questions of a length."""
        return _sum(count for (cell_length, _), count in self.cells.items() if cell_length == length)

    def at_depth(self, depth: float) -> Count:
        """All questions of a depth."""
        return _sum(count for (_, cell_depth), count in self.cells.items() if cell_depth == depth)


def _sum(counts: Iterable[Count]) -> Count:
    return sum(counts, Count())


def grid(rows: Sequence[Row]) -> Grid:
    """Return the counts of finished trials."""
    cells: dict[tuple[int, float], Count] = defaultdict(Count)
    videos: dict[tuple[str, int, float, int], int] = {}
    for row in rows:
        cells[row["length"], row["depth"]] += Count(int(row["score"] == 1.0), 1)
        videos[row["haystack"], row["length"], row["depth"], row["trial"]] = row["frames"]
    num_frames = sum(videos.values())
    saving = tuple(num_frames / max(1, sum(row[stage] for row in rows)) for stage in ("encoded", "condensed"))
    return Grid(dict(cells), (saving[0], saving[1]))


def summary(rows: Sequence[Row], settings: dict[str, Any], about: dict[str, Any], cells: Cells) -> dict[str, Any]:
    """Return the summary for JSON: every cell, every length, every depth, and all, with 95 % Wilson intervals."""
    finished = grid(rows)
    return {
        **about,
        "settings": settings,
        "progress": asdict(cells),
        "overall": finished.overall.as_dict() if rows else None,
        "lengths": [{"length": length, **finished.column(length).as_dict()} for length in finished.lengths],
        "depths": [{"depth": depth, **finished.at_depth(depth).as_dict()} for depth in finished.depths],
        "cells": [
            {"length": length, "depth": depth, **finished.cells[length, depth].as_dict()}
            for length, depth in sorted(finished.cells)
        ],
        "saving": {"encoded": round(finished.saving[0], 2), "condensed": round(finished.saving[1], 2)},
        "seconds": round(sum(row["seconds"] for row in rows), 1),
    }


def markdown(rows: Sequence[Row], title: str, cells: Cells) -> str:
    """Return a table of depths by lengths, and under it the overall share."""
    finished = grid(rows)
    lines = [f"# {title}", "", "| depth | " + " | ".join(f"{length} frames" for length in finished.lengths) + " |"]
    lines.append("|---|" + "---|" * len(finished.lengths))
    for depth in finished.depths:
        counts = [finished.cells.get((length, depth), Count()) for length in finished.lengths]
        lines.append(f"| {depth:g} % | " + " | ".join(map(_cell, counts)) + " |")
    lines.append("| all depths | " + " | ".join(_cell(finished.column(length)) for length in finished.lengths) + " |")
    encoded, condensed = finished.saving
    if cells.done < cells.total:
        lines += ["", f"**{cells.done} of {cells.total} cells are finished, {cells.failed} failed.**"]
    lines += [
        "",
        f"All: {finished.overall}; a cell reads `right/asked = share (95 % Wilson interval)`, as if questions were "
        "independent of each other, although cells share them.",
        "",
        f"Work shared between trials: {encoded:.1f} times fewer frames encoded and {condensed:.1f} times fewer "
        "condensed than if every video were processed separately.",
    ]
    return "\n".join(lines) + "\n"


def _cell(count: Count) -> str:
    return str(count) if count.num_questions else "-"


def longva_records(rows: Sequence[Row]) -> list[dict[str, float]]:
    """Return the records that LongVA's plotting reads: one per cell, with its mean score."""
    cells = sorted(grid(rows).cells.items())
    return [{"Num. Frame": length, "Document Depth": depth, "Score": count.share} for (length, depth), count in cells]


def reference_records(rows: Sequence[Row], model: str) -> dict[str, dict[str, Any]]:
    """Return the records of the needle tester that the reference is based on: one file per cell, by file name."""
    records = {}
    for (length, depth), count in sorted(grid(rows).cells.items()):
        cell_rows = [row for row in rows if (row["length"], row["depth"]) == (length, depth)]
        name = f"{model.replace('.', '_')}_modality_image_len_{length}_depth_{depth:g}_results.json"
        records[name] = {
            "model": model,
            "context_length": length,
            "depth_percent": depth,
            "version": 1,
            "needle": [row["needle"] for row in cell_rows],
            "model_response": [row["response"] for row in cell_rows],
            "score": count.share,
            "test_duration_seconds": round(sum(row["seconds"] for row in cell_rows), 4),
        }
    return records


def write_reports(
    folder: Path, rows: Sequence[Row], settings: dict[str, Any], about: dict[str, Any], cells: Cells
) -> None:
    """Write summary.json, summary.md and the records of other scripts into a folder; `draw` writes the figures."""
    write_json(folder / "summary.json", summary(rows, settings, about, cells))
    _write(folder / "summary.md", markdown(rows, title(settings, len(rows)), cells))
    _write(folder / "records" / "longva" / "all_accuracies.json", json.dumps(longva_records(rows), indent=1))
    for file, record in reference_records(rows, settings["model"]).items():
        write_json(folder / "records" / "video-xl" / file, record)


def title(settings: dict[str, Any], count: int) -> str:
    """Return the title of a figure or table: model, ratio, protocol, task and number of questions."""
    details = "" if settings["task"] == "retrieval" else f", {settings['task']}"
    if settings["per_video"] > 1:
        details += f", {settings['per_video']} needles per video"
    if settings["distractors"]:
        details += f", {settings['distractors']} distractors"
    if settings["haystack"] != f"{SYNTHETIC}:0":
        details += f", in {settings['haystack']}"
    if settings["needles"] != BUNDLED:
        details += f", {settings['needles']}"
    return f"{settings['model']}, ratio {settings['ratio']}, protocol {settings['protocol']}{details}, n = {count}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(text.encode())
