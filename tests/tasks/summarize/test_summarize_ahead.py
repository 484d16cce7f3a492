"""A video that was opened while another one was described is summarised as ever."""

from pathlib import Path
from typing import Any

import pytest

from videoxl.errors import CheckpointError, VideoError
from videoxl.options import AnswerOptions, MemoryOptions
from videoxl.runs.context import ItemContext, ItemProgress, Prepare
from videoxl.tasks.summarize.inputs import Source
from videoxl.tasks.summarize.job import SummaryJob
from videoxl.tasks.summarize.prompts import Prompts


def ignore(amount: ItemProgress) -> None:
    pass


def test_opened_ahead(model_folder: Path, clip: Path) -> None:
    prompts = Prompts("What is shown?", "What is it about?")
    watch = MemoryOptions(max_frames=70, fps=None)  # more than two chunks
    worker = SummaryJob(model_folder, "tiny", prompts, watch=watch, answer=AnswerOptions(4)).setup("cpu")
    item = Source(str(clip), str(clip)).item
    prepare: list[Prepare] = []
    told: list[ItemProgress] = []
    allowed: list[float] = []
    first: Any = worker(item, ItemContext(told.append, prepare.append, set_timeout=allowed.append))
    opened = prepare[0](item)
    second: Any = worker(item, ItemContext(ignore, prepared=lambda: opened))
    times = [made.rows.pop("timings") for made in (first, second)]
    assert first == second and first.rows["frames"] == 70
    assert allowed[0] >= 1800 + 4 * 8  # it is 8 seconds long
    assert times[0]["ahead"] == 0 and times[1]["ahead"] >= times[1]["open"] > 0
    assert (told[0].done, told[0].total, told[0].what) == (0, 70, "frames")
    with pytest.raises(VideoError, match="no such file"):
        prepare[0](Source("gone", str(clip.with_name("gone.mp4"))).item)


def test_a_machine_with_other_weights_is_refused(model_folder: Path) -> None:
    job = SummaryJob(model_folder, "tiny", Prompts("What is shown?", "What is it about?"), weights="of another machine")
    with pytest.raises(CheckpointError, match="has other files on this machine"):
        job.setup("cpu")
