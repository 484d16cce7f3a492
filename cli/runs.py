"""`videoxl runs`: the state of a run over many items."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, render

if TYPE_CHECKING:
    from videoxl.runs.state import RunState

app = typer.Typer(help="Show the state of runs over many items.", no_args_is_help=True)


@app.command("show")
def show_run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the run.", show_default=False)],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show how far a run is, and what failed. It may still be running, or be over."""
    with render.error_boundary(debug):
        from videoxl.runs.state import state

        now = state(folder)
        if json:
            render.print_json(_as_dict(now))
            return
        rows = [
            ["items", str(now.total)],
            ["done", str(now.done)],
            ["failed", str(now.failed)],
            ["running", str(now.running)],
            ["waiting", str(now.waiting)],
            ["seconds", f"{now.seconds:.1f} of work on the items that are done"],
            ["process", _process(now)],
        ]
        render.table(["run", str(folder)], rows)
        if now.running_items:
            typer.echo()
            running = [[str(item.worker), f"{item.seconds:.1f}", item.name] for item in now.running_items]
            render.table(["WORKER", "SECONDS", "RUNNING"], running)
        if now.failures:
            typer.echo()
            render.failures(now.failures)


def _process(now: "RunState") -> str:
    if now.process is not None:
        return f"{now.process[0]} on {now.process[1]}"
    return "none: it was stopped, and the same command resumes it" if now.waiting else "none: it has ended"


def _as_dict(now: "RunState") -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "items": now.total,
        "done": now.done,
        "failed": now.failed,
        "running": now.running,
        "waiting": now.waiting,
        "seconds": round(now.seconds, 3),
        "process": now.process and {"pid": now.process[0], "host": now.process[1]},
        "running_items": [
            {"key": r.key, "name": r.name, "worker": r.worker, "seconds": round(r.seconds, 3)}
            for r in now.running_items
        ],
        "failures": [{"key": f.key, "name": f.name, "error": f.error, "message": f.message} for f in now.failures],
    }
