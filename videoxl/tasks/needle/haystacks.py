"""Haystacks: long videos that needles are inserted into."""

from dataclasses import dataclass
from pathlib import Path

from ...errors import RunError, VideoError
from ...files import local_path
from ...video.checks import looks_like_video
from ...video.identity import content_digest
from ...video.sampling import SamplingPlan
from ...video.sources import FrameSource
from ...video.video import Video
from .synthetic import Synthetic

SYNTHETIC = "synthetic"


@dataclass(frozen=True, eq=False)
class Haystack:
    """A long video without needles.

    Args:
        name: its name in results.
        source: its frames.
        one_a_second: frames are taken from the start, one per second of video; otherwise evenly from the whole video.
        content: digest that identifies it, whatever its name.
    """

    name: str
    source: FrameSource
    one_a_second: bool
    content: str

    def frames(self, length: int) -> SamplingPlan:
        """Return `length` of its frames.

        Raises:
            RunError: it has fewer frames.
        """
        if isinstance(self.source, Synthetic):
            return self.source.sample(length, None, None, None, "uniform")
        if self.one_a_second:
            plan = self.source.sample(1 << 31, 1.0, None, None, "uniform")
            plan = SamplingPlan(plan.indices[:length], plan.times[:length], plan.mode)
        else:
            plan = self.source.sample(length, None, None, None, "uniform")
        if len(plan) < length:
            unit = "frames at one a second" if self.one_a_second else "different frames"
            raise RunError(
                f"{self.name}: this haystack has {len(plan)} {unit}, too few for a length of {length}",
                "Give a longer video or shorter lengths, or use --haystack synthetic:0, which is endless.",
            )
        return plan


def open_haystacks(text: str, one_a_second: bool, stream: int | None = None) -> tuple[Haystack, ...]:
    """Return the haystacks that a text names: a video, a folder of videos, or "synthetic:SEED".

    Files in a folder that are not videos are skipped.

    Args:
        text: see above.
        one_a_second: see `Haystack`.
        stream: index of the video stream that is read of files; None for FFmpeg's choice.

    Raises:
        RunError: there is no haystack, or a video in the folder cannot be read.
        VideoError: the video cannot be read.
    """
    kind, _, seed = text.partition(":")
    if kind == SYNTHETIC:
        if stream is not None:
            raise RunError(f"{text}: has no video stream {stream}", "Leave out --video-stream, or give a video.")
        if seed and not (seed.isascii() and seed.isdecimal()):
            raise RunError(f"{text}: the seed {seed!r} is not a whole number", "Write, for example, synthetic:7.")
        return (Haystack(text, Synthetic(int(seed or 0)), one_a_second, text),)
    if not text:
        raise RunError("no haystack is given", "Give a video, a folder with videos, or synthetic:SEED.")
    path = Path(local_path(text))
    if not path.is_dir():
        return (_open_file(path, one_a_second, stream),)
    haystacks = []
    for file in sorted(path.iterdir()):
        if file.is_file():
            try:
                haystacks.append(_open_file(file, one_a_second, stream))
            except VideoError as error:
                if looks_like_video(file):  # else results would silently be of fewer haystacks
                    raise RunError(str(error), "Remove it from the folder, or repair it.") from error
    if not haystacks:
        raise RunError(f"{text}: no video in this folder", "Give a video, or a folder with videos.")
    return tuple(haystacks)


def _open_file(path: Path, one_a_second: bool, stream: int | None) -> Haystack:
    video = Video(path, stream=stream)
    content = content_digest(path)
    return Haystack(path.name, video, one_a_second, content if stream is None else f"{content}:{stream}")
