"""The heat map of a needle run, or of several side by side."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ...files import atomic_write
from .results import Grid

FORMATS = ("png", "svg")
_SCALE = LinearSegmentedColormap.from_list("needle", ["#F0496E", "#EBB839", "#0CD79F"])  # as in LongVA
_SIZE_OF_CELL = (0.95, 0.55)  # inches
_MARGIN = (2.2, 1.9)


def draw(grids: Sequence[tuple[str, Grid]], path: Path) -> None:
    """Write a heat map for each run, side by side on one scale, as `path` with the extensions of `FORMATS`.

    Args:
        grids: a title and the counts of each run.
        path: without its extension.

    Raises:
        OSError: it cannot be written.
    """
    columns = [max(1, len(grid.lengths)) for _, grid in grids]
    depths = max(max(1, len(grid.depths)) for _, grid in grids)
    width = sum(columns) * _SIZE_OF_CELL[0] + _MARGIN[0] * len(grids)
    figure = Figure((max(width, 6.5 * len(grids)), (depths + 1) * _SIZE_OF_CELL[1] + _MARGIN[1]), layout="constrained")
    axes = figure.subplots(1, len(grids), squeeze=False, width_ratios=columns)[0]
    for axis, (title, grid) in zip(axes, grids, strict=True):
        _heat_map(axis, title, grid)
    scale = figure.colorbar(axes[-1].images[0], ax=list(axes), label="right answers (%)", pad=0.02)
    scale.outline.set_visible(False)
    for extension in FORMATS:
        buffer = BytesIO()
        # No date in the file: the same results give the same bytes.
        with rc_context({"svg.hashsalt": "videoxl"}):
            figure.savefig(buffer, format=extension, dpi=160, metadata={"Date": None} if extension == "svg" else {})
        with atomic_write(path.with_name(f"{path.name}.{extension}")) as file:
            file.write(buffer.getvalue())


def _heat_map(axis: Axes, title: str, grid: Grid) -> None:
    """Draw lengths by depths, and under them the share of each length with its 95 % interval."""
    lengths, depths = grid.lengths, grid.depths
    shares = [
        [100 * grid.cells[length, depth].share if (length, depth) in grid.cells else float("nan") for length in lengths]
        for depth in depths
    ]
    axis.imshow(shares, cmap=_SCALE, vmin=0, vmax=100, aspect="auto")
    for row, line in enumerate(shares):
        for column, share in enumerate(line):
            if share == share:  # not NaN: unfinished cells stay empty
                axis.text(column, row, _rounded(share), ha="center", va="center", fontsize=10, color="#1c1c1c")
    labels = []
    for length in lengths:
        count = grid.column(length).as_dict()
        labels.append(
            f"{length}\n{_rounded(100 * count['share'])} %\n({100 * count['low']:.0f}-{100 * count['high']:.0f})"
        )
    axis.set_xticks(range(len(lengths)), labels, fontsize=9)
    axis.set_yticks(range(len(depths)), [f"{depth:g} %" for depth in depths], fontsize=9)
    axis.set_xlabel("frames of haystack; right answers of the column, 95 % interval")
    axis.set_ylabel("depth of the needle")
    axis.set_title(title, fontsize=11)
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    axis.set_xticks([edge - 0.5 for edge in range(1, len(lengths))], minor=True)
    axis.set_yticks([edge - 0.5 for edge in range(1, len(depths))], minor=True)
    axis.grid(which="minor", color="white", linewidth=1.5)
    axis.tick_params(which="minor", length=0)


def _rounded(share: float) -> str:
    """Return a percentage without decimals, unless that would round it to 0 or 100."""
    return f"{share:.1f}" if 99.5 <= share < 100 or 0 < share < 0.5 else f"{share:.0f}"
