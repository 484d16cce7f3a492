"""How `--help` is written: paragraphs that fill the terminal, and errors that stay plain text."""

import inspect
from collections.abc import Callable
from typing import Any

from typer.core import TyperGroup


class Commands(TyperGroup):
    """Commands with panels in their help, and errors without: those are read in logs and by scripts."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the program; typer draws errors in boxes unless the mode is None here."""
        self.rich_markup_mode = None
        return super().main(*args, **settings)

    def format_help(self, *args: Any) -> None:
        """Write the help of the program itself."""
        self.rich_markup_mode = "rich"
        super().format_help(*args)


def paragraphs(command: Callable[..., Any]) -> str:
    """Return a command's docstring with each paragraph on one line, so that it fills the terminal's width."""
    text = inspect.cleandoc(command.__doc__ or "")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def examples(*lines: str) -> str:
    """Return the end of a help text: command lines, kept as they are (what "\\b" means to typer)."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
