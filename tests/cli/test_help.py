"""Every command says what it does, and needs no torch for it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

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


def invoke(*arguments: str, columns: int = 100, **environment: str) -> Result:
    return CliRunner(env={"COLUMNS": str(columns), **environment}).invoke(app, [*arguments])


def test_options_stand_in_panels_the_most_needed_first() -> None:
    shown = invoke("ask", "--help").stdout
    words = ["─ Options ─", "--questions", "--model", "─ Frames ─", "--fps", "─ Model ─", "--ratio", "─ Answer ─"]
    positions = [shown.index(word) for word in [*words, "─ Output ─", "--json", "─ Run ─", "Examples:"]]
    assert positions == sorted(positions)


def test_help_fills_the_terminal() -> None:
    for columns in (80, 120):
        assert max(map(len, invoke("summarize", "--help", columns=columns).stdout.splitlines())) == columns


@pytest.mark.parametrize("path", [*commands(typer.main.get_command(app))], ids=" ".join)
def test_values_have_names_that_say_what_to_give(path: tuple[str, ...]) -> None:
    options = re.findall(r"^│[ *]*--\S.*", invoke(*path, "--help").stdout, re.MULTILINE)
    typers_own = ("--help", "--install-completion", "--show-completion")
    assert options and not [line for line in options if "<" in line and not line.strip("│ ").startswith(typers_own)]


def test_examples_are_valid_command_lines() -> None:
    shown = [invoke(name, "--help", columns=200).stdout for name in ("ask", "summarize", "needle")]
    examples = [" ".join(line.split()) for text in shown for line in text.partition("Examples:")[2].split("$ ")[1:]]
    assert len(examples) == 6
    root = typer.main.get_command(app)
    for example in examples:
        program, name, *arguments = shlex.split(example.partition(" > ")[0])
        assert program == "videoxl"
        root.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


def test_usage_errors_are_plain_text() -> None:
    result = invoke("ask", "talk.mp4", "Why?", "--start", "noon")
    assert result.exit_code == 2 and result.stdout == ""
    usage, hint, _, error = result.stderr.splitlines()
    assert usage.startswith("Usage: videoxl ask") and "--help" in hint
    assert "'--start'" in error and "'noon'" in error and "HH:MM:SS" in error


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("videoxl ask --model vid", {"videoxl-nano", "video-xl-7b"}),
        ("videoxl models show video-", {"video-xl-7b"}),
        ("videoxl summarize --format m", {"md"}),
        ("videoxl mem", {"memory"}),
    ],
)
def test_the_shell_completes_names(words: str, found: set[str]) -> None:
    position = str(len(words.split()) - 1)
    request = {"_VIDEOXL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": position}
    command = [sys.executable, "-c", "from videoxl.cli.main import app; app(prog_name='videoxl')"]
    done = subprocess.run(command, env={**os.environ, **request}, capture_output=True, text=True)
    assert set(done.stdout.split()) == found, done.stderr
