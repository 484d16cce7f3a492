"""What a run of summaries depends on besides its videos: a folder keeps to one kind of device."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from videoxl.errors import RunError
from videoxl.options import AnswerOptions, MemoryOptions
from videoxl.runs.job import Job
from videoxl.tasks.summarize import batch
from videoxl.tasks.summarize.inputs import Source
from videoxl.tasks.summarize.job import SummaryJob
from videoxl.tasks.summarize.prompts import Prompts


class GpuCluster:
    """Has a GPU, on which no worker may be started."""

    def devices(self, max_workers: int) -> Sequence[str]:
        return ["cuda"] * max_workers

    def start_worker(self, job: Job, device: str) -> None:
        raise AssertionError("a worker was started")


def test_another_kind_of_device_or_revision_is_refused(
    model_folder: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = Prompts("What is shown?", "What is it about?")
    job = SummaryJob(model_folder, "tiny", prompts, watch=MemoryOptions(max_frames=4), answer=AnswerOptions(4))
    sources, out = [Source(str(clip), str(clip))], tmp_path / "out"
    assert batch.summarize(sources, out, job, device="cpu").done == 1
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert (settings["device"], settings["dtype"]) == ("cpu", "auto")
    assert batch.summarize(sources, out, job, device="cpu", workers=2).resumed == 1  # as many as you like
    with pytest.raises(RunError, match='device: "cpu" → "cuda"'):
        batch.summarize(sources, out, job, backend=GpuCluster())
    with pytest.raises(RunError, match="memory_revision: 1 → 2"):
        monkeypatch.setattr(batch, "MEMORY_REVISION", 2)
        batch.summarize(sources, out, job, device="cpu")
