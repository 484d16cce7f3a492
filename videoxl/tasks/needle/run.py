"""A needle run from its settings to its reports."""

import hashlib
import importlib
import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ... import __version__
from ...checkpoints.hub import checkpoint_folder
from ...errors import RunError
from ...files import sampled_digest
from ...runs.engine import RunSummary, load_results, run
from ...runs.events import Event
from ...runs.folder import RESULTS, saved_run
from .needles import BUNDLED, bundled_file
from .results import Grid, grid, title, write_reports
from .settings import NeedleSettings, check_folder, prepare


def run_needles(
    folder: Path,
    settings: NeedleSettings,
    devices: Sequence[str] = ("auto",),
    on_event: Callable[[Event], None] | None = None,
) -> RunSummary:
    """Do all cells that have no results yet, and write the reports.

    Args:
        folder: of the run: `results.jsonl`, `summary.json`, `summary.md`, `heatmap.png`, `heatmap.svg`, `records/`.
        settings: the same as before, if there are results already.
        devices: one worker each.
        on_event: is told what goes on.

    Raises:
        RunError: something is wrong with the settings, or the folder is another run's; before a model is loaded.
        VideoError, BudgetError, CheckpointError: see `prepare`.
    """
    _, haystacks, items = prepare(settings)
    check_folder(folder)
    from .job import NeedleJob

    # What a run is told apart by: files by their content, the model by its files.
    said = settings.as_dict() | {
        "contents": {haystack.name: haystack.content for haystack in haystacks},
        "needles_file": _needles_digest(settings.needles),
        "model_files": _files_digest(checkpoint_folder(settings.model)),
    }
    try:
        return run(folder, said, items, NeedleJob(settings), devices=devices, on_event=on_event)
    finally:
        if (folder / RESULTS).exists():
            report(folder)


def _needles_digest(source: str) -> str:
    return sampled_digest(bundled_file() if source == BUNDLED else source)


def _files_digest(folder: Path) -> str:
    """Return a digest of all files of a checkpoint: the model, without loading it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    said = [[str(path.relative_to(folder)), sampled_digest(path)] for path in files]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def report(folder: Path) -> None:
    """Write the reports of a run's finished cells, whether or not there are more to come."""
    rows, settings = load_results(folder), saved_run(folder)["settings"]
    if rows:
        write_reports(folder, rows, settings, {"date": str(date.today()), "version": __version__})
        _figure().draw([(title(settings, len(rows)), grid(rows))], folder / "heatmap")


def compare(folders: Sequence[Path], out: Path) -> None:
    """Draw the heat maps of runs side by side.

    Raises:
        RunError: one of them has no results.
    """
    grids: list[tuple[str, Grid]] = []
    for folder in folders:
        rows = load_results(folder)
        if not rows:
            raise RunError(f"{folder}: there are no results in it", "Give folders of needle runs.")
        grids.append((title(saved_run(folder)["settings"], len(rows)), grid(rows)))
    _figure().draw(grids, out)


def _figure() -> Any:
    """Return the module that draws; matplotlib takes a second to import, and only reports need it."""
    return importlib.import_module(".figure", __package__)


def read_summary(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return a run's summary as Markdown and as JSON.

    Raises:
        RunError: there is none: no cell is finished.
    """
    try:
        return (folder / "summary.md").read_text(), json.loads((folder / "summary.json").read_bytes())
    except OSError:
        raise RunError(f"{folder}: no cell is finished", "Look at failures.jsonl in it.") from None


def devices(name: str, workers: int) -> list[str]:
    """Return a device for each worker: "auto" spreads them over the GPUs, or over the CPU's cores if there is none.

    Raises:
        RunError: more workers are asked for than there are GPUs.
    """
    if workers == 1:
        return [name]
    if name != "auto":
        return [name] * workers
    import torch

    gpus = torch.cuda.device_count()
    if not gpus:
        return ["cpu"] * workers
    if workers > gpus:
        raise RunError(f"{workers} workers for {gpus} GPUs", "Give at most one worker a GPU.")
    return [f"cuda:{index}" for index in range(workers)]
