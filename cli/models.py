"""`videoxl models`: which models there are, what they need, how to get them."""

from dataclasses import asdict
from typing import Annotated

import typer

from videoxl.checkpoints.hub import BUNDLED, PUBLISHED, ModelInfo, model_card, model_info

from . import options, render

app = typer.Typer(help="List and show the models that have a name.", no_args_is_help=True)


@app.command("list")
def list_models(json: options.Json = False, debug: options.Debug = False) -> None:
    """List the bundled model and the published ones."""
    with render.error_boundary(debug):
        entries = [model_info(name) for name in (*BUNDLED, *PUBLISHED)]
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
                _memory(e),
                e.hub_id or "-",
            ]
            for e in entries
        ]
        render.table(header, rows)


@app.command("show")
def show_model(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=options.complete_model,
            help="A name from `videoxl models list`.",
            show_default=False,
        ),
    ],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what a model needs and how to get it, or the card of a bundled one."""
    with render.error_boundary(debug):
        entry = model_info(name)
        if json:
            render.print_json(asdict(entry))
        elif name in BUNDLED:
            render.markdown(model_card(name))
        else:
            _show_published(entry)


def _show_published(entry: ModelInfo) -> None:
    rows = [
        ["hub id", entry.hub_id or "-"],
        ["parameters", _count(entry.parameters)],
        ["download", render.size(entry.size_bytes)],
        ["memory", f"{_memory(entry)} on a GPU, in 16 bit, with 1024 frames at ratio 16 (an estimate)"],
        ["how to get it", entry.how_to_get],
    ]
    render.table([entry.name, ""], rows)


def _memory(entry: ModelInfo) -> str:
    return ("~" if entry.memory_is_estimate else "") + render.size(entry.memory_bytes)


def _count(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{number / 1e9:.1f} B" if number >= 1e9 else f"{number / 1e6:.1f} M"
