"""The rooms of the library: a lower one never imports a higher one, as `pyproject.toml` lists them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT, "--no-cache"], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("videoxl", "cli"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_go_one_way() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("planning/budget.py", "from videoxl.network import devices", "A lower room never imports a higher one"),
        ("planning/budget.py", "import torch", "needs no torch"),
        ("model.py", "import cli.render", "A lower room never imports a higher one"),
    ],
)
def test_a_forbidden_import_is_noticed(copy: Path, module: str, line: str, broken: str) -> None:
    path = copy / "videoxl" / module
    path.write_text(f"{line}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    result = lint(copy)
    assert result.returncode == 1, result.stdout
    assert any(broken in row and "BROKEN" in row for row in result.stdout.splitlines()), result.stdout
