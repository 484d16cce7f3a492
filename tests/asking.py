"""What tests of `videoxl ask` share; its fixtures are in conftest.py."""

from collections.abc import Callable

from typer.testing import Result

QUESTION = "What is shown?"
STREAM = {"index": 0, "width": 160, "height": 64, "fps": 10.0, "codec": "h264", "chosen": True}  # of the clip
Ask = Callable[..., Result]


def notes(result: Result) -> list[str]:
    """Return the lines on stderr that are not the times of evidence."""
    return [line for line in result.stderr.splitlines() if not line.startswith("at ")]
