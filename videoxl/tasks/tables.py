"""Tables of counts of right answers, as Markdown and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .intervals import wilson


@dataclass(frozen=True)
class Count:
    """Counts of one kind of question: how many there were, and how many were answered `right`."""

    right: int = 0
    num_questions: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.right + other.right, self.num_questions + other.num_questions)

    @property
    def share(self) -> float:
        """The share of right answers; there must be at least one question."""
        return self.right / self.num_questions

    def as_dict(self) -> dict[str, float]:
        """Return counts, share and interval for JSON."""
        low, high = wilson(self.right, self.num_questions)
        return {
            "right": self.right,
            "asked": self.num_questions,
            "share": round(self.share, 4),
            "low": round(low, 4),
            "high": round(high, 4),
        }

    def __str__(self) -> str:
        low, high = wilson(self.right, self.num_questions)
        share = f"{self.share:.0%}"
        if share in ("0%", "100%") and 0 < self.right < self.num_questions:  # not rounded to 0 or 100
            share = f"{self.share:.1%}"
        return f"{self.right}/{self.num_questions} = {share} ({100 * low:.0f}-{100 * high:.0f})"


class Table:
    """Counts by row and column.

    Args:
        title: a sentence without its full stop.
        rows: in order; empty ones are not shown.
        columns: likewise.
    """

    def __init__(self, title: str, rows: Sequence[str], columns: Sequence[str]) -> None:
        self.title = title
        self._rows, self._columns = tuple(rows), tuple(columns)
        self._counts: dict[tuple[str, str], Count] = {}

    def add(self, row: str, column: str, right: int, num_questions: int = 1) -> None:
        """Add answers to a cell.

        Raises:
            KeyError: the table has no such row or column.
        """
        if row not in self._rows or column not in self._columns:
            raise KeyError((row, column))
        self._counts[row, column] = self[row, column] + Count(int(right), num_questions)

    def __getitem__(self, cell: tuple[str, str]) -> Count:
        return self._counts.get(cell, Count())

    def markdown(self) -> str:
        """Return the title and the table; a cell reads `right/asked = share (95 % interval)`."""
        columns = [column for column in self._columns if any(self[row, column].num_questions for row in self._rows)]
        lines = [f"{self.title}:", "", "| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
        for row in self._rows:
            counts = [self[row, column] for column in columns]
            if any(count.num_questions for count in counts):
                cells = [str(count) if count.num_questions else "-" for count in counts]
                lines.append(f"| {row} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return title and counted cells for JSON, by row and column."""
        cells: dict[str, dict[str, Any]] = {}
        for row in self._rows:
            for column in self._columns:
                if self[row, column].num_questions:
                    cells.setdefault(row, {})[column] = self[row, column].as_dict()
        return {"title": self.title, "rows": cells}
