"""Every command says what it does, and needs no torch for it."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from videoxl.cli.main import app


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


@pytest.mark.parametrize("path", [*commands(typer.main.get_command(app))], ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    program = (
        "import sys; from videoxl.cli.main import app\n"
        "try:\n    app()\n"
        "finally:\n    assert not {'torch', 'transformers', 'open_clip'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program, *path, "--help"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout and result.stderr == ""
