"""`videoxl index`: memories made ahead of questions."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from videoxl.errors import VideoXLError
from videoxl.files import local_path
from videoxl.options import MemoryOptions

from . import options, render
from .memory_request import user_cache
from .options import Dtype, SamplingMode

if TYPE_CHECKING:
    from videoxl.model import VideoXL
    from videoxl.tasks.index import IndexedVideo

MEMORY = MemoryOptions()
MODE = SamplingMode(MEMORY.mode)


def index(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO", parser=local_path, help="Video files.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="Also write the memory to this file; with several videos, to this folder.",
            show_default=False,
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", metavar=options.FLAG, help="Write that file in 8 bit: smaller, and answers may differ a little."
        ),
    ] = False,
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = MEMORY.max_frames,
    fps: options.Fps = MEMORY.fps,
    start: options.Start = MEMORY.start,
    end: options.End = MEMORY.end,
    sampling: options.Sampling = MODE,
    video_stream: options.VideoStream = MEMORY.video_stream,
    ratio: options.Ratio = str(MEMORY.ratio),
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    json: options.JsonOutput = False,
    quiet: options.Quiet = False,
    debug: options.DebugRun = False,
) -> None:
    """Make memories of videos ahead of questions.

    Memories are kept in the cache, where `videoxl ask` finds them, so that it answers at once. A file that --output
    writes can be asked in place of the video: `videoxl ask FILE QUESTION`. A video that fails does not stop the others.
    """
    if int8 and output is None:
        raise typer.BadParameter(
            "--int8 needs --output, the file that it is about: the cache keeps memories as they are."
        )
    with render.error_boundary(debug), render.StatusLine(enabled=not quiet) as status:
        memory_options = MemoryOptions(
            max_frames, fps, options.parse_ratio(ratio), start, end, sampling.value, video_stream
        )
        folder = options.model_folder(model, quiet)
        from videoxl.tasks.index import index_video, memory_paths

        @functools.cache
        def load_model() -> "VideoXL":
            status.stage(f"loading {model}")
            from videoxl.model import VideoXL

            return VideoXL.from_pretrained(folder, device, dtype.value)

        file_dtype: Literal["int8"] | None = "int8" if int8 else None
        paths = memory_paths(videos, output)
        cache, failed = user_cache(), False
        for number, (video, path) in enumerate(zip(videos, paths, strict=True), 1):
            count = f" ({number} of {len(videos)})" if len(videos) > 1 else ""
            on_start = functools.partial(status.stage, f"reading {Path(video).name}{count}")
            try:
                done = index_video(
                    video, path, folder, memory_options, cache, load_model, file_dtype, on_start, status.frames
                )
            except VideoXLError as error:
                if len(videos) == 1:
                    raise
                with status.paused():
                    render.message(f"error: {error}. {error.advice}")
                failed = True
                continue
            with status.paused():
                for warning in done.loaded_memory.warnings:
                    render.message(f"warning: {warning}")
                _show(video, done, json)
        if failed:
            raise typer.Exit(1)


def _show(video: str, done: "IndexedVideo", json: bool) -> None:
    """Print one line about a memory: JSON, or words."""
    from videoxl.video.messages import stream_records

    memory = done.loaded_memory.memory
    ratio = max(memory.ratios, default=None)
    if json:
        record: dict[str, Any] = {"video": video, "memory": str(done.path), "from": done.loaded_memory.origin}
        record |= {"streams": stream_records(memory.video.streams if memory.video else ())}
        record |= {"frames": memory.num_frames, "ratio": ratio, "slots": memory.length, "size_bytes": done.size}
        render.print_json_line(record | {"seconds": round(done.seconds, 3)})
    else:
        what = f"{memory.num_frames} frames, ratio {ratio}, {render.size(done.size)}"
        how = "from cache" if done.loaded_memory.origin == "cache" else f"{done.seconds:.1f} s"
        render.line(f"{video} -> {done.path} ({what}, {how})")
