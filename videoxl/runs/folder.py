"""The folder of a run, open for the one process that works on it.

    run.json           settings, and the library's version that began it
    results.jsonl      rows of the items that are done; the truth about what is done
    failures.jsonl     a row for each item that failed; the truth about what failed
    others             files that belong to rows, if the job makes such
    journal.sqlite     all items with their states
    lock.sqlite        held while a process works here

The order is: rows to the disk, then the journal. A crash between the two is mended when the folder is opened again.
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
_MAX_SHOWN = 4  # of the settings that differ
_OTHER_FOLDER = "Use the old settings to go on with it, or another folder."


class RunFolder(contextlib.AbstractContextManager["RunFolder"]):
    """Opens or begins a run.

    Args:
        path: made if it does not exist.
        settings: JSON; all that results depend on besides an item's key, also the model's fingerprint. One named
            `format`, a number, says how keys and rows are made: a folder with another is told by who made it.
        items: all of the run, also those that are done.
        retry_failed: let those wait again that failed.
        redo: keys of items to do again that may be done; each keeps its rows until it has others, or fails.

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
        keys = _unique([item.key for item in items])
        self._path, self._places = path, {key: place for place, key in enumerate(keys)}
        with contextlib.ExitStack() as opened:
            self._lock = opened.enter_context(contextlib.closing(_lock(path)))
            _keep_settings(path, settings)
            if retry_failed:
                row_file.clear(path / FAILURES)
            results, end = rows.read(path / RESULTS)
            self._results = opened.enter_context(contextlib.closing(row_file.RowFile(path / RESULTS, end)))
            failures, end = rows.read(path / FAILURES)
            self._failures = opened.enter_context(contextlib.closing(row_file.RowFile(path / FAILURES, end)))
            self._outdated = set(redo) & results.keys()
            states: dict[str, ItemState] = {
                key: "done" if key in results else "failed" if key in failures else "waiting" for key in keys
            } | dict.fromkeys(self._outdated.intersection(keys), "waiting")
            self._journal = opened.enter_context(contextlib.closing(Journal(path / JOURNAL)))
            self._journal.fill(
                states,
                {key: (row["error"], row["message"]) for key, (row,) in failures.items()},
                {item.key: item.name for item in items},
            )
            self._opened = opened.pop_all()
        self.waiting = [item for item in items if states[item.key] == "waiting"]
        """What is to be done, in the order given."""
        counts = [*states.values()]
        self._done, self._failed, self._total = counts.count("done"), counts.count("failed"), len(counts)

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return Progress(self._done, self._failed, self._total)

    def start(self, item: Item, worker: int) -> None:
        """Note that a worker has got an item."""
        self._journal.start(item.key, worker)

    def finish(self, item: Item, text: str, seconds: float, files: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Keep the rows of an item, as `rows.encode` gave them, and first the files that belong to them.

        Rows that it had before go first of all: they never stand beside files of the new ones, or those beside them.

        Raises:
            RunError: they cannot be written, and the rows do not count.
        """
        self._drop(item)
        for name, content in files.items():
            row_file.write_file(self._path / name, content)
        self._results.append(text)
        self._journal.finish(item.key, seconds)
        self._done += 1

    def fail(self, item: Item, error: str, message: str) -> None:
        """Keep the reason why an item failed, in place of rows that it had before.

        Raises:
            RunError: it cannot be written, and does not count.
        """
        self._drop(item)
        self._failures.append(rows.encode(item.key, item.label | {"error": error, "message": message}))
        self._journal.fail(item.key, error, message)
        self._failed += 1

    def order_results(self) -> None:
        """Put `results.jsonl` in the order of the items; rows of items that are no longer given come last.

        Raises:
            RunError: it cannot be written, and is as it was.
        """
        results, _ = rows.read(self._path / RESULTS)
        keys = sorted(results, key=lambda key: self._places.get(key, len(self._places)))
        if keys != [*results]:
            self._results.replace("".join(rows.lines(results[key]) for key in keys))

    def _drop(self, item: Item) -> None:
        """Remove the rows that an outdated item has from before, at once or not at all."""
        if item.key in self._outdated:
            results, _ = rows.read(self._path / RESULTS)
            self._results.replace("".join(rows.lines(each) for key, each in results.items() if key != item.key))
            self._outdated.remove(item.key)

    def requeue(self, item: Item) -> None:
        """Note that an item waits again."""
        self._journal.requeue(item.key)

    def __exit__(self, *_: object) -> None:
        with self._opened, contextlib.suppress(RunError):  # where it cannot be noted, the next opening finds it out
            self._journal.requeue()


def saved_run(path: Path) -> dict[str, Any]:
    """Return what `run.json` holds: `settings` and `version`.

    Raises:
        RunError: there is no run in this folder, or the file is damaged.
    """
    file = path / SETTINGS
    try:
        saved = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path}: holds no run", "Give the folder that a run writes to.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: cannot be read ({error})", "Restore it, or use another folder.") from error
    if not isinstance(saved, dict) or not isinstance(saved.get("settings"), dict):
        raise RunError(f"{file}: is not the file of a run", "Restore it, or use another folder.")
    return saved


def running_process(path: Path) -> tuple[int, str] | None:
    """Return number and host of the process that works in a folder; None if none does.

    Raises:
        RunError: the folder holds no run, or cannot be read.
    """
    try:
        held = is_held(path / LOCK)
    except OSError as error:
        raise RunError(f"{path}: cannot be looked at ({error})", "Check its permissions.") from error
    if not held:
        return None
    with look(path) as journal:
        return journal.process()


@contextlib.contextmanager
def look(path: Path) -> Iterator[Journal]:
    """Give the journal of a run to read; all that is read is of one moment.

    Raises:
        RunError: there is none.
    """
    saved_run(path)
    if not (path / JOURNAL).exists():
        raise RunError(f"{path}: has no {JOURNAL}", "Start the run's command again: it makes a new one.")
    with contextlib.closing(Journal(path / JOURNAL, read_only=True)) as journal, journal.transaction():
        yield journal


def _lock(path: Path) -> FolderLock:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return FolderLock(path / LOCK)
    except BlockingIOError:
        who = "another process"
        with contextlib.suppress(RunError):  # it has only just begun
            if process := running_process(path):
                who = f"process {process[0]} on {process[1]}"
        raise RunError(f"{path}: {who} works on this run", "Wait for it, or end it first.") from None
    except OSError as error:
        raise RunError(f"{path}: is no folder to write to ({error})", "Choose another folder.") from error


def _keep_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new run; raise RunError if the folder's run has others."""
    asked = json.loads(json.dumps(settings))  # as it is read again: lists for tuples
    if not (path / SETTINGS).exists():
        if (path / RESULTS).exists():
            raise RunError(f"{path}: has {RESULTS} but no {SETTINGS}", "Restore it, or use another folder.")
        try:
            write_json(path / SETTINGS, {"version": __version__, "settings": asked})
        except OSError as error:
            raise row_file.unwritable(path / SETTINGS, error) from error
        return
    saved = saved_run(path)["settings"]
    _check_format(path, saved.get("format", 1), asked.get("format", 1))
    old, new = _flat(saved), _flat(asked)
    changed = [name for name in old | new if old.get(name) != new.get(name)]
    if changed:
        shown = "; ".join(f"{name}: {_shown(old, name)} → {_shown(new, name)}" for name in changed[:_MAX_SHOWN])
        if len(changed) > _MAX_SHOWN:
            shown += f"; and {len(changed) - _MAX_SHOWN} more"
        raise RunError(f"{path}: holds a run with other settings ({shown})", _OTHER_FOLDER)


def _check_format(path: Path, old: object, new: int) -> None:
    if old != new:
        age = "an older" if isinstance(old, int) and old < new else "a newer"
        raise RunError(
            f"{path}: this run was made by {age} videoxl, with other keys and rows (format {old}, now {new})",
            "Use another folder; what is in this one can still be read, and the videoxl that made it goes on with it.",
        )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the JSON text of every value, by dotted name."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value, ensure_ascii=False)
    return flat


def _shown(flat: dict[str, str], name: str) -> str:
    text = flat.get(name, "not set")
    return text if len(text) <= 80 else f"{text[:77]}..."


def _unique(keys: list[str]) -> list[str]:
    twice = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
    if twice is not None:
        raise RunError(f"two items are named {twice!r}", "Give each item a name of its own.")
    return keys
