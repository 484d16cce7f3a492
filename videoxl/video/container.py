"""Opening a file with PyAV and reading its packets, in the child process."""

from collections.abc import Iterator, Sequence

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from ..errors import VideoError
from .checks import GET_ANOTHER_COPY, GIVE_A_VIDEO
from .formats import convert_advice
from .streams import choose_stream

# FFmpeg opens the files and addresses that a script or playlist names, whatever the name of the file is.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
_MAX_DEMUX_ERRORS = 1000
REENCODE = "Convert it first, for example: ffmpeg -i INPUT -c:v libx264 OUTPUT.mp4"


def open_video(path: str, location: str, index: int | None = None) -> tuple[InputContainer, VideoStream]:
    """Open a local file and return it with its video stream of that index, or else its best one.

    Raises:
        VideoError: not a video, refused format, damaged header, no pictures, no such stream, or unknown codec.
    """
    try:
        # Titles and names in a file need not be UTF-8; nothing here reads them.
        container = av.open(f"file:{location}", options=_OPTIONS, metadata_errors="replace")
    except av.ArgumentError as error:  # refused by the whitelist
        raise _not_read(path, location) from error
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: {_why_not_open(location)}", _advice(location)) from error
    stream = choose_stream(path, container, index)
    if stream is None:
        raise VideoError(f"{path}: {_what_instead(container)}", "Give a file that has moving pictures.")
    if stream.codec_context is None:
        raise VideoError(f"{path}: its video codec is unknown, there is no decoder for it", REENCODE)
    return container, stream


def _not_read(path: str, location: str) -> VideoError:
    found = convert_advice(path, location)
    if found is None:
        return VideoError(f"{path}: is not in a video format that videoxl reads", GIVE_A_VIDEO)
    name, advice = found
    return VideoError(f"{path}: is {name}, a format that videoxl does not read", advice)


def _why_not_open(location: str) -> str:
    if _is_mp4(location):
        return "the file is incomplete or damaged: its index (the 'moov' part) cannot be read"
    return "is not a video, or its header is damaged"


def _advice(location: str) -> str:
    if _is_mp4(location):
        return f"If it is being recorded, wait for its end, or record .ts, .mkv or fragmented .mp4. {GET_ANOTHER_COPY}"
    return GET_ANOTHER_COPY


def _is_mp4(location: str) -> bool:
    with open(location, "rb") as file:
        return file.read(12)[4:8] == b"ftyp"


def _what_instead(container: InputContainer) -> str:
    if container.streams.video:
        return "has sound and a cover picture, but no video"
    return "has sound, but no video" if container.streams.audio else "has no video track"


def demux(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet]:
    """Yield the packets of these streams, continuing after damaged parts.

    The last packet of each stream is empty (`is_flush`): it asks the decoder for what it still holds.
    """
    errors = 0
    packets = container.demux(streams)
    while errors < _MAX_DEMUX_ERRORS:
        try:
            yield next(packets)
        except (StopIteration, av.EOFError):
            return
        except av.FFmpegError:
            errors += 1
            packets = container.demux(streams)


def is_flush(packet: Packet) -> bool:
    """Tell whether the packet marks the end of its stream."""
    return packet.dts is None and packet.pts is None and not packet.size
