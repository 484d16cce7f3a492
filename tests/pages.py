"""The pages of the documentation, what they show, and how it compares with what happens."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n\n(?:<!--.*?-->\n)?```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_VARIES = frozenset({"timings", "seconds", "from"})  # `from`: another example may have made the memory
_SECONDS = re.compile(r"\d+\.\d+ s\b|from cache|\d+\.\d+ a minute|\d+:\d\d left")


@dataclass(frozen=True)
class Example:
    """A command or a program, and what it prints; None if the page does not say."""

    text: str
    output: str | None

    @property
    def file(self) -> str | None:
        """The name of the file that a program is to be saved as: its first line, for example `# job.py`."""
        named = re.match(r"# (\w+\.py)\n", self.text)
        return named and named[1]


def blocks(page: Path, language: str) -> list[str]:
    """Return the text of all blocks in a language."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def commands(page: Path) -> list[Example]:
    """Return every `$ command` of the console blocks with the output below it."""
    parts = [part for block in blocks(page, "console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    return [Example(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def programs(page: Path) -> list[Example]:
    """Return the Python blocks; a text block right after one is what it prints."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Example(text, output or None) for language, text, output in found if language == "python"]


def check_output(shown: str, real: str) -> None:
    """Compare what a page shows with what was printed: equal but for times that it took, and rounding in JSON."""
    if _parsed(shown) is not None:
        assert _parsed(real) is not None, real
        _check_same(_parsed(shown), _parsed(real))
    else:
        assert _SECONDS.sub("_", real) == _SECONDS.sub("_", shown)


def _parsed(text: str) -> list[Any] | None:
    """Return JSON values: of the whole text, or one a line; None if it is something else."""
    for parts in ([text], text.splitlines()):
        try:
            values = [json.loads(part) for part in parts]
        except json.JSONDecodeError:
            continue
        return values if values and isinstance(values[0], dict) else None
    return None


def _check_same(shown: Any, real: Any) -> None:
    assert type(shown) is type(real)
    if isinstance(shown, dict):
        assert list(shown) == list(real)
        for name in shown.keys() - _VARIES:
            _check_same(shown[name], real[name])
        if "timings" in shown:
            assert list(shown["timings"]) == list(real["timings"])
    elif isinstance(shown, list):
        assert len(shown) == len(real)
        for ours, theirs in zip(shown, real, strict=True):
            _check_same(ours, theirs)
    elif isinstance(shown, float):
        assert real == pytest.approx(shown, abs=0.01)  # machines round differently
    else:
        assert real == shown
