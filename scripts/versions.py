#!/usr/bin/env python3
"""Print versions of the packages that videoxl needs, as a pip constraints file.

    python scripts/versions.py exact > constraints.txt    what is installed beside videoxl, to the letter
    python scripts/versions.py lowest > lowest.txt        the lower ends of the ranges in pyproject.toml

The torch packages are left out of `lowest`: they are several GB, and stay what they are while other ranges are tried.
"""

import argparse
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NOT_NEEDED = {"videoxl", "pip", "setuptools", "wheel"}
_TORCH = {"torch", "torchvision"}


def exact() -> Iterator[str]:
    """Yield `name==version` of every installed distribution but ourselves and the installers."""
    found = {dist.metadata["Name"]: dist.version for dist in distributions()}
    for name in sorted(found, key=str.lower):
        if name.lower() not in _NOT_NEEDED:
            # A build for one device ("2.14.1+cpu") has the version of all the others.
            yield f"{name}=={found[name].partition('+')[0]}"


def lowest() -> Iterator[str]:
    """Yield `name==version` for the lower end of every range in pyproject.toml, with its marker."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["ray"]]:
        wanted, _, marker = requirement.partition(";")
        match = re.match(r"([A-Za-z0-9_.-]+)\s*(?:>=|==)\s*([0-9.]+)", wanted)
        if match is None:
            raise SystemExit(f"{requirement}: has no lower end")
        if match[1] not in _TORCH:
            yield f"{match[1]}=={match[2]}" + (f" ;{marker}" if marker else "")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("which", choices=["exact", "lowest"])
    for line in exact() if parser.parse_args().which == "exact" else lowest():
        print(line)


if __name__ == "__main__":
    main()
