"""Write small videos whose pictures need more than decoding: several streams, HDR, interlacing, transparency.

    python scripts/make_odd_pictures.py FOLDER [KIND ...]

It writes one file of each kind, or of those named. The tests import the functions, and say there what must be read.
"""

import argparse
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

FPS = 10


def two_streams(path: Path, length: int = 20) -> Path:
    """Write two streams: red pictures of 64x48, 10 a second, and blue ones of 128x72, 5 a second."""
    with av.open(str(path), "w") as container:
        streams = [_add_stream(container, (64, 48), FPS), _add_stream(container, (128, 72), FPS // 2)]
        for stream, colour, rate in zip(streams, ((220, 30, 30), (30, 30, 220)), (FPS, FPS // 2), strict=True):
            for number in range(length * rate // FPS):
                picture = np.full((stream.height, stream.width, 3), colour, np.uint8)
                container.mux(stream.encode(_frame(picture, "rgb24", number, rate)))
            container.mux(stream.encode(None))
    return path


def with_cover(path: Path, length: int = 10) -> Path:
    """Write one stream of green pictures, and a cover picture beside it."""
    with av.open(str(path), "w") as container:
        film = _add_stream(container, (64, 48), FPS)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 200, 200, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(_frame(np.full((200, 200, 3), 255, np.uint8), "rgb24", 0, 1)))
        for number in range(length):
            picture = np.full((48, 64, 3), (30, 200, 30), np.uint8)
            container.mux(film.encode(_frame(picture, "rgb24", number, FPS)))
        container.mux(film.encode(None))
    return path


def _add_stream(container: av.container.OutputContainer, size: tuple[int, int], rate: int) -> av.VideoStream:
    stream = container.add_stream("libx264", rate=rate)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    return stream


def _frame(picture: np.ndarray, pix_fmt: str, number: int, rate: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format=pix_fmt)
    frame.pts, frame.time_base = number, Fraction(1, rate)
    return frame


KINDS = {
    "two_streams.mp4": two_streams,
    "with_cover.mp4": with_cover,
}


def main() -> None:
    """Write what is asked for, and print the paths."""
    parser = argparse.ArgumentParser(description="Write videos with odd pictures.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all if none is given")
    arguments = parser.parse_args()
    if unknown := {*arguments.kinds} - {*KINDS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.kinds or KINDS:
        print(KINDS[name](arguments.folder / name))


if __name__ == "__main__":
    main()
