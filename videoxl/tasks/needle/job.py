"""The work of one cell: all trials of a haystack, length and depth."""

import time
from dataclasses import dataclass
from typing import Any

from ...model import VideoXL
from ...runs.context import ItemContext
from ...runs.job import Item, Worker
from ..time_limits import timeout_seconds
from .haystack_memories import HaystackMemories, Work
from .haystacks import Haystack, open_haystacks
from .needles import Needle, load_needles
from .settings import RESERVED_SLOTS, NeedleSettings, max_needles
from .trials import trials


@dataclass(frozen=True)
class NeedleJob:
    """Makes workers for a needle run.

    Args:
        settings: of the run.
    """

    settings: NeedleSettings

    def setup(self, device: str) -> Worker:
        """Load the model on a device and return the function that processes a cell."""
        settings = self.settings
        model = VideoXL.from_pretrained(settings.model, device, settings.dtype)
        haystacks = open_haystacks(settings.haystack, settings.rules().one_a_second, settings.video_stream)
        return CellWorker(model, settings, load_needles(settings.needles), haystacks)


class CellWorker:
    """Processes cells; cheapest in the order of `items`.

    Args:
        model: answers the questions.
        settings: of the run.
        needles: of the run.
        haystacks: of the run.
    """

    def __init__(
        self,
        model: VideoXL,
        settings: NeedleSettings,
        needles: tuple[Needle, ...],
        haystacks: tuple[Haystack, ...],
    ) -> None:
        self._model, self._settings, self._needles = model, settings, needles
        self._haystacks = {haystack.name: haystack for haystack in haystacks}
        self._memories = HaystackMemories(model, settings.ratio, RESERVED_SLOTS, max_needles(settings, needles))

    def __call__(self, item: Item, context: ItemContext) -> list[dict[str, Any]]:
        """Return a row for every question of a cell; docs/needle.md describes the fields."""
        settings, rules = self._settings, self._settings.rules()
        haystack, length, depth = (item.data[name] for name in ("haystack", "length", "depth"))
        rows = []
        # Videos whose first needle comes later share more with the videos before them.
        cell_trials = trials(self._needles, settings.trial_options, length, depth)
        num_frames = sum(length + len(trial.shown) for trial in cell_trials)
        duration = float(self._haystacks[haystack].frames(length).times[-1])
        context.set_timeout(timeout_seconds(self._model, num_frames, duration))
        for number, trial in enumerate(sorted(cell_trials, key=lambda trial: trial.positions[0])):
            context.report(number, len(cell_trials), "trials")
            began, work = time.perf_counter(), Work()
            memory = self._memories.memorize(self._haystacks[haystack], length, trial.shown, trial.positions, work)
            for needle in trial.questions:
                response = rules.ask(self._model, memory, needle, rotated=settings.task != "retrieval")
                rows.append(
                    {
                        "length": length,
                        "depth": depth,
                        "trial": trial.number,
                        "needle": needle.name,
                        "question": response.question,
                        "response": response.response,
                        "answer": needle.answer,
                        "score": response.score,
                        "seconds": round(time.perf_counter() - began, 4),
                        "slots": memory.length,
                        "haystack": haystack,
                        "shown": [shown.name for shown in trial.shown],
                        "places": list(trial.positions),
                        "frames": length + len(trial.shown),
                        "encoded": work.encoded,
                        "condensed": work.condensed,
                    }
                )
                began, work = time.perf_counter(), Work()
        return sorted(rows, key=lambda row: row["trial"])
