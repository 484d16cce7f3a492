"""Write small videos that are odd in one way each: their clocks, their metadata, their formats.

    python scripts/make_odd_videos.py FOLDER [NAME ...]

It writes one file of each kind, or of those named. Every frame shows its own number, in binary: 2 rows of 5 blocks. The
tests import the functions, and say there what must be read.
"""

import argparse
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import chain, count
from pathlib import Path
from typing import Any

import av
import numpy as np

FPS = 30
BITS = 10  # of the numbers that pictures show
JOINED = (60, 120)  # frames of two recordings
WRAP_SECONDS = 2**33 / 90000  # when the clock of MPEG streams begins anew
# Formats that are not read, with a codec for each and a size that it takes.
REFUSED = {
    ".h264": ("libx264", (160, 64)),
    ".hevc": ("libx265", (160, 64)),
    ".m2v": ("mpeg2video", (160, 64)),
    ".y4m": ("wrapped_avframe", (160, 64)),
    ".mxf": ("mpeg2video", (160, 64)),
    ".dv": ("dvvideo", (720, 576)),
    ".ivf": ("libvpx", (160, 64)),
    ".nut": ("libx264", (160, 64)),
    ".rm": ("rv10", (160, 64)),
}
B_FRAMES: dict[str, Any] = {"bf": "2", "g": "20"}


def numbered_picture(number: int, width: int = 160, height: int = 64) -> np.ndarray:
    """Return uint8 [h, w, 3] that shows `number` in binary; survives lossy coding and scaling."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], dtype=np.uint8).reshape(2, BITS // 2)
    blocks = np.kron(bits * 215 + 20, np.ones((height // 2, width // (BITS // 2)), np.uint8))
    return np.repeat(blocks[:, :, None], 3, axis=2)


def write_clip(
    path: Path,
    pictures: Iterable[np.ndarray],
    fps: int = FPS,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    ticks: Iterable[int] | None = None,
    first_seconds: float = 0.0,
    metadata: dict[str, str] | None = None,
    stream_metadata: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Encode pictures; `ticks` are their times in 1/fps seconds, by default 0, 1, 2 ..., after `first_seconds`."""
    pictures = iter(pictures)
    first = next(pictures)
    height, width = first.shape[:2]
    with av.open(str(path), "w", options={"output_ts_offset": str(first_seconds)}) as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, av.VideoStream)
        container.metadata.update(metadata or {})
        stream.metadata.update(stream_metadata or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, fps)
        for tick, picture in zip(ticks or count(), chain([first], pictures), strict=False):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def joined(path: Path, codec: str = "libx264", starts: tuple[float, float] = (0.0, 0.0)) -> Path:
    """Write two recordings one behind the other, whose clocks begin at `starts` seconds."""
    parts, number = [], 0
    for length, start in zip(JOINED, starts, strict=True):
        pictures = [numbered_picture(number + index) for index in range(length)]
        part = path.with_name(f"{path.stem}.{number}{path.suffix}")
        parts.append(write_clip(part, pictures, codec=codec, first_seconds=start, **B_FRAMES).read_bytes())
        part.unlink()
        number += length
    path.write_bytes(b"".join(parts))
    return path


def wrapped(path: Path) -> Path:
    """Write a recording whose clock comes to the end of its 33 bits after 1 second."""
    pictures = [numbered_picture(number) for number in range(JOINED[1])]
    return write_clip(path, pictures, first_seconds=WRAP_SECONDS - 1, **B_FRAMES)


def paused(path: Path, with_sound: bool = True) -> Path:
    """Write 30 frames, a pause of 20 seconds, and 30 frames more; sound goes on in the pause."""
    rate, samples = 16000, 1000
    with av.open(str(path), "w") as container:
        # An encoder that looks ahead would give its first packets behind most of the sound.
        stream = container.add_stream("libx264", rate=FPS, options={"tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 160, 64, "yuv420p"
        sound = container.add_stream("aac", rate=rate, layout="mono")
        played = 0
        for number in range(60):
            tick = number + (number >= 30) * 20 * FPS
            while with_sound and played * FPS < tick * rate:
                silence = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts = rate, played
                container.mux(sound.encode(silence))
                played += samples
            frame = av.VideoFrame.from_ndarray(numbered_picture(number), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


def slides(path: Path) -> Path:
    """Write three pictures, at 0, 100 and 200 seconds."""
    return write_clip(path, [numbered_picture(number) for number in range(3)], fps=1, ticks=[0, 100, 200])


def resized(path: Path, codec: str = "mpeg2video") -> Path:
    """Write three times 60 frames on one clock, each of another size."""
    number, end = 0, 0
    with av.open(str(path), "w") as container:
        stream = None
        for width, height in ((160, 64), (320, 128), (240, 96)):
            part = path.with_name(f"{path.stem}.{width}{path.suffix}")
            write_clip(part, [numbered_picture(number + index, width, height) for index in range(60)], codec=codec)
            number, begin = number + 60, end
            with av.open(str(part)) as opened:
                stream = stream or container.add_stream_from_template(opened.streams.video[0])
                for packet in opened.demux(video=0):
                    if packet.pts is not None and packet.dts is not None:
                        packet.stream = stream
                        packet.pts, packet.dts = packet.pts + begin, packet.dts + begin
                        end = max(end, packet.pts + (packet.duration or 0))
                        container.mux(packet)
            part.unlink()
    return path


def foreign_metadata(path: Path, codec: str = "libx264") -> Path:
    """Write a title and, in .mp4, a handler's name in Shift-JIS, which is no UTF-8."""
    mark, text = "=" * 16, "動画の題名".encode("shift-jis")
    pictures = [numbered_picture(number) for number in range(30)]
    write_clip(path, pictures, codec=codec, metadata={"title": mark}, stream_metadata={"handler_name": mark})
    path.write_bytes(path.read_bytes().replace(mark.encode(), text.ljust(len(mark))))
    return path


def refused(path: Path) -> Path:
    """Write a format that videoxl does not read, the one that the name ends in."""
    codec, size = REFUSED[path.suffix]
    pictures = [numbered_picture(number, *size) for number in range(10)]
    return write_clip(path, pictures, fps=25, codec=codec)


KINDS: dict[str, Callable[[Path], Path]] = {
    "joined.ts": joined,
    "joined.mkv": joined,
    "joined.mpg": lambda path: joined(path, "mpeg1video"),
    "leap.ts": lambda path: joined(path, starts=(0.0, 3600.0)),
    "back.ts": lambda path: joined(path, starts=(3600.0, 0.0)),
    "wrapped.ts": wrapped,
    "paused.ts": paused,
    "slides.ts": slides,
    "slides.mp4": slides,
    "resized.ts": resized,
    "resized.avi": lambda path: resized(path, "mpeg4"),
    "foreign_metadata.mp4": foreign_metadata,
    "foreign_metadata.avi": lambda path: foreign_metadata(path, "mpeg4"),
    **{f"refused{extension}": refused for extension in REFUSED},
}


def main() -> None:
    """Write what is asked for, and print the paths."""
    parser = argparse.ArgumentParser(description="Write odd videos.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KINDS)}; all if none is given")
    arguments = parser.parse_args()
    if unknown := {*arguments.names} - {*KINDS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or KINDS:
        print(KINDS[name](arguments.folder / name))


if __name__ == "__main__":
    main()
