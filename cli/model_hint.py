"""What is said once about the bundled model: what it understands, and what it does not."""

from videoxl.checkpoints.hub import BUNDLED

from . import render

HINT = (
    "videoxl-nano understands cards in a video: a word, a number, a shape, their colours, whether there is one. "
    "For open questions use a published checkpoint: --model video-xl-7b"
)


def show_hint(name: str, quiet: bool) -> None:
    """Show what the bundled model understands; nothing for another model."""
    if name in BUNDLED and not quiet:
        render.message(HINT)


def warn_meaningless(name: str, task: str) -> None:
    """Warn that the bundled model cannot do a task; nothing for another model."""
    if name in BUNDLED:
        render.message(
            f"warning: videoxl-nano knows only cards: what it says about {task} means nothing. "
            "Use a published checkpoint: --model video-xl-7b"
        )
