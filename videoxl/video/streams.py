"""Which of the video streams of a file is read, in the child process."""

from collections.abc import Sequence

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ..errors import VideoError
from .messages import StreamInfo

_STILL = Disposition.attached_pic | Disposition.timed_thumbnails


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """Return the video streams that are not cover pictures."""
    return [stream for stream in container.streams.video if not stream.disposition & _STILL]


def choose_stream(path: str, container: InputContainer, index: int | None) -> VideoStream | None:
    """Return the stream of that index; by default FFmpeg's choice, which is None if there are no moving pictures.

    Args:
        path: the file as messages name it.
        container: the file.
        index: among all streams of the file.

    Raises:
        VideoError: there are streams, and none of them has that index.
    """
    streams = moving_streams(container)
    if not streams:
        return None
    if index is None:
        best = container.streams.best("video")
        return next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])
    chosen = next((stream for stream in streams if stream.index == index), None)
    if chosen is None:
        available = _listed(stream_infos(container, streams[0]))
        raise VideoError(f"{path}: has no video stream {index}, only {available}", "Choose one of these.")
    return chosen


def stream_infos(container: InputContainer, chosen: VideoStream) -> tuple[StreamInfo, ...]:
    """Return the header's info about the streams of moving pictures."""
    return tuple(_info(stream, stream is chosen) for stream in moving_streams(container))


def choice_warning(streams: Sequence[StreamInfo], requested: int | None) -> str | None:
    """Return a sentence for a user who did not choose, if there was a choice."""
    if requested is not None or len(streams) < 2:
        return None
    chosen = next(stream.index for stream in streams if stream.chosen)
    return f"has {len(streams)} video streams, {_listed(streams)}; {chosen} is read, --video-stream N chooses"


def _info(stream: VideoStream, is_chosen: bool) -> StreamInfo:
    codec, fps = stream.codec_context, float(stream.average_rate or 0)
    if codec is None:  # no decoder for it
        return StreamInfo(stream.index, 0, 0, fps, "unknown", is_chosen)
    return StreamInfo(stream.index, codec.width, codec.height, fps, codec.codec.canonical_name, is_chosen)


def _listed(streams: Sequence[StreamInfo]) -> str:
    each = [f"{stream.index} ({stream.width}x{stream.height}, {stream.codec})" for stream in streams]
    return " and ".join([", ".join(each[:-1]), each[-1]] if len(each) > 1 else each)
