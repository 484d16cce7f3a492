"""Small clips written by the tests, and an independent reading of any clip to compare with."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain, count
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from videoxl.video.tone_mapping import scaled_codes, to_sdr, transfer_of

BITS = 10  # frame numbers are painted as 2 rows of 5 black or white blocks


def numbered_picture(number: int, width: int = 160, height: int = 64) -> np.ndarray:
    """Return uint8 [h, w, 3] that shows `number` in binary; survives lossy coding and scaling."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], dtype=np.uint8).reshape(2, BITS // 2)
    blocks = np.kron(bits * 215 + 20, np.ones((height // 2, width // (BITS // 2)), np.uint8))
    return np.repeat(blocks[:, :, None], 3, axis=2)


def read_numbers(frames: np.ndarray) -> list[int]:
    """Return the numbers painted in frames uint8 [t, h, w, 3]."""
    t, height, width, _ = frames.shape
    cells = frames.reshape(t, 2, height // 2, BITS // 2, width // (BITS // 2), 3).mean(axis=(2, 4, 5)).reshape(t, BITS)
    assert np.all(np.abs(cells - 128) > 40), "a picture is not one of the painted ones"
    return [int(sum(1 << bit for bit in range(BITS) if row[bit] > 128)) for row in cells]


def write_clip(
    path: Path,
    pictures: Iterable[np.ndarray],
    fps: int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    ticks: Iterable[int] | None = None,
    **options: str,
) -> Path:
    """Encode pictures; `ticks` are their times in 1/fps seconds, by default 0, 1, 2 ..."""
    pictures = iter(pictures)
    first = next(pictures)
    height, width = first.shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, fps)
        for tick, picture in zip(ticks or count(), chain([first], pictures), strict=False):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_numbered(path: Path, length: int, **options: object) -> Path:
    """Encode a clip whose frames show their own numbers."""
    return write_clip(path, [numbered_picture(number) for number in range(length)], **options)  # type: ignore[arg-type]


def write_sound(path: Path, seconds: int = 1) -> Path:
    """Write a file that has sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(seconds * 16):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def block_means(frames: np.ndarray, rows: int = 5, columns: int = 7) -> np.ndarray:
    """Return float [t, rows, columns, 3], means over a grid of blocks, of about 100 lines of each frame."""
    step = max(1, frames.shape[1] // 100)
    frames = frames[:, ::step, ::step].astype(np.float32)
    ys = np.linspace(0, frames.shape[1], rows + 1).astype(int)
    xs = np.linspace(0, frames.shape[2], columns + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(frames, ys[:-1], axis=1), xs[:-1], axis=2)
    return sums / (np.diff(ys)[:, None] * np.diff(xs))[None, :, :, None]


def decode_in_order(path: Path, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times float64 [n] and block means [n, rows, columns, 3] of every frame, decoded one after the other.

    The plainest use of PyAV: no seeking, no chosen frames. Frames are shown at width x height.
    """
    times, means = [], []
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        start = Fraction(container.start_time or 0, av.time_base)
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                turned = int(frame.rotation) % 180 != 0
                size = (height, width) if turned else (width, height)
                if (transfer := transfer_of(frame)) == "sdr":
                    picture = frame.reformat(*size, "rgb24").to_ndarray()
                else:  # what its colours are is tested elsewhere
                    picture = to_sdr(scaled_codes(VideoReformatter(), frame, *size), transfer)
                picture = np.rot90(picture, int(frame.rotation) // 90)
                times.append(float(frame.pts * stream.time_base - start))
                means.append(block_means(picture[None])[0])
    order = np.argsort(times, kind="stable")
    return np.array(times)[order], np.stack(means)[order]
