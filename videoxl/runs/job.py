"""What a task provides to a run: its items, and the job that makes workers for them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from .context import ItemContext

TIMEOUT_SECONDS = 1800.0
"""The default timeout of an item."""


@dataclass(frozen=True)
class Item:
    """A unit of work. What is faster together, such as all questions about one video, is one item.

    Args:
        key: unique in the run and stable between calls. Together with the run's settings it identifies all that
            the result depends on.
        data: input of the worker; JSON.
        label: further fields of its row in `failures.jsonl`; JSON, without `key`, `error` and `message`.
        timeout_seconds: how long it may take from its start in a worker; `ItemContext.set_timeout` and the run's
            `item_timeout` override it.
        name: shown to people in place of the key; the key if it is empty. It need not be unique.
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
        files: contents by name. They are written to the run's folder before the rows, so rows may refer to them. A name
            may have one folder, for example "sheets/talk.webp", and must be unique to the item.
    """

    rows: Rows
    files: dict[str, bytes] = field(default_factory=dict)


Worker = Callable[[Item, ItemContext], Rows | ItemResult]
"""Processes one item: returns its row, or a list of at least one row, of which the run keeps all or none. Rows are JSON
without the fields `key` and `of`, which the run adds. An exception fails the item and nothing else."""


class Job(Protocol):
    """Makes workers. It is pickled and sent to other processes, so it holds names and options, not models."""

    def setup(self, device: str) -> Worker:
        """Load what is needed, once, and return the function that processes items on this device."""
        ...
