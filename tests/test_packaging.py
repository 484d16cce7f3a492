"""The package is whole: every sub-package is installed, the assets are there, and importing is cheap."""

import importlib.resources
import json
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import videoxl
from videoxl.checkpoints.tokenizer import TextTokenizer
from videoxl.nano.tokenizer import build_tokenizer

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODEL_FILES = [
    "config.json",
    "generation_config.json",
    "videoxl.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vision_tower/config.json",
    "vision_tower/preprocessor_config.json",
    "README.md",
]


def test_every_sub_package_is_listed() -> None:
    mapping = SETTINGS["tool"]["setuptools"]["package-dir"]
    found = {}
    for package, folder in mapping.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found[".".join([package, *init.parent.relative_to(ROOT / folder).parts])] = init
    assert sorted(SETTINGS["tool"]["setuptools"]["packages"]) == sorted(found)


def test_python_run_in_a_clone_finds_the_bundled_model() -> None:
    """The clone's package then hides the installed one; -S leaves out what an editable install adds."""
    program = "from videoxl.checkpoints.hub import checkpoint_folder; print(checkpoint_folder('videoxl-nano'))"
    result = subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == str(ROOT / "assets" / "videoxl-nano"), result.stderr


def test_the_bundled_tokenizer_is_that_of_the_training_code(tmp_path: Path) -> None:
    TextTokenizer(build_tokenizer().backend_tokenizer).save(tmp_path)
    bundled = ROOT / "assets" / "videoxl-nano" / "tokenizer.json"
    assert json.loads((tmp_path / "tokenizer.json").read_text()) == json.loads(bundled.read_text())


def test_every_folder_with_code_is_a_package() -> None:
    for folder in SETTINGS["tool"]["setuptools"]["package-dir"].values():
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module


def test_installed_under_its_names() -> None:
    (command,) = entry_points(group="console_scripts", name="videoxl")
    assert command.value == "videoxl.cli.main:app"
    assert command.load().info.name == "videoxl"
    assert version("videoxl") == videoxl.__version__


def test_assets_are_installed() -> None:
    assets = importlib.resources.files("videoxl.assets")
    missing = [name for name in MODEL_FILES if not assets.joinpath("videoxl-nano", name).is_file()]
    assert missing == [] and assets.joinpath("demo.mp4").is_file()


def test_assets_are_small() -> None:
    files = [path for path in (ROOT / "assets").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) <= 25_000_000


def test_importing_the_package_is_cheap() -> None:
    heavy = "{'torch', 'transformers', 'open_clip', 'numpy', 'av', 'decord'}"
    program = f"import sys, videoxl; sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT / "tests").returncode == 0


def test_video_needs_no_torch() -> None:
    """Bad input is answered before torch is imported, and the decoding process starts fast."""
    program = "import sys, videoxl.video.video, videoxl.video.decode_worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT / "tests").returncode == 0


def test_every_public_name_exists() -> None:
    for name in videoxl.__all__:
        assert getattr(videoxl, name) is not None
