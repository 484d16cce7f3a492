"""A job for the tests of runs, and a program that runs it, to be killed."""

import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from videoxl.errors import BudgetError, CheckpointError, OutOfMemoryError, VideoError
from videoxl.runs.context import ItemContext
from videoxl.runs.engine import run
from videoxl.runs.events import Event, ItemDone, ItemStarted
from videoxl.runs.job import Item, ItemResult, Rows, Worker


@dataclass(frozen=True)
class Squares:
    """Squares numbers; `data["do"]` asks for something else. Leaves a line for every item begun in the file `calls`.

    It looks ahead: what is prepared of the next item is its number, times ten, and leaves a file.
    """

    calls: Path
    seconds: float = 0.0

    def setup(self, device: str) -> Worker:
        if device == "missing":
            raise CheckpointError("no such device", "Use another.")
        if device == "deadly":
            os._exit(7)

        def worker(item: Item, context: ItemContext) -> Rows | ItemResult:
            with self.calls.open("a", errors="backslashreplace") as file:
                file.write(f"{item.key}\t{os.getpid()}\n")
            context.prefetch_next(self.prepare)
            time.sleep(self.seconds)
            self.await_file(item.data.get("await"))
            prepared = context.prepared()
            match item.data.get("do"):
                case "raise":
                    raise ValueError("no\nluck")
                case "refuse":
                    raise VideoError(f"{item.key}: is no video", "Take another.")
                case "die":
                    os._exit(3)
                case "crash":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "fill":
                    return {"text": "x" * 100_000}
                case "tell signals":
                    return {"deaf": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())}
                case "make a file":
                    return ItemResult({"file": f"made/{item.key}"}, {f"made/{item.key}": b"of " + item.key.encode()})
                case "report":
                    for done in range(500):  # in half a second, at least
                        context.report(done, 500, "frames")
                        time.sleep(0.001)
                case "tell threads":
                    return {"threads": os.environ.get("OMP_NUM_THREADS")}
                case "nothing":
                    return []
                case "take a name":
                    return {"key": 1}
                case "not JSON":
                    return {"value": float("nan")}
                case "wait for":
                    self.await_file(item.data["file"])
                case "prepared":
                    return {"prepared": prepared}
            number = item.data.get("number", 0)
            row = {"number": number, "square": number * number, "text": "é\n" * 40}
            rows = item.data.get("rows")
            return row if rows is None else [row | {"part": part} for part in range(rows)]

        return worker

    def prepare(self, item: Item) -> int:
        beside = "" if Path(f"{self.calls}.quiet").exists() else "beside another"
        Path(f"{self.calls}.{item.key}").write_text(beside)
        if item.data.get("do") == "prepare badly":
            raise VideoError(f"{item.key}: cannot be prepared", "Take another.")
        return 10 * item.data.get("number", 0)

    @staticmethod
    def await_file(name: str | None) -> None:
        deadline = time.monotonic() + 60
        while name and not Path(name).exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def counts(self) -> Counter[str]:
        """How often each item was begun."""
        return Counter(line.partition("\t")[0] for line in self.calls.read_text().splitlines())

    def processes(self) -> set[int]:
        """The processes that began items."""
        return {int(line.partition("\t")[2]) for line in self.calls.read_text().splitlines()}


class AcceleratorError(RuntimeError):
    """Called as torch calls its own."""


ERRORS = {
    error.__name__: error("out of luck")
    for error in (RuntimeError, ValueError, AcceleratorError, MemoryError)
} | {
    "video": VideoError("item: is no video", "Take another."),
    "budget": BudgetError("item: is too long", "Take another."),
    "memory": OutOfMemoryError("the memory of cuda:0 ran out", "Use fewer frames."),
}  # fmt: skip


@dataclass(frozen=True)
class Faulty:
    """Does some items, and then fails on every one; `data["raise"]` fails on one item by itself.

    Args:
        folder: has a file for every item that is begun, named by its process, a number and its key.
        good: items that are done first, by each worker.
        error: one of `ERRORS`, "die" or "hang".
        all_workers: `good` are done by all workers together.
        device_good: a device that is never at fault.
    """

    folder: Path
    good: int = 10_000
    error: str = "RuntimeError"
    all_workers: bool = False
    device_good: str = ""

    def setup(self, device: str) -> Worker:
        done = 1 // (device != "zero") - 1
        time.sleep({"slow": 3, "stuck": 600}.get(device, 0))

        def worker(item: Item, context: ItemContext) -> Rows:
            nonlocal done
            begun = list(self.folder.iterdir())
            (self.folder / f"{os.getpid()} {len(begun):05d} {item.key}").touch()
            if "allow" in item.data:
                context.set_timeout(item.data["allow"])
            fails = item.data.get("raise")
            if device != self.device_good and (len(begun) if self.all_workers else done) >= self.good:
                fails = self.error
            if fails == "die":
                os._exit(3)
            if fails == "hang":
                time.sleep(600)
            if fails == "chat":
                while True:
                    context.report(0, 1, "words")
                    time.sleep(0.01)
            if fails:
                raise ERRORS[fails]
            context.prefetch_next(lambda item: None)
            time.sleep(item.data.get("seconds", 0))
            done += 1
            return {"pid": os.getpid()}

        return worker

    def begun(self) -> list[tuple[int, str]]:
        """The process and the key of every item that was begun, in order."""
        names = sorted((path.name.split(" ", 2) for path in self.folder.iterdir()), key=lambda name: name[1])
        return [(int(pid), key) for pid, _, key in names]


def numbers(count: int, rows: int | None = None) -> list[Item]:
    return [Item(f"item {number}", {"number": number} | ({"rows": rows} if rows else {})) for number in range(count)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def end_by_themselves(pids: set[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(is_alive(pid) for pid in pids)


def main(folder: str, item: str, devices: str, max_items: str) -> None:
    """Do 40 items of 3 rows each, then `item` if there is one; tell of each that is begun or done.

    After `max_items` items it only waits to be killed.
    """
    # A program started in the background of a script ignores Ctrl-C; the suite may run there.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    done = 0

    def on_event(event: Event) -> None:
        nonlocal done
        if isinstance(event, ItemStarted | ItemDone):
            print(type(event).__name__, event.item.key, flush=True)
        done += isinstance(event, ItemDone)
        if done == int(max_items):
            time.sleep(60)

    items = numbers(40, rows=3) + ([Item(item, {"do": item, "file": f"{folder}.go"})] if item else [])
    job = Squares(Path(f"{folder}.calls"), seconds=0.005)
    run(Path(folder), {"of": "a test"}, items, job, devices=devices.split(), on_event=on_event)


if __name__ == "__main__":
    main(*sys.argv[1:])
