"""Workers in threads of the test's own process: quick to begin, and they see what a test has patched."""

import threading
from collections import deque
from collections.abc import Sequence
from queue import SimpleQueue

from videoxl.runs.job import Item, Job
from videoxl.runs.remote_pool import Connection
from videoxl.runs.worker import Message, serve


class Threads:
    """A `WorkerBackend` that takes the place of `ProcessBackend`. Ending a worker does not end its item."""

    setup_timeout = None

    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = devices
        self._news = threading.Condition()

    def devices(self, max_workers: int) -> Sequence[str]:
        return self._devices[:max_workers]

    def start_worker(self, job: Job, device: str) -> Connection:
        return _Thread(job, device, self._news)

    def wait(self, lines: Sequence[Connection], timeout: float | None) -> Sequence[Connection]:
        ours = [line for line in lines if isinstance(line, _Thread)]
        with self._news:
            self._news.wait_for(lambda: any(line.messages for line in ours), timeout)
            return [line for line in ours if line.messages]


class _Thread:
    def __init__(self, job: Job, device: str, news: threading.Condition) -> None:
        self.messages: deque[Message] = deque()
        self._news = news
        self._items: SimpleQueue[Item | None] = SimpleQueue()
        threading.Thread(target=serve, args=(job, device, self._next_item, self._say), daemon=True).start()

    def send(self, item: Item) -> None:
        self._items.put(item)

    def receive(self) -> Message:
        return self.messages.popleft()

    def end(self) -> str:
        return "was ended"

    def kill(self) -> None:
        self._items.put(None)

    def _next_item(self) -> Item:
        item = self._items.get()
        if item is None:
            raise EOFError
        return item

    def _say(self, message: Message) -> None:
        with self._news:
            self.messages.append(message)
            self._news.notify()
