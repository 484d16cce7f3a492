"""A needle run from its settings to its reports."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ... import __version__
from ...checkpoints.hub import checkpoint_folder
from ...checkpoints.layout import folder_digest
from ...errors import RunError
from ...files import sampled_digest
from ...runs.engine import RunSummary, load_results, run
from ...runs.events import Event
from ...runs.folder import saved_run
from ...runs.state import state
from ...version import MEMORY_REVISION
from .needles import BUNDLED, Needle, bundled_file
from .results import Cells, Grid, grid, title, write_reports
from .settings import NeedleSettings, check_folder, prepare


def run_needles(
    folder: Path,
    settings: NeedleSettings,
    devices: Sequence[str] = ("auto",),
    item_timeout: float | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> RunSummary:
    """Process all cells that have no results yet, and write the reports.

    Args:
        folder: of the run: `results.jsonl`, `summary.json`, `summary.md`, `heatmap.png`, `heatmap.svg`, `records/`.
        settings: unchanged if there are results already.
        devices: one worker is started for each.
        item_timeout: seconds that a cell may take; None estimates it from its frames and the model.
        on_event: called with every event.

    Raises:
        RunError: the settings are wrong, or the folder belongs to another run; before a model is loaded.
        VideoError, BudgetError, CheckpointError: see `prepare`.
    """
    needles, haystacks, items = prepare(settings)
    check_folder(folder)
    from ...network.devices import device_kind
    from .job import NeedleJob

    # These identify the run: files by their content, the model by its files.
    run_settings = (
        {"kind": "needle"}
        | settings.as_dict()
        | {
            "device": device_kind(devices[0]),
            "contents": {haystack.name: haystack.content for haystack in haystacks},
            "pictures": _pictures_digest(needles),
            "needles_file": _needles_digest(settings.needles),
            "model_files": folder_digest(checkpoint_folder(settings.model)),
            "memory_revision": MEMORY_REVISION,
        }
    )
    is_open = False

    def notify(event: Event) -> None:
        nonlocal is_open
        is_open = True  # the folder is not another run's or locked
        if on_event is not None:
            on_event(event)

    try:
        # A cell may have failed for lack of memory: the same command retries it.
        return run(
            folder,
            run_settings,
            items,
            NeedleJob(settings),
            devices=devices,
            item_timeout=item_timeout,
            retry_failed=True,
            on_event=notify,
        )
    finally:
        if is_open:
            report(folder)


def _pictures_digest(needles: Sequence[Needle]) -> str:
    pictures = [[needle.name, sampled_digest(needle.image)] for needle in needles if needle.image is not None]
    return hashlib.sha256(json.dumps(pictures).encode()).hexdigest()[:16]


def _needles_digest(source: str) -> str:
    return sampled_digest(bundled_file() if source == BUNDLED else source)


def report(folder: Path) -> None:
    """Write the reports of the cells that are finished so far."""
    rows, settings, now = load_results(folder), saved_run(folder)["settings"], state(folder)
    if rows:
        about = {"date": str(date.today()), "version": __version__}
        write_reports(folder, rows, settings, about, Cells(now.done, now.failed, now.total))
        from .figure import draw  # matplotlib takes a second to import, and only reports need it

        draw([(title(settings, len(rows)), grid(rows))], folder / "heatmap")


def compare(folders: Sequence[Path], out: Path) -> None:
    """Draw the heat maps of runs side by side.

    Raises:
        RunError: one of them has no results.
    """
    grids: list[tuple[str, Grid]] = []
    for folder in folders:
        rows, settings = load_results(folder), saved_run(folder)["settings"]
        if not rows or settings.get("kind") != "needle":
            raise RunError(f"{folder}: no needle results in this folder", "Give folders of needle runs.")
        grids.append((title(settings, len(rows)), grid(rows)))
    from .figure import draw

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draw(grids, out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror})", "Choose another file: --out.") from None


def read_summary(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return a run's summary as Markdown and as JSON.

    Raises:
        RunError: no cell is finished.
    """
    try:
        return (folder / "summary.md").read_text(), json.loads((folder / "summary.json").read_bytes())
    except OSError:
        raise RunError(f"{folder}: no cell is finished", "Look at failures.jsonl in it.") from None
