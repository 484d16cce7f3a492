"""Record a session in a terminal as a picture, `docs/images/terminal.svg`: real commands and what they print.

    python scripts/record_terminal.py [--out docs/images/terminal.svg]

The first question about the demo finds an empty cache, the second a memory. Progress is left out: it does not stay.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    'videoxl ask assets/demo.mp4 "What word is written on the card?"',
    'videoxl ask assets/demo.mp4 "What number is shown on the card?" --quiet',
    'videoxl ask assets/demo.mp4 "Is there a card?" --end 1:00 --quiet',
    "videoxl memory list",
)
_WIDTH = 96  # columns
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # would be fetched from a server


def output_of(command: str, cache: str) -> str:
    """Return what a command prints, stdout and stderr as they come."""
    program, *arguments = shlex.split(command)
    environment = {**os.environ, "VIDEOXL_CACHE_DIR": cache, "COLUMNS": str(_WIDTH)}
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout.replace(cache, "~/.cache/videoxl")


def record(commands: tuple[str, ...]) -> str:
    """Run commands, and return the picture of them."""
    with tempfile.TemporaryDirectory() as cache, open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=_WIDTH, file=nowhere, force_terminal=True, highlight=False)
        for command in commands:
            console.print(Text("$ ", "bold green") + Text(command, "bold"))
            console.print(Text.from_ansi(output_of(command, cache).rstrip()))
            console.print()
    svg = console.export_svg(title="videoxl", theme=MONOKAI, unique_id="terminal")
    return _FONT_FACE.sub("", svg)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description="Record real output as a picture.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "terminal.svg")
    parser.parse_args().out.write_text(record(COMMANDS), encoding="utf-8")


if __name__ == "__main__":
    main()
