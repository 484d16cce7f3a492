"""Write `docs/cli.md`, the reference of all commands, from the commands themselves.

    python scripts/write_cli_reference.py [--check]

`--check` writes nothing, and ends with status 1 if the page is not what it would be. Typer brings its own copy of
click, so commands are only used by what both have in common.
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from videoxl.cli.main import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
_HEAD = """# Command reference

<!-- Written by scripts/write_cli_reference.py: change the commands, then run it again. -->
"""
_PANELS = {"argument": "Arguments", "option": "Options"}


def reference() -> str:
    """Return the page."""
    root = typer.main.get_command(app)
    return "\n".join([_HEAD, *(block for context in _contexts(root, None, "videoxl") for block in _section(context))])


def _contexts(command: Any, parent: Any, name: str) -> Iterator[Any]:
    """Yield the context of a command, then those of the commands below it; a context knows the way to its command."""
    context = command.context_class(command, info_name=name, parent=parent)
    yield context
    for below in getattr(command, "commands", {}).values():
        if not below.hidden:
            yield from _contexts(below, context, below.name)


def _section(context: Any) -> Iterator[str]:
    """Yield the blocks about one command."""
    command = context.command
    yield f"## `{context.command_path}`\n"
    yield f"```text\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```\n"
    yield from _prose(command.help or "")
    panels: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            panel = getattr(parameter, "rich_help_panel", None) or _PANELS[parameter.param_type_name]
            panels.setdefault(panel, []).append(_row(*record))
    for panel, rows in panels.items():
        yield "\n".join([f"| {panel} | |", "| --- | --- |", *rows, ""])
    below = [each for each in getattr(command, "commands", {}).values() if not each.hidden]
    if below:
        names = [f"| `{context.command_path} {each.name}` | {_first_line(each.help or '')} |" for each in below]
        yield "\n".join(["| Commands | |", "| --- | --- |", *names, ""])
    yield from _prose(command.epilog or "")


def _prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; one that begins with "\\b" keeps its lines, as it does on a terminal."""
    for paragraph in inspect.cleandoc(text).partition("\f")[0].split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if lines[0].strip() == "\b":
            yield "\n".join(["```text", *lines[1:], "```", ""])
        elif paragraph.strip():
            yield " ".join(line.strip() for line in lines) + "\n"


def _row(name: str, text: str) -> str:
    return f"| `{_cell(name)}` | {_cell(text).replace('<', '&lt;')} |"


def _cell(text: str) -> str:
    """Return text for a cell of a table: on one line, with bars that do not end it."""
    return " ".join(text.split()).replace("|", "\\|")


def _first_line(text: str) -> str:
    return inspect.cleandoc(text).partition("\n\n")[0].replace("\n", " ")


def main() -> None:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description="Write docs/cli.md from the commands.")
    parser.add_argument("--check", action="store_true", help="only compare: status 1 if the page is stale")
    if not parser.parse_args().check:
        PAGE.write_text(reference(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != reference():
        sys.exit(f"{PAGE.name} is stale: run python scripts/write_cli_reference.py")


if __name__ == "__main__":
    main()
