"""The script that writes odd videos, as a module of the tests."""

import importlib.util
from pathlib import Path
from types import ModuleType


def _load() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "scripts" / "make_odd_pictures.py"
    spec = importlib.util.spec_from_file_location("make_odd_pictures", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_odd_pictures = _load()
