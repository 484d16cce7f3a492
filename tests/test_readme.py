"""README says what happens: its commands are run, and its output compared."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from videoxl.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """Return every `$ command` of the console blocks with the output below it."""
    parts = [part for block in blocks("console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def run(command: str) -> str:
    program, *arguments = shlex.split(command)
    assert program == "videoxl"
    return CliRunner().invoke(app, arguments).output


@pytest.mark.parametrize("command, output", examples())
def test_examples_give_the_output_shown(command: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    real = run(command)
    if "--json" in command:
        shown, got = json.loads(output), json.loads(real)
        assert list(shown) == list(got) and list(shown.pop("timings")) == list(got.pop("timings"))
        for ours, theirs in zip(got["evidence"], shown["evidence"], strict=True):  # machines round differently
            assert ours.pop("score") == pytest.approx(theirs.pop("score"), abs=0.01)
        assert shown == got
    else:
        assert real == output


def test_first_command_gives_the_output_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = blocks("sh")[0].strip().rpartition(" && .venv/bin/")[2]
    assert run(command) == blocks("text")[0]


def test_python_example_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("python")
    exec(compile(program, "README.md", "exec"), {})
    assert capsys.readouterr().out == "winter\nred\n"


def test_ci_runs_the_commands_of_the_readme(tmp_path: Path) -> None:
    """`.ci/run` with programs that only note how they were called."""
    ask, tests = (block.strip() for block in blocks("sh"))
    assert ask.startswith(
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt . && .venv/bin/videoxl ask assets/demo.mp4 "
    )
    assert tests.startswith(
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]' && .venv/bin/pytest"
    )
    for name in ("README.md", ".ci/run"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    calls = tmp_path / "calls"
    for name in (
        "bin/python3",
        *(f".venv/bin/{tool}" for tool in ("pip", "pytest", "ruff", "mypy", "videoxl", "python")),
    ):
        tool = tmp_path / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        answer = 'echo "$ANSWER"' if name.endswith("videoxl") else ":"
        fail = f'[ "$FAILING" != {tool.name} ] || exit 3'
        tool.write_text(f'#!/bin/sh\necho "{tool.name} $*" >> "{calls}"\n{answer}\n{fail}\n')
        tool.chmod(0o755)

    def ci(answer: str, failing: str = "") -> int:
        calls.unlink(missing_ok=True)
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "ANSWER": answer, "FAILING": failing}
        return subprocess.run(["bash", ".ci/run"], cwd=tmp_path, env=environment, capture_output=True).returncode

    assert ci("winter") == 0
    assert [line.split()[0] for line in calls.read_text().splitlines()] == [
        *("python3", "pip", "pytest", "pytest"),
        *("ruff", "ruff", "mypy"),
        *("python3", "pip", "videoxl"),
        *("python", "pip", "pytest", "videoxl"),  # the newest versions
        *("python", "pip", "pytest", "videoxl"),  # the lowest
    ]
    assert "videoxl ask assets/demo.mp4 What word is written on the card?" in calls.read_text()
    assert ci("robot") == 1
    for program in ("python3", "pip", "pytest", "ruff", "mypy", "videoxl", "python"):
        assert ci("winter", failing=program) == 3
