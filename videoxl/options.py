"""Options of memorizing and answering: the only definition of defaults, for Python, commands and settings."""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from .errors import BudgetError, QuestionError, VideoError

Mode = Literal["uniform", "keyframes", "fixed-rate"]
Ratio = int | Literal["auto"]
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class MemoryOptions:
    """Which frames of a video are read, and how hard they are condensed.

    Args:
        max_frames: the largest number of frames to read.
        fps: the largest number of frames per second of video; None for no limit.
        ratio: visual tokens per VST, one of the model's; "auto" is the smallest that fits.
        start: seconds; the part before is left out.
        end: seconds; the part from there on is left out.
        mode: "uniform"; "keyframes", which is many times faster on long files; or "fixed-rate", whose frames stay the
            same as a file grows.
        video_stream: index of the stream that is read of a file with several; None for FFmpeg's choice.

    Raises:
        BudgetError: the ratio is not valid.
        VideoError: the mode is not known.
    """

    max_frames: int = 1024
    fps: float | None = 1.0
    ratio: Ratio = "auto"
    start: float | None = None
    end: float | None = None
    mode: Mode = "uniform"
    video_stream: int | None = None

    def __post_init__(self) -> None:
        if self.ratio != "auto" and not (isinstance(self.ratio, int) and self.ratio > 0):
            raise BudgetError(f"ratio {self.ratio!r} is not valid", "Use auto, or a whole number above 0.")
        check_mode(self.mode)


@dataclass(frozen=True)
class ChapterOptions:
    """Where a video is cut into chapters.

    Args:
        sharpness: standard deviations above the mean by which a change must exceed it; less gives more chapters.
        min_depth: a change must also be at least so deep, of up to 4, so that a continuous scene is one chapter.
        min_seconds: the shortest chapter, unless the whole video is shorter.
        brief_seconds: what is shown no longer than this and then disappears does not begin a chapter.
        max_chapters: the largest number of chapters; the clearest boundaries are kept.
    """

    sharpness: float = 1.0
    min_depth: float = 0.3
    min_seconds: float = 10.0
    brief_seconds: float = 3.0
    max_chapters: int = 40


@dataclass(frozen=True)
class SpanOptions:
    """How time spans that match a description are found in a video.

    Args:
        part_seconds: chapters are judged in parts that are no longer, so that what is short can be found.
        part_frames: unless they would have fewer frames.
        min_spread: how far the surest yes must be above the usual answer, in log-probability, for answers to differ.
        max_spans: the largest number of spans; the surest are kept.
    """

    part_seconds: float = 15.0
    part_frames: int = 4
    min_spread: float = 2.0
    max_spans: int = 20


@dataclass(frozen=True)
class AnswerOptions:
    """How an answer is generated.

    Args:
        max_new_tokens: the largest number of tokens.
        temperature: 0 takes the likeliest token; above, tokens are drawn.
        top_k: draw from the k likeliest only; 0 is all.
        top_p: draw from the likeliest tokens that together have this probability.
        repetition_penalty: divides the score of tokens that occurred before; 1.0 has no effect, None is the model's.
        seed: of the draw; None draws differently each time.

    Raises:
        QuestionError: a value is out of range.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        penalty = self.repetition_penalty
        for wrong, problem in (
            (not _is_whole(self.max_new_tokens, 1), f"max_new_tokens {self.max_new_tokens}"),
            (not 0 <= self.temperature < math.inf, f"temperature {self.temperature}"),
            (not _is_whole(self.top_k, 0), f"top_k {self.top_k}"),
            (not 0 < self.top_p <= 1, f"top_p {self.top_p}"),
            (penalty is not None and not 0 < penalty < math.inf, f"repetition_penalty {penalty}"),
        ):
            if wrong:
                raise QuestionError(
                    f"{problem} is out of range",
                    "Give at least one token, a temperature and top_k of 0 or more, top_p above 0 and up to 1, "
                    "and a penalty above 0.",
                )


def check_mode(mode: str) -> None:
    """Raise VideoError if the sampling mode is not known."""
    if mode not in get_args(Mode):
        raise VideoError(f"sampling mode {mode!r} is not known", "Choose 'uniform', 'keyframes' or 'fixed-rate'.")


def _is_whole(value: object, minimum: int) -> bool:
    return isinstance(value, int) and value >= minimum


def parse_size(text: str) -> int:
    """Return bytes from "20GB", "1.5 TB" or "0".

    Raises:
        ValueError: it is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text.upper())
    if match is None:
        raise ValueError(f"{text!r} is not a size")
    return int(float(match[1]) * _UNITS[match[2]])
