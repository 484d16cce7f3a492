"""The folder of a run, opened and locked by the one process that works on it.

    run.json           settings, and the version of videoxl that created the run
    results.jsonl      rows of the items that are done; decides what is done
    failures.jsonl     one row for each failed item; decides what has failed
    others             files that belong to rows, if the job makes any
    journal.sqlite     all items with their states
    lock.sqlite        locked while a process works here

Rows are written to the disk before the journal. The next opening repairs what a crash between the two leaves.
"""

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import RunError
from ..files import write_json
from ..version import __version__
from . import row_file, rows
from .events import Progress
from .job import Item
from .journal import ItemState, Journal
from .lock import FolderLock, is_held

SETTINGS, RESULTS, FAILURES, JOURNAL, LOCK = (
    "run.json",
    "results.jsonl",
    "failures.jsonl",
    "journal.sqlite",
    "lock.sqlite",
)
_MAX_SHOWN = 4  # settings that differ
_OTHER_FOLDER = "Use the old settings to resume it, or another folder."


class RunFolder(contextlib.AbstractContextManager["RunFolder"]):
    """Creates a run, or opens it to resume it.

    Args:
        path: created if it does not exist.
        settings: JSON; all that results depend on besides an item's key, such as the model's fingerprint. The setting
            `format`, a number, is the version of keys and rows: a folder of another version is refused as such.
        items: all items of the run, including those that are done.
        retry_failed: requeue items that failed.
        redo: keys of items to process again even if they are done; each keeps its rows until it has new ones, or fails.

    Raises:
        RunError: another process works here, the run has other settings, two items have one key, or a file is damaged
            or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        settings: dict[str, Any],
        items: Sequence[Item],
        retry_failed: bool,
        redo: Collection[str] = (),
    ) -> None:
        keys = [item.key for item in items]
        _check_unique(keys)
        self._path, self._positions = path, {key: position for position, key in enumerate(keys)}
        with contextlib.ExitStack() as stack:
            self._lock = stack.enter_context(contextlib.closing(_lock(path)))
            _write_or_check_settings(path, settings)
            if retry_failed:
                row_file.clear(path / FAILURES)
            results, end = rows.read(path / RESULTS)
            self._results = stack.enter_context(contextlib.closing(row_file.RowFile(path / RESULTS, end)))
            failures, end = rows.read(path / FAILURES)
            self._failures = stack.enter_context(contextlib.closing(row_file.RowFile(path / FAILURES, end)))
            self._outdated = set(redo) & results.keys()
            states: dict[str, ItemState] = {
                key: "done" if key in results else "failed" if key in failures else "waiting" for key in keys
            } | dict.fromkeys(self._outdated.intersection(keys), "waiting")
            self._journal = stack.enter_context(contextlib.closing(Journal(path / JOURNAL)))
            self._journal.fill(
                states,
                {key: (row["error"], row["message"]) for key, (row,) in failures.items()},
                {item.key: item.name for item in items},
            )
            self._stack = stack.pop_all()
        self.waiting = [item for item in items if states[item.key] == "waiting"]
        """Items to process, in the order given."""
        counts = [*states.values()]
        self._done, self._failed, self._total = counts.count("done"), counts.count("failed"), len(counts)

    @property
    def progress(self) -> Progress:
        """Progress of the run."""
        return Progress(self._done, self._failed, self._total)

    def start(self, item: Item, worker: int) -> None:
        """Record that a worker has started an item."""
        self._journal.start(item.key, worker)

    def finish(self, item: Item, text: str, seconds: float, files: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Save the rows of an item, from `rows.encode`, after the files that belong to them.

        Rows that it had before are removed first, so that old rows and new files never coexist.

        Raises:
            RunError: something cannot be written; the item is not done.
        """
        self._remove_outdated_rows(item)
        for name, content in files.items():
            row_file.write_file(self._path / name, content)
        self._results.append(text)
        self._journal.finish(item.key, seconds)
        self._done += 1

    def fail(self, item: Item, error: str, message: str) -> None:
        """Save why an item failed, in place of rows that it had before.

        Raises:
            RunError: it cannot be written; the item has not failed.
        """
        self._remove_outdated_rows(item)
        self._failures.append(rows.encode(item.key, item.label | {"error": error, "message": message}))
        self._journal.fail(item.key, error, message)
        self._failed += 1

    def order_results(self) -> None:
        """Sort `results.jsonl` by the order of the items; rows of items that are no longer part of the run come last.

        Raises:
            RunError: it cannot be written; it is unchanged.
        """
        results, _ = rows.read(self._path / RESULTS)
        keys = sorted(results, key=lambda key: self._positions.get(key, len(self._positions)))
        if keys != [*results]:
            self._results.replace("".join(rows.lines(results[key]) for key in keys))

    def _remove_outdated_rows(self, item: Item) -> None:
        """Remove the rows of an item that is processed again, atomically."""
        if item.key in self._outdated:
            results, _ = rows.read(self._path / RESULTS)
            self._results.replace("".join(rows.lines(kept) for key, kept in results.items() if key != item.key))
            self._outdated.remove(item.key)

    def requeue(self, item: Item) -> None:
        """Record that an item waits again."""
        self._journal.requeue(item.key)

    def __exit__(self, *_: object) -> None:
        with self._stack, contextlib.suppress(RunError):  # if it cannot be written, the next opening finds out
            self._journal.requeue()


def saved_run(path: Path) -> dict[str, Any]:
    """Return the content of `run.json`: `settings` and `version`.

    Raises:
        RunError: the folder holds no run, or the file is damaged.
    """
    file = path / SETTINGS
    try:
        saved = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path}: holds no run", "Give the folder that a run writes to.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: cannot be read ({error})", "Restore it, or use another folder.") from error
    if not isinstance(saved, dict) or not isinstance(saved.get("settings"), dict):
        raise RunError(f"{file}: is not a file of a run", "Restore it, or use another folder.")
    return saved


def running_process(path: Path) -> tuple[int, str] | None:
    """Return id and host of the process that works in a folder; None if none does.

    Raises:
        RunError: the folder holds no run, or cannot be read.
    """
    try:
        held = is_held(path / LOCK)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error})", "Check its permissions.") from error
    if not held:
        return None
    with open_journal(path) as journal:
        return journal.process()


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Open the journal of a run for reading, in one transaction.

    Raises:
        RunError: the folder holds no run or no journal, or a file is damaged.
    """
    saved_run(path)
    if not (path / JOURNAL).exists():
        raise RunError(f"{path}: has no {JOURNAL}", "Run the command of the run again: it creates a new one.")
    with contextlib.closing(Journal(path / JOURNAL, read_only=True)) as journal, journal.transaction():
        yield journal


def _lock(path: Path) -> FolderLock:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return FolderLock(path / LOCK)
    except BlockingIOError:
        owner = "another process"
        with contextlib.suppress(RunError):  # it has only just started
            if process := running_process(path):
                owner = f"process {process[0]} on {process[1]}"
        raise RunError(f"{path}: {owner} works on this run", "Wait until it has finished, or end it first.") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be written to ({error})", "Choose another folder.") from error


def _write_or_check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new run; raise RunError if the run in the folder has other settings."""
    requested = json.loads(json.dumps(settings))  # as it is read again: lists for tuples
    if not (path / SETTINGS).exists():
        if (path / RESULTS).exists():
            raise RunError(f"{path}: has {RESULTS} but no {SETTINGS}", "Restore it, or use another folder.")
        try:
            write_json(path / SETTINGS, {"version": __version__, "settings": requested})
        except OSError as error:
            raise row_file.unwritable(path / SETTINGS, error) from error
        return
    saved = saved_run(path)["settings"]
    _check_format(path, saved.get("format", 1), requested.get("format", 1))
    old, new = _flatten(saved), _flatten(requested)
    changed = [name for name in old | new if old.get(name) != new.get(name)]
    if changed:
        shown = "; ".join(f"{name}: {_short(old, name)} → {_short(new, name)}" for name in changed[:_MAX_SHOWN])
        if len(changed) > _MAX_SHOWN:
            shown += f"; and {len(changed) - _MAX_SHOWN} more"
        raise RunError(f"{path}: holds a run with other settings ({shown})", _OTHER_FOLDER)


def _check_format(path: Path, old: object, new: int) -> None:
    if old != new:
        age = "an older" if isinstance(old, int) and old < new else "a newer"
        raise RunError(
            f"{path}: this run was made by {age} videoxl, with other keys and rows (format {old}, now {new})",
            "Use another folder. This one can still be read, and the videoxl that made it can resume it.",
        )


def _flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the JSON text of every value, by dotted name."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value, ensure_ascii=False)
    return flat


def _short(flat: dict[str, str], name: str) -> str:
    text = flat.get(name, "not set")
    return text if len(text) <= 80 else f"{text[:77]}..."


def _check_unique(keys: list[str]) -> None:
    if len(set(keys)) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise RunError(f"two items have the key {repeated!r}", "Give each item its own key.")
