"""Write small videos whose pictures need more than decoding: several streams, HDR, interlacing, transparency.

    python scripts/make_odd_pictures.py FOLDER [KIND ...]

It writes one file of each kind, or of those named. The tests import the functions, and say there what must be read.
"""

import argparse
import functools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorTrc
from av.video.stream import VideoStream
from PIL import Image

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


def hdr(
    path: Path, transfer: ColorTrc = ColorTrc.SMPTE2084, patches: np.ndarray | None = None, tagged: bool = True
) -> Path:
    """Write columns of colours in 10 bit, each 32 pixels wide.

    Args:
        path: of the file.
        transfer: what the codes mean: PQ or HLG.
        patches: float [n, 3], R'G'B' codes from 0 to 1 in BT.2020; reference white (203 nits) and black if None.
        tagged: whether the matrix is.
    """
    white = 0.75 if transfer == ColorTrc.ARIB_STD_B67 else 0.5807
    patches = np.array([[white] * 3, [0.0] * 3]) if patches is None else patches
    luma = patches @ (0.2627, 0.6780, 0.0593)
    blue, red = (patches[:, 2] - luma) / 1.8814, (patches[:, 0] - luma) / 1.4746
    planes = [64 + 876 * luma, 512 + 896 * blue, 512 + 896 * red]
    frame = av.VideoFrame(32 * len(patches), 32, "yuv420p10le")
    for plane, codes in zip(frame.planes, planes, strict=True):
        line = np.zeros(plane.line_size // 2, "<u2")
        line[: plane.width] = np.repeat(np.round(codes), plane.width // len(patches))
        plane.update(np.tile(line, plane.height).tobytes())
    tags = {"color_trc": transfer, "color_primaries": ColorPrimaries.BT2020, "colorspace": 9 if tagged else 2}
    with av.open(str(path), "w") as container:
        options = {"x265-params": "lossless=1:log-level=error"}
        stream = _add_stream(container, (frame.width, frame.height), FPS, "libx265", "yuv420p10le", options)
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
            setattr(frame, name, value)
        for number in range(4):
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def moving_bar(field: int, width: int = 160, height: int = 96) -> np.ndarray:
    """Return uint8 [h, w, 3]: a bright bar that has moved 4 pixels a field, over a ramp that stands still."""
    picture = np.repeat(np.linspace(20, 120, height)[:, None], width, axis=1)
    left = 4 * field % (width - 24)
    picture[:, left : left + 24] = 230
    return np.repeat(picture[..., None], 3, axis=2).astype(np.uint8)


def interlaced(path: Path, codec: str = "libx264", length: int = 40) -> Path:
    """Write 25 pictures a second of which even lines are of a later moment than odd ones; a key frame every 8."""
    options = {
        "libx264": {"x264-params": "bff=1:keyint=8:scenecut=0:bframes=2", "crf": "5"},
        "mpeg2video": {"flags": "+ildct+ilme", "g": "8", "qmin": "1", "q": "1"},
    }
    with av.open(str(path), "w") as container:
        stream = _add_stream(container, (160, 96), 25, codec, options=options[codec])
        for number in range(length):
            picture = moving_bar(2 * number + 1)
            picture[1::2] = moving_bar(2 * number)[1::2]
            frame = _frame(picture, "rgb24", number, 25).reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def transparent(path: Path, codec: str = "png", pix_fmt: str = "rgba") -> Path:
    """Write pictures in three parts: red, the same red half transparent, and black that cannot be seen."""
    picture = np.zeros((48, 96, 4), np.uint8)
    picture[:, :32], picture[:, 32:64] = (200, 40, 40, 255), (200, 40, 40, 128)
    with av.open(str(path), "w") as container:
        options = {"auto-alt-ref": "0"} if codec == "libvpx" else {}
        stream = _add_stream(container, (96, 48), FPS, codec, pix_fmt, options)
        for number in range(6):
            container.mux(stream.encode(_frame(picture, "rgba", number, FPS).reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    return path


def transparent_gif(path: Path) -> Path:
    """Write an animated GIF whose right half cannot be seen."""
    pictures = []
    for level in (200, 201, 202):
        picture = np.zeros((48, 96, 4), np.uint8)
        picture[:, :48] = (level, 40, 40, 255)
        pictures.append(Image.fromarray(picture))
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, disposal=2)
    return path


def _add_stream(
    container: OutputContainer,
    size: tuple[int, int],
    rate: int,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> VideoStream:
    stream = container.add_stream(codec, rate=rate, options=options or {})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    return stream


def _frame(picture: np.ndarray, pix_fmt: str, number: int, rate: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format=pix_fmt)
    frame.pts, frame.time_base = number, Fraction(1, rate)
    return frame


KINDS: dict[str, Callable[[Path], Path]] = {
    "two_streams.mp4": two_streams,
    "with_cover.mp4": with_cover,
    "pq.mp4": hdr,
    "hlg.mp4": functools.partial(hdr, transfer=ColorTrc.ARIB_STD_B67),
    "interlaced.mp4": interlaced,
    "interlaced.ts": functools.partial(interlaced, codec="mpeg2video"),
    "png.mov": transparent,
    "qtrle.mov": functools.partial(transparent, codec="qtrle", pix_fmt="argb"),
    "vp8.webm": functools.partial(transparent, codec="libvpx", pix_fmt="yuva420p"),
    "vp9.webm": functools.partial(transparent, codec="libvpx-vp9", pix_fmt="yuva420p"),
    "transparent.gif": transparent_gif,
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
