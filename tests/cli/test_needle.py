"""`videoxl needle`: what it says besides the results."""

from pathlib import Path

from typer.testing import CliRunner, Result

from videoxl.cli.main import app


def needle(*options: object) -> Result:
    return CliRunner().invoke(app, ["needle", *map(str, options)])


def test_a_finished_run_says_that_nothing_was_left_to_do(model_folder: Path, tmp_path: Path) -> None:
    command = ("--model", model_folder, "--lengths", "4", "--depths", "50", "--ratio", 4, "--out", tmp_path / "run")
    first, second = needle(*command), needle(*command)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert second.stdout == first.stdout
    assert "nothing was left to do" in second.stderr and "nothing was left" not in first.stderr


def test_a_file_is_no_folder_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    result = needle("--out", tmp_path / "run")
    assert result.exit_code == 2 and "--out" in result.stderr
