"""Where one of a few words is asked for, another word is an error, and never taken for one of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from videoxl import Video, VideoXL, VisualMemory
from videoxl.config import Preprocessing
from videoxl.errors import BudgetError, CheckpointError, MemoryFileError, QuestionError, RunError, VideoError
from videoxl.network.preprocessing import preprocess
from videoxl.options import MemoryOptions
from videoxl.planning.windows import RatioPolicy
from videoxl.tasks.needle.settings import NeedleSettings
from videoxl.tasks.needle.synthetic import Synthetic
from videoxl.tasks.needle.trials import TrialOptions
from videoxl.tasks.summarize.prompts import load_prompts

FRAMES = np.zeros((1, 8, 8, 3), np.uint8)
WRONG: dict[str, tuple[type[Exception], str, Callable[[Path, Path, Path], object]]] = {
    "file's dtype": (
        MemoryFileError, "float16", lambda clip, model, to: VisualMemory(layers=()).save(to / "m.vxm", dtype="float16"),
    ),
    "file's dtype, empty": (
        MemoryFileError, "''", lambda clip, model, to: VisualMemory(layers=()).save(to / "m.vxm", dtype=""),
    ),
    "model's dtype": (
        CheckpointError, "int8", lambda clip, model, to: VideoXL.from_pretrained(model, "cpu", dtype="int8"),
    ),
    "model's dtype, torch's": (
        CheckpointError, "int8", lambda clip, model, to: VideoXL.from_pretrained(model, "cpu", dtype=torch.int8),
    ),
    "device": (CheckpointError, "gpu", lambda clip, model, to: VideoXL.from_pretrained(model, device="gpu")),
    "decoder": (VideoError, "ffmpeg", lambda clip, model, to: Video(clip, decoder="ffmpeg")),
    "sampling": (VideoError, "keyframe", lambda clip, model, to: Video(clip).sample(mode="keyframe")),
    "sampling, option": (VideoError, "keyframe", lambda clip, model, to: MemoryOptions(mode="keyframe")),
    "sampling, synthetic": (
        VideoError, "keyframe", lambda clip, model, to: Synthetic(0).sample(4, None, None, None, "keyframe"),
    ),
    "ratio": (BudgetError, "8", lambda clip, model, to: MemoryOptions(ratio="8")),
    "mix of ratios": (BudgetError, "random", lambda clip, model, to: RatioPolicy((2, 4), "random")),
    "resize": (
        ValueError, "bicubic", lambda clip, model, to: preprocess(FRAMES, Preprocessing(4), resize="bicubic"),
    ),
    "needle task": (RunError, "count", lambda clip, model, to: TrialOptions(task="count")),
    "needle task of a run": (RunError, "count", lambda clip, model, to: NeedleSettings(task="count")),
    "protocol": (RunError, "xl", lambda clip, model, to: NeedleSettings(protocol="xl")),
    "task": (QuestionError, "anomaly", lambda clip, model, to: load_prompts("other", "anomaly")),
}  # fmt: skip


@pytest.mark.parametrize(("error", "value", "use"), WRONG.values(), ids=WRONG)
def test_another_word_is_an_error_that_names_it(
    error: type[Exception],
    value: str,
    use: Callable[[Path, Path, Path], object],
    clip: Path,
    model_folder: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=value):
        use(clip, model_folder, tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("dtype", [None, "int8"])
def test_what_a_memory_can_be_saved_as(tmp_path: Path, dtype: str | None) -> None:
    VisualMemory(layers=()).save(tmp_path / "m.vxm", dtype=dtype)
    assert (tmp_path / "m.vxm").is_file()
