"""The settings of a needle run and its items, checked before a model is loaded."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...checkpoints.hub import checkpoint_folder
from ...errors import RunError
from ...options import AnswerOptions, MemoryOptions
from ...preview import Preview
from ...runs.job import Item
from ...video.sources import FrameArray
from .haystacks import SYNTHETIC, Haystack, open_haystacks
from .needles import BUNDLED, Needle, load_needles
from .protocols import MAX_TOKENS, PROTOCOLS, Protocol, with_options
from .trials import TASKS, TrialOptions, trials

RESERVED_SLOTS = 512  # for a question with its options, and the answer
LENGTHS = tuple(range(128, 1025, 128))
_MAX_LENGTH = 1_000_000
DEPTHS = (0.0, 25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True)
class NeedleSettings:
    """A needle run. Two runs with the same settings and the same model give the same results.

    Args:
        model: a name, folder or hub id.
        haystack: a video, a folder of videos, or "synthetic:SEED".
        needles: a needle file (see `load_needles`), or "bundled".
        lengths: frames of the haystack.
        depths: per cent of the haystack before the (first) needle.
        ratio: visual tokens per VST.
        protocol: one of `PROTOCOLS`: how questions are asked and scored.
        task: one of `TASKS`.
        per_video: needles in a video, all of which are asked about.
        distractors: other needles in a video.
        seed: of the random choices.
        dtype: of the weights.
        video_stream: index of the video stream of the haystack's files; None for FFmpeg's choice.
    """

    model: str = "videoxl-nano"
    haystack: str = f"{SYNTHETIC}:0"
    needles: str = BUNDLED
    lengths: tuple[int, ...] = LENGTHS
    depths: tuple[float, ...] = DEPTHS
    ratio: int = 16
    protocol: str = "free"
    task: str = "retrieval"
    per_video: int = 1
    distractors: int = 0
    seed: int = 0
    dtype: str = "auto"
    video_stream: int | None = None

    def __post_init__(self) -> None:
        for wrong, problem, advice in (
            (self.protocol not in PROTOCOLS, f"protocol {self.protocol!r}", f"Give one of {', '.join(PROTOCOLS)}."),
            (self.task not in TASKS, f"task {self.task!r}", f"Give one of {', '.join(TASKS)}."),
            (not self.lengths or min(self.lengths, default=0) < 1, "a length below 1", "Give frames, such as 128,256."),
            (not self.depths, "no depth", "Give per cents, such as 0,50,100."),
            (max(self.lengths, default=0) > _MAX_LENGTH, f"lengths above {_MAX_LENGTH}", "Give fewer frames."),
            (len({*self.lengths}) < len(self.lengths), "a length twice", "Give each length once."),
            (len({*self.depths}) < len(self.depths), "a depth twice", "Give each depth once."),
            (self.seed < 0, f"seed {self.seed}", "Give 0 or more."),
            (any(not 0 <= depth <= 100 for depth in self.depths), f"depths {_joined(self.depths)}",
             "Give per cents from 0 to 100."),
            (self.per_video < 1, f"{self.per_video} needles per video", "Give at least 1."),
            (self.distractors < 0, f"{self.distractors} distractors", "Give 0 or more."),
            (self.task != "retrieval" and self.per_video + self.distractors > 1,
             f"needles per video and distractors with the task {self.task}", "Use them with retrieval only."),
        ):  # fmt: skip
            if wrong:
                raise RunError(problem, advice)

    @property
    def trial_options(self) -> TrialOptions:
        """The options of the trials."""
        return TrialOptions(self.task, self.per_video, self.distractors, self.seed)

    def rules(self) -> Protocol:
        """Return the protocol."""
        return PROTOCOLS[self.protocol]

    def as_dict(self) -> dict[str, Any]:
        """Return the settings for JSON, with the names of files without their folders."""
        names = {name: Path(getattr(self, name)).name for name in ("model", "haystack", "needles")}
        return asdict(self) | names


def max_needles(settings: NeedleSettings, needles: Sequence[Needle]) -> int:
    """Return the largest number of needles in a video of the run."""
    first_cell = trials(needles, settings.trial_options, settings.lengths[0], settings.depths[0])
    return max(len(trial.shown) for trial in first_cell)


def prepare(settings: NeedleSettings) -> tuple[tuple[Needle, ...], tuple[Haystack, ...], list[Item]]:
    """Return needles, haystacks and the items of a run: one item for each haystack, length and depth.

    Raises:
        RunError: a file is missing or wrong, a haystack is too short, or the needles do not fit the task.
        VideoError: the haystack is not a video that can be read.
        BudgetError: the model has no such ratio, or the longest video does not fit its positions.
        CheckpointError: there is no such model.
    """
    rules = settings.rules()
    needles = load_needles(settings.needles)
    questions = [
        needle
        for trial in trials(needles, settings.trial_options, max(settings.lengths), settings.depths[0])
        for needle in trial.questions
    ]
    for needle in questions:
        rules.check(needle)
    haystacks = open_haystacks(settings.haystack, rules.one_a_second, settings.video_stream)
    for haystack in haystacks:
        for length in settings.lengths:
            haystack.frames(length)
    longest = max(settings.lengths) + max_needles(settings, needles)
    blank = FrameArray(np.empty((longest, 1, 1, 3), np.uint8))  # only the number of frames matters
    options = MemoryOptions(max_frames=longest, fps=None, ratio=settings.ratio)
    preview = Preview(checkpoint_folder(settings.model))
    preview.plan(blank, options, RESERVED_SLOTS)
    num_slots = preview.reserved_slots([with_options(needle) for needle in questions], AnswerOptions(MAX_TOKENS))
    if num_slots > RESERVED_SLOTS:
        raise RunError(
            "a question with its options is too long", f"Keep it under {RESERVED_SLOTS - MAX_TOKENS} tokens."
        )
    return needles, haystacks, items(settings, [haystack.name for haystack in haystacks])


def items(settings: NeedleSettings, haystacks: Sequence[str]) -> list[Item]:
    """Return the items of a run, ordered so that neighbours share as many frames as possible."""
    return [
        Item(f"{haystack}|{length}|{depth}", {"haystack": haystack, "length": length, "depth": depth})
        for haystack in haystacks
        for length in settings.lengths
        for depth in sorted(settings.depths)
    ]


def check_folder(folder: Path) -> None:
    """Raise RunError if results cannot be written to a folder; it is created if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(f"{folder}: cannot be written to ({error.strerror})", "Choose another folder: --out.") from None


def _joined(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
