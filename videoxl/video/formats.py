"""Formats that FFmpeg knows and that are not read here, and how to convert them."""

import os
import shlex

import av

# FFmpeg's names. None of them is a playlist or script, so that looking at such a file opens no other.
_REFUSED = "h264,hevc,mpegvideo,m4v,vc1,obu,dirac,yuv4mpegpipe,mxf,dv,ivf,nut,rm"
_WITHOUT_TIMES = ("h264", "hevc", "mpegvideo", "m4v", "vc1", "obu", "dirac")


def convert_advice(path: str, location: str) -> tuple[str, str] | None:
    """Return what the format of a file is called, and how to convert it; None if it is another one.

    Args:
        path: the file as the user named it.
        location: its absolute path.
    """
    options = {"format_whitelist": _REFUSED, "protocol_whitelist": "file"}
    try:
        with av.open(f"file:{location}", options=options, metadata_errors="replace") as container:
            format, has_video = container.format, bool(container.streams.video)
    except (av.FFmpegError, OSError):
        return None
    if not has_video:
        return None
    if format.name in _WITHOUT_TIMES:
        command = _command(path, "-framerate 25 ")
        return format.long_name, f"Convert it first, with its own frames per second in place of 25: {command}"
    return format.long_name, f"Convert it first: {_command(path, '')}"


def _command(path: str, options: str) -> str:
    """Return a command line that converts a file to .mp4 beside it."""
    source = f".{os.sep}{path}" if path.startswith("-") or ":" in path else path  # neither an option nor a protocol
    stem, extension = os.path.splitext(source)
    target = f"{stem}-converted.mp4" if extension.lower() == ".mp4" else f"{stem}.mp4"
    return f"ffmpeg {options}-i {shlex.quote(source)} -c:v libx264 {shlex.quote(target)}"
