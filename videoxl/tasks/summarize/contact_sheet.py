"""A contact sheet of a video, from the frames that were decoded for its memory."""

import io
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from PIL import Image

from ...video.reader import FrameChunk
from ...video.sources import FrameStream

_EDGE = 160  # of a picture, the longer one, in pixels
_COLUMNS = 6
_MIN_PICTURES, _MAX_PICTURES = 12, 24  # fewer only if there are fewer frames
_QUALITY = 60
_MAX_THUMBNAILS = 240  # to choose from


class Thumbnails:
    """A stream of frames that keeps thumbnails of evenly chosen ones as they pass.

    Args:
        stream: the frames; it is closed with this one.
        num_frames: number of frames planned.
    """

    def __init__(self, stream: FrameStream, num_frames: int) -> None:
        self._stream = stream
        self._every = -(-num_frames // _MAX_THUMBNAILS)
        self._num_seen = 0
        self._pictures: list[Image.Image] = []
        self._times: list[float] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FrameChunk:
        chunk = next(self._stream)
        first, self._num_seen = -self._num_seen % self._every, self._num_seen + len(chunk.times)
        for frame, time in zip(chunk.frames[first :: self._every], chunk.times[first :: self._every], strict=True):
            picture = Image.fromarray(frame)
            picture.thumbnail((_EDGE, _EDGE))
            self._pictures.append(picture)
            self._times.append(float(time))
        return chunk

    def __enter__(self) -> Self:
        self._stream.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stream.__exit__(*exc_info)

    @property
    def is_ahead(self) -> bool:
        """See `FrameStream`."""
        return self._stream.is_ahead

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `FrameStream`."""
        return self._stream.warnings

    def sheet(self, first: Sequence[float], then: Sequence[float]) -> tuple[bytes, dict[str, Any]]:
        """Return a WebP picture of up to 24 frames, and what is in it.

        Args:
            first: times that must be shown, in seconds.
            then: further times, such as those of chapters, in order. If there are few in all, frames from all over
                the video are added.

        Returns:
            The picture; and `times` of its cells in seconds, row by row; `columns`; `width` and `height` of a cell,
            pixels.
        """
        times = np.array(self._times)
        first = _evenly_chosen(first, _MAX_PICTURES)
        shown = [*first, *_evenly_chosen(then, _MAX_PICTURES - len(first))]
        wanted = [int(np.abs(times - second).argmin()) for second in shown]
        if len(set(wanted)) < _MIN_PICTURES:
            wanted += np.linspace(0, len(times) - 1, _MIN_PICTURES - len(set(wanted))).round().astype(int).tolist()
        chosen = sorted(set(wanted))
        count, columns = len(chosen), min(_COLUMNS, len(chosen))
        width, height = self._pictures[0].size
        sheet = Image.new("RGB", (columns * width, -(-count // columns) * height))
        for cell, index in enumerate(chosen):
            row, column = divmod(cell, columns)
            sheet.paste(self._pictures[index], (column * width, row * height))
        content = io.BytesIO()
        sheet.save(content, "WEBP", quality=_QUALITY)
        seconds = [round(self._times[index], 3) for index in chosen]
        return content.getvalue(), {"times": seconds, "columns": columns, "width": width, "height": height}


def _evenly_chosen(seconds: Sequence[float], max_count: int) -> list[float]:
    """Return at most `max_count` of the times, evenly."""
    indices = np.linspace(0, len(seconds) - 1, min(max_count, len(seconds))).round().astype(int)
    return [seconds[index] for index in indices]
