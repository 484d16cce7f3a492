"""Small clips written by the tests, and an independent reading of any clip to compare with."""

import importlib.util
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from videoxl.video.tone_mapping import scaled_codes, to_sdr, transfer_of


def load_script(name: str) -> ModuleType:
    """Import a file of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parents[1] / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_odd_videos = load_script("make_odd_videos")
BITS: int = make_odd_videos.BITS
numbered_picture: Callable[..., np.ndarray] = make_odd_videos.numbered_picture
write_clip: Callable[..., Path] = make_odd_videos.write_clip


def read_numbers(frames: np.ndarray) -> list[int]:
    """Return the numbers painted in frames uint8 [t, h, w, 3]."""
    t, height, width, _ = frames.shape
    cells = frames.reshape(t, 2, height // 2, BITS // 2, width // (BITS // 2), 3).mean(axis=(2, 4, 5)).reshape(t, BITS)
    assert np.all(np.abs(cells - 128) > 40), "a picture is not one of the painted ones"
    return [int(sum(1 << bit for bit in range(BITS) if row[bit] > 128)) for row in cells]


def write_numbered(path: Path, length: int, **options: object) -> Path:
    """Encode a clip whose frames show their own numbers."""
    return write_clip(path, [numbered_picture(number) for number in range(length)], **options)


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
