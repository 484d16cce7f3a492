"""`videoxl follow`: a question about a recording in progress."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoxl.errors import MemoryFileError
from videoxl.files import local_path
from videoxl.options import AnswerOptions, MemoryOptions
from videoxl.timestamps import format_timestamp

from . import options, render
from .model_hint import show_hint
from .options import Dtype

if TYPE_CHECKING:
    from videoxl.tasks.follow import AnswerEvent

_SECONDS = (1, 86_400)  # from one look to the next
MEMORY, ANSWER = MemoryOptions(mode="fixed-rate"), AnswerOptions()


def check_every(every: float) -> float:
    """Refuse an interval below a second or above a day."""
    if not _SECONDS[0] <= every <= _SECONDS[1]:
        raise typer.BadParameter(f"{every:g} is not between {_SECONDS[0]} and {_SECONDS[1]} seconds.")
    return every


def follow(
    video: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO", parser=local_path, help="A video file that is still being written.", show_default=False
        ),
    ],
    question: Annotated[
        str, typer.Option("--ask", metavar="QUESTION", help="The question, in words.", show_default=False)
    ],
    every: Annotated[
        float,
        typer.Option(
            "--every", callback=check_every, metavar="SECONDS", help="Seconds from one look at the file to the next."
        ),
    ] = 60.0,
    times: Annotated[
        int | None,
        typer.Option(
            "--times", min=1, metavar="N", help="End after this many looks, not only at Ctrl-C.", show_default=False
        ),
    ] = None,
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = MEMORY.max_frames,
    fps: Annotated[
        float | None,
        typer.Option(
            "--fps",
            callback=options.check_fps,
            metavar="RATE",
            help="Read this many frames per second, and half as many whenever there are more than --max-frames.",
            rich_help_panel=options.FRAMES,
        ),
    ] = MEMORY.fps,
    video_stream: options.VideoStream = MEMORY.video_stream,
    ratio: options.Ratio = str(MEMORY.ratio),
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    max_new_tokens: options.MaxNewTokens = ANSWER.max_new_tokens,
    json: options.JsonOutput = False,
    quiet: options.Quiet = False,
    debug: options.DebugRun = False,
) -> None:
    """Ask about VIDEO while it is being recorded.

    The question is asked again whenever the file has grown. When the answer changes, a line with its time in the
    video and the answer goes to stdout; with --json, a JSON object. Only new frames are read. The file must be
    readable while it is written: .ts, .mkv or fragmented .mp4.
    """
    with render.error_boundary(debug):
        from videoxl.memory.file import is_memory_file
        from videoxl.preview import Preview
        from videoxl.tasks.follow import Follower
        from videoxl.video.video import Video

        memory_options = MemoryOptions(
            max_frames, fps, options.parse_ratio(ratio), mode="fixed-rate", video_stream=video_stream
        )
        answer_options = AnswerOptions(max_new_tokens)
        folder = options.model_folder(model, quiet)
        preview = Preview(folder)
        reserved_slots = preview.reserved_slots([question], answer_options)
        if is_memory_file(Path(video)):
            raise MemoryFileError(f"{video}: is a saved memory, which does not grow", "Give the video.")
        # What can go wrong goes wrong first: torch takes seconds to import.
        preview.plan(Video(video, stream=video_stream), memory_options, reserved_slots)
        with render.StatusLine(enabled=not quiet) as status:
            status.stage(f"loading {model}")
            from videoxl.model import VideoXL

            loaded = VideoXL.from_pretrained(folder, device, dtype.value)
        show_hint(model, quiet)
        follower = Follower(
            video, loaded, memory_options, question, answer_options, reserved_slots,
            on_warning=lambda warning: render.message(f"warning: {warning}"),
            on_progress=lambda progress: status.frames(progress),
        )  # fmt: skip
        events = follower.events(every, times)
        while True:
            with render.StatusLine(enabled=not quiet) as status:  # gone when an answer is printed
                status.stage(f"following {video}")
                event = next(events, None)
            if event is None:
                break
            _show(event, json)


def renamed(context: typer.Context) -> None:
    """See `videoxl follow`."""
    context.fail("The command watch is now called follow.")


def _show(event: "AnswerEvent", json: bool) -> None:
    """Print one event on one line."""
    if not json:
        render.line(f"{format_timestamp(event.time)} {event.answer.text.strip()}")
        return
    from videoxl.tasks.questions import evidence_record

    record = {"time": round(event.time, 3), "answer": event.answer.text, "evidence": evidence_record(event.answer)}
    render.print_json_line(record | {"frames": event.num_frames, "frames_read": event.num_read})
