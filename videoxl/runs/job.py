"""What a task gives to a run: its items, and the job that makes a worker for them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from .context import ItemContext

TIMEOUT_SECONDS = 1800.0
"""What an item may take that does not say another time."""


@dataclass(frozen=True)
class Item:
    """A piece of work; what belongs together for speed, such as the questions about one video, is one item.

    Args:
        key: unique in the run and the same whenever the command is started again. With the run's settings it
            must say all that the result depends on.
        data: what the worker needs to know; JSON.
        label: what its row in `failures.jsonl` says besides; JSON, without `key`, `error` and `message`.
        timeout_seconds: how long it may take, from its beginning in a worker; unless the worker says more, see
            `ItemContext.allow`, or the run has a limit of its own.
        name: what people are shown in place of the key; the key, if it is empty. It need not be unique.
    """

    key: str
    data: dict[str, Any] = field(default_factory=dict)
    label: dict[str, Any] = field(default_factory=dict)
    timeout_seconds: float = TIMEOUT_SECONDS
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.key)


Rows = dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True)
class ItemResult:
    """Rows, and files that belong to them.

    Args:
        rows: see `Worker`.
        files: contents by name. They are in the run's folder before the rows are, so a row may name them; a name may
            have one folder, for example "sheets/talk.webp", and is the item's own.
    """

    rows: Rows
    files: dict[str, bytes] = field(default_factory=dict)


Worker = Callable[[Item, ItemContext], Rows | ItemResult]
"""Does one item: returns its row, or a list of rows, at least one, of which a run keeps all or none. Rows are JSON and
have no fields `key` and `of`, which the run adds. An exception fails the item and nothing else. It may use its
context or not."""


class Job(Protocol):
    """Makes workers. It is pickled on its way to another process, so it holds names and options, not models."""

    def setup(self, device: str) -> Worker:
        """Load what is needed, once, and return the function that does items on this device."""
        ...
