"""What tests of `videoxl ask` share; its fixtures are in conftest.py."""

from collections.abc import Callable

from typer.testing import Result

QUESTION = "What is shown?"
Ask = Callable[..., Result]


def notes(result: Result) -> list[str]:
    """Return the lines on stderr that are not the times of evidence."""
    return [line for line in result.stderr.splitlines() if not line.startswith("at ")]
