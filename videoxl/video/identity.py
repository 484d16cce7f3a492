"""Which video it is, by its content: a moved or copied file is the same video, an edited one is another."""

import os
from dataclasses import dataclass

from ..errors import VideoError
from ..files import sampled_digest
from .checks import GET_ANOTHER_COPY, check_file
from .messages import StreamInfo


@dataclass(frozen=True)
class VideoRecord:
    """What is known of a video file without opening it again.

    Args:
        path: absolute, when the memory was made; it may have moved since.
        duration: seconds.
        fps: average frames per second.
        width: of the picture, in square pixels.
        height: of the picture, in square pixels.
        size: bytes of the file.
        modified: when the file was last written, in seconds since 1970.
        digest: of the content; see `content_digest`.
        streams: its video streams; none in records of versions that did not keep them.
    """

    path: str
    duration: float
    fps: float
    width: int
    height: int
    size: int
    modified: float
    digest: str
    streams: tuple[StreamInfo, ...] = ()

    def __post_init__(self) -> None:
        known = (each if isinstance(each, StreamInfo) else StreamInfo(**each) for each in self.streams)  # from a file
        object.__setattr__(self, "streams", tuple(known))

    @property
    def stream(self) -> int | None:
        """Index of the stream that was read; None if it was not recorded."""
        return next((stream.index for stream in self.streams if stream.chosen), None)


def content_digest(path: str | os.PathLike[str], size: int | None = None) -> str:
    """Return a digest of a local file's size and content, read at head, tail and evenly between; 32 hex digits.

    Name, folder and times of the file do not count. Files of up to 16 MiB are read whole.

    Args:
        path: of the file.
        size: number of bytes from its beginning that count, so that a file is recognised when it has grown.

    Raises:
        VideoError: it is not a file, or cannot be read; see `check_file`.
    """
    location = check_file(path)
    try:
        return sampled_digest(location, size)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})", GET_ANOTHER_COPY) from None
