"""`videoxl index`: memories made ahead of any question."""

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

WATCH = MemoryOptions()
MODE = SamplingMode(WATCH.mode)


def index(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO", parser=local_path, help="Local video files.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the memory to this file too; of several videos, into this folder.",
            show_default=False,
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write FILE in 8 bit: smaller, and answers may differ a little.")
    ] = False,
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = WATCH.max_frames,
    fps: options.Fps = WATCH.fps,
    ratio: options.Ratio = str(WATCH.ratio),
    start: options.Start = WATCH.start,
    end: options.End = WATCH.end,
    sampling: options.Sampling = MODE,
    video_stream: options.VideoStream = WATCH.video_stream,
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Watch videos ahead of any question.

    The memory of each VIDEO is kept, so that `videoxl ask` has it at once. Memories go into the cache, and to FILE,
    which `videoxl ask FILE QUESTION` takes in place of a video. A video that fails does not stop the others.
    """
    if int8 and output is None:
        raise typer.BadParameter("--int8 is about the file of --output: the cache keeps memories as they are.")
    with render.error_boundary(debug), render.StatusLine(enabled=not quiet) as status:
        watching = MemoryOptions(max_frames, fps, options.parse_ratio(ratio), start, end, sampling.value, video_stream)
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
            on_start = functools.partial(status.stage, f"watching {Path(video).name}{count}")
            try:
                done = index_video(
                    video, path, folder, watching, cache, load_model, file_dtype, on_start, status.frames
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
        said: dict[str, Any] = {"video": video, "memory": str(done.path), "from": done.loaded_memory.origin}
        said |= {"streams": stream_records(memory.video.streams if memory.video else ())}
        said |= {"frames": memory.num_frames, "ratio": ratio, "slots": memory.length, "size_bytes": done.size}
        render.print_json_line(said | {"seconds": round(done.seconds, 3)})
    else:
        what = f"{memory.num_frames} frames, ratio {ratio}, {render.size(done.size)}"
        how = "from cache" if done.loaded_memory.origin == "cache" else f"{done.seconds:.1f} s"
        render.line(f"{video} -> {done.path} ({what}, {how})")
