"""The `videoxl` program: its commands, one file each. No command module imports torch until a command runs."""

from typing import Annotated

import typer

from videoxl import __version__

from .ask import ask
from .chat import chat
from .follow import follow, renamed
from .index import index
from .memory import app as memory_app
from .models import app as models_app
from .needle import app as needle_app
from .runs import app as runs_app
from .summarize import summarize

app = typer.Typer(
    name="videoxl",
    help="Ask questions about long videos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(ask)
app.command()(chat)
app.command()(index)
app.command()(summarize)
app.command()(follow)
app.command("watch", hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(renamed)
app.add_typer(memory_app, name="memory")
app.add_typer(models_app, name="models")
app.add_typer(needle_app, name="needle")
app.add_typer(runs_app, name="runs")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"videoxl {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Ask questions about long videos."""
