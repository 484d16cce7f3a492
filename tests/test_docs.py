"""README and the pages in docs/ say what happens: their examples are run, and the output compared."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, README, ROOT, Example, blocks, check_output, commands, programs
from typer.testing import CliRunner

from videoxl.cli.main import app

_QUICK = {"ask.md": 4, "summarize.md": 0}  # how many examples of a page are quick; of another page, all are
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Memories of the demo, which all examples share."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def first_output(kept: Path) -> str:
    """What README's first question prints; its memory serves the other examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("VIDEOXL_CACHE_DIR", str(kept))
        return run(blocks(README, "sh")[0].strip().rpartition(" && .venv/bin/")[2])


@pytest.fixture(autouse=True)
def own_cache(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of an empty cache for every test."""
    monkeypatch.setenv("VIDEOXL_CACHE_DIR", str(kept))
    monkeypatch.delenv("VIDEOXL_CACHE_SIZE", raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the examples of a page are run: nothing but the assets is there."""
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> str:
    """Run a command as in a shell, `videoxl` in this process, and return what it prints."""
    before, _, last = command.rpartition(" | ")
    if not last.startswith("videoxl "):
        return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
    given = subprocess.run(before, shell=True, check=True, capture_output=True, text=True).stdout if before else None
    return CliRunner().invoke(app, shlex.split(last)[1:], input=given).output


def examples_of_pages() -> list[Any]:
    """Return the commands of each page as parameters; those that take long are a case of their own."""
    cases = []
    for page in PAGES:
        examples = commands(page)
        quick = _QUICK.get(page.name, len(examples))
        if examples[:quick]:
            cases.append(pytest.param(examples[:quick], id=page.name))
        if examples[quick:]:
            cases.append(pytest.param(examples[quick:], id=f"{page.name} from {quick + 1} on", marks=pytest.mark.slow))
    return cases


def test_there_are_pages_with_examples() -> None:
    names = {page.name for page in PAGES if commands(page)}
    assert names >= {"README.md", "ask.md", "memories.md", "summarize.md", "models.md"}
    assert {page.name for page in PAGES if programs(page)} >= {"README.md", "python.md", "architecture.md"}


@pytest.mark.parametrize("examples", examples_of_pages())
def test_commands_print_what_the_page_shows(examples: Sequence[Example], folder: Path, first_output: str) -> None:
    for example in examples:
        assert example.output is not None
        check_output(example.output, run(example.text))


@pytest.mark.parametrize("page", [page for page in PAGES if programs(page)], ids=lambda page: page.name)
def test_programs_print_what_the_page_shows(
    page: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    names: dict[str, object] = {"__name__": page.stem}
    for example in programs(page):
        if example.file is not None:
            (folder / example.file).write_text(example.text, encoding="utf-8")
            continue
        exec(compile(example.text, page.name, "exec"), names)
        printed = capsys.readouterr().out
        if example.output is not None:
            assert printed == example.output


def test_first_command_gives_the_output_shown(first_output: str) -> None:
    assert first_output == blocks(README, "text")[0]


def test_the_command_reference_is_what_the_commands_say() -> None:
    script = ROOT / "scripts" / "write_cli_reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, heading in _LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if heading:
            assert heading in _anchors(file), f"{file.name}#{heading}"


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_ci_runs_the_commands_of_the_readme(tmp_path: Path) -> None:
    """`.ci/run` with programs that only note how they were called."""
    ask, tests = (block.strip() for block in blocks(README, "sh")[:2])
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
