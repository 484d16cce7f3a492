"""The whole evaluation: which trials are run, and the report that comes of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...errors import RunError
from ...tasks.tables import Table
from .evaluated_model import EvaluatedModel
from .evaluation import Evaluation
from .footage import Footage
from .one_card import DEPTHS, FEWER_DEPTHS, among_options, by_depth, every_family
from .several_cards import several_cards

FONTS = ("held-out", "training")
_LONG, _VERY_LONG = 1024, 2048  # frames
_SHORT_OPTIONS = 128
_LONG_OPTIONS_SHARE = 4  # of the trials with few frames, one in so many is made with 1024


@dataclass(frozen=True)
class Settings:
    """How much is asked.

    Args:
        trials: videos of each kind of card, of each number of cards and of each kind of option; 0 leaves them out.
        long: videos of 1024 frames for each kind of card; each is asked about at five depths.
        very_long: videos of 2048 frames for each kind of card; at three depths.
        stretches: of single clips, without any card.
        fonts: one of `FONTS`: in which words and numbers are written; held-out ones have another style of plate, too.
        ratio: visual tokens per VST.
        seed: of everything.
    """

    trials: int = 40
    long: int = 10
    very_long: int = 2
    stretches: int = 120
    fonts: str = FONTS[0]
    ratio: int = 16
    seed: int = 1

    def __post_init__(self) -> None:
        if self.fonts not in FONTS:
            raise RunError(f"fonts {self.fonts!r}", f"Give one of {', '.join(FONTS)}.")
        if min(self.trials, self.long, self.very_long, self.stretches) < 0:
            raise RunError("fewer than no trials", "Give 0 or more.")


def evaluate(
    subject: EvaluatedModel,
    clips: Sequence[np.ndarray],
    settings: Settings,
    on_progress: Callable[[str], None] = lambda text: None,
) -> Iterator[Table]:
    """Yield the tables of an evaluation, as they are done.

    Args:
        subject: who is examined.
        clips: the haystack, uint8 [t, h, w, 3] each.
        settings: how much is asked.
        on_progress: is told what is being done.

    Raises:
        RunError: there is no clip.
    """
    if not clips:
        raise RunError("no clip to put cards into", "Give a folder that holds videos.")
    on_progress(f"encoding {sum(map(len, clips))} frames of {len(clips)} clips")
    footage = Footage(clips, subject)
    held_out = settings.fonts == FONTS[0]

    def exam(part: int) -> Evaluation:
        # A generator for each part: leaving one out does not change the others.
        return Evaluation(subject, footage, np.random.default_rng((settings.seed, part)), held_out, on_progress)

    if settings.trials:
        yield every_family(exam(0), settings.trials)
    if settings.trials or settings.stretches:
        tables = several_cards(exam(1), settings.trials, settings.stretches)
        yield from (tables.describe, tables.asked, tables.yes)
    if settings.trials:
        yield among_options(exam(2), settings.trials, _SHORT_OPTIONS)
        yield among_options(exam(3), max(1, settings.trials // _LONG_OPTIONS_SHARE), _LONG)
    if settings.long:
        yield by_depth(exam(4), settings.long, _LONG, DEPTHS)
    if settings.very_long:
        yield by_depth(exam(5), settings.very_long, _VERY_LONG, FEWER_DEPTHS)


def as_json(tables: Sequence[Table], settings: Settings, about: dict[str, Any]) -> dict[str, Any]:
    """Return the report for JSON: what was examined, how much was asked, and the counts."""
    return {**about, "settings": asdict(settings), "tables": [table.as_dict() for table in tables]}
