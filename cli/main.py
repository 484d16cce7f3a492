"""The `videoxl` program: its commands, one file each. No command module imports torch until a command runs."""

from typing import Annotated

import typer

from videoxl import __version__

from . import options
from .ask import ask
from .chat import chat
from .follow import follow, renamed
from .help_text import Commands, examples, paragraphs
from .index import index
from .memory import app as memory_app
from .models import app as models_app
from .needle import app as needle_app
from .needle import needle
from .runs import app as runs_app
from .summarize import summarize

app = typer.Typer(
    name="videoxl",
    help="Ask questions about long videos.",
    no_args_is_help=True,
    cls=Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command(
    help=paragraphs(ask),
    epilog=examples(
        '$ videoxl ask talk.mp4 "What is on the first slide?"',
        "$ videoxl ask talk.mp4 --questions questions.txt > answers.jsonl",
    ),
)(ask)
app.command(help=paragraphs(chat))(chat)
app.command(help=paragraphs(index))(index)
app.command(
    help=paragraphs(summarize),
    epilog=examples(
        "$ videoxl summarize talks/ --out summaries --model video-xl-7b",
        '$ videoxl summarize talks/*.mp4 --out found --task "Where is a map shown?"',
    ),
)(summarize)
app.command(help=paragraphs(follow))(follow)
app.command("watch", hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(renamed)
app.add_typer(memory_app, name="memory")
app.add_typer(models_app, name="models")
app.add_typer(
    needle_app,
    name="needle",
    help=paragraphs(needle),
    epilog=examples(
        "$ videoxl needle",
        "$ videoxl needle --haystack film.mp4 --lengths 256,512 --out film-needles",
    ),
)
app.add_typer(runs_app, name="runs")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"videoxl {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar=options.FLAG, callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Ask questions about long videos."""
