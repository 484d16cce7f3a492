"""`videoxl models`: which models there are, what they need, how to get them."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from videoxl.errors import CheckpointError
from videoxl.hub import BUNDLED, PUBLISHED, checkpoint_folder

from . import options, render

# All processes of `videoxl ask` together, an hour of 720p video, 1024 frames: scripts/bench_watch.py measures it.
_BUNDLED_MEMORY_BYTES = 2_000_000_000

app = typer.Typer(help="Show the models that videoxl knows by name.", no_args_is_help=True)


@dataclass(frozen=True)
class Entry:
    """One line of the list.

    Args:
        name: what `--model` takes.
        kind: "bundled" or "published".
        hub_id: its repository on the Hugging Face hub; None if bundled.
        parameters: how many it has; None if its files are missing.
        size_bytes: of its files; None if they are missing.
        memory_bytes: what a run with 1024 frames takes: of main memory if bundled, of a GPU, in 16 bit, if published.
        how_to_get: one sentence.
    """

    name: str
    kind: str
    hub_id: str | None
    parameters: int | None
    size_bytes: int | None
    memory_bytes: int
    how_to_get: str


@app.command("list")
def list_models(json: options.Json = False, debug: options.Debug = False) -> None:
    """List the bundled model and the published ones that have a short name."""
    with render.error_boundary(debug):
        entries = [_entry(name) for name in (*BUNDLED, *PUBLISHED)]
        if json:
            render.print_json([asdict(entry) for entry in entries])
            return
        header = ["NAME", "KIND", "PARAMETERS", "SIZE", "MEMORY", "HUB ID"]
        rows = [
            [
                e.name,
                e.kind,
                _count(e.parameters),
                render.size(e.size_bytes),
                render.size(e.memory_bytes),
                e.hub_id or "-",
            ]
            for e in entries
        ]
        render.table(header, rows)


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `videoxl models list`.", show_default=False)],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what a model needs and how to get it; of a bundled one, its card."""
    with render.error_boundary(debug):
        if name not in BUNDLED and name not in PUBLISHED:
            known = ", ".join([*BUNDLED, *PUBLISHED])
            raise CheckpointError(f"{name}: no model of that name", f"Known names: {known}.")
        entry = _entry(name)
        if json:
            render.print_json(asdict(entry))
        elif name in BUNDLED:
            render.markdown(_card(name))
        else:
            _show_published(entry)


def _show_published(entry: Entry) -> None:
    rows = [
        ["hub id", entry.hub_id or "-"],
        ["parameters", _count(entry.parameters)],
        ["download", render.size(entry.size_bytes)],
        ["memory", f"{render.size(entry.memory_bytes)} on a GPU, in 16 bit, with 1024 frames at ratio 16"],
        ["how to get it", entry.how_to_get],
    ]
    render.table([entry.name, ""], rows)


def _entry(name: str) -> Entry:
    if name in BUNDLED:
        folder = _bundled_folder(name)
        files = [path for path in folder.rglob("*") if path.is_file()] if folder else []
        return Entry(
            name,
            "bundled",
            hub_id=None,
            parameters=_num_parameters(folder) if folder else None,
            size_bytes=sum(path.stat().st_size for path in files) if folder else None,
            memory_bytes=_BUNDLED_MEMORY_BYTES,
            how_to_get="It comes with videoxl.",
        )
    model = PUBLISHED[name]
    how = f"It is downloaded when it is first used; or: hf download {model.hub_id} --local-dir DIR, then --model DIR"
    memory, download = model.memory_bytes, model.download_bytes
    return Entry(name, "published", model.hub_id, model.num_parameters, download, memory, how)


def _bundled_folder(name: str) -> Path | None:
    """Return the model's folder; None if this installation lacks it, which the list shows as missing sizes."""
    try:
        return checkpoint_folder(name)
    except CheckpointError:
        return None


def _num_parameters(folder: Path) -> int:
    """Return the number of weights in a folder's files, read from their headers."""
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as weights:
            total += sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    return total


def _card(name: str) -> str:
    card = checkpoint_folder(name) / "README.md"
    if not card.is_file():
        raise CheckpointError(f"{card}: this model has no card", "Install videoxl again, with pip.")
    return card.read_text(encoding="utf-8")


def _count(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{number / 1e9:.1f} B" if number >= 1e9 else f"{number / 1e6:.1f} M"
