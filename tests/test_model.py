"""The whole model on a small video file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import checkpoint, video_xl
from video_clips import write_numbered

import videoxl
from videoxl import Video, VideoXL
from videoxl.checkpoints.loading import save_checkpoint
from videoxl.errors import BudgetError, VideoError
from videoxl.network.devices import cpu_threads, within_memory
from videoxl.network.preprocessing import preprocess
from videoxl.planning.budget import DEFAULT_RESERVED_SLOTS


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_numbered(tmp_path_factory.mktemp("clip") / "clip.mp4", 100, fps=10)


@pytest.fixture(scope="module")
def model():
    return video_xl()


def test_watch_equals_encoding_and_condensing_at_once(model, clip):
    seen = []
    watched = model.memorize_plan(model.plan(clip, max_frames=80, fps=None, ratio=4), seen.append)
    memory = watched.memory
    video = Video(clip)
    plan = video.sample(max_frames=80)
    frames = np.concatenate([chunk.frames for chunk in video.read(plan, size=64)])
    expected = model.condense(model.encode_frames(frames), ratio=4, times=plan.times)
    for ours, golden in zip(memory.layers, expected.layers, strict=True):
        torch.testing.assert_close(ours, golden, atol=1e-4, rtol=1e-4)
    assert memory.num_frames == expected.num_frames == 80
    assert memory.num_visual_tokens == 320 and memory.num_vst == 80
    assert memory.ratios == (4,) * 10 and memory.window_vsts == (8,) * 10
    np.testing.assert_allclose(memory.spans, expected.spans)
    np.testing.assert_allclose(memory.spans[:, 0], plan.times)
    assert [progress.frames_done for progress in seen] == [32, 64, 80]
    assert {progress.frames_total for progress in seen} == {80}
    np.testing.assert_allclose(memory.frame_times, plan.times)
    assert set(watched.timings) == {"decode", "encode", "condense"} and min(watched.timings.values()) > 0
    assert watched.warnings == ()


def test_memory_holds_prefix_and_vsts_only(model, clip):
    memory = model.memorize(clip, max_frames=50, fps=None, ratio=8)
    assert memory.length == len(memory.prefix_ids) + 25
    assert len(memory.layers) == 2
    for keys, values in memory.layers:
        assert keys.shape == values.shape == (2, memory.length, 8)
    reserved_slots = DEFAULT_RESERVED_SLOTS  # behind the memory, for a question
    assert memory.num_bytes == (memory.length + reserved_slots) * 2 * 2 * 2 * 8 * 4


def test_ask_about_a_file(model, clip):
    memory = model.memorize(clip, start=2.0, end=5.0, fps=2.0)
    assert memory.num_frames == 6 and memory.spans[0, 0] == 2.0 and memory.spans[-1, 1] < 5.0
    assert isinstance(model.ask(memory, "What number?", max_new_tokens=5).text, str)


def test_shorter_than_the_ratio_is_still_summarised(model, clip):
    memory = model.memorize(clip, max_frames=1, ratio=16)
    assert memory.num_vst == 1 and memory.spans.tolist() == [[0.0, 0.0]]
    other = model.condense(torch.randn(1, 4, 32), ratio=16)
    assert (model.next_logits(memory, [5]) != model.next_logits(other, [5])).any()


@pytest.mark.parametrize(("options", "error"), [({"ratio": 3}, BudgetError), ({"start": 4, "end": 2}, VideoError)])
def test_errors_come_before_any_work(model, clip, monkeypatch, options, error):
    monkeypatch.setattr(Video, "read", lambda *args: pytest.fail("decoding began"))
    monkeypatch.setattr(model.language, "forward", lambda *args: pytest.fail("the model ran"))
    with pytest.raises(error):
        model.memorize(clip, **options)


def test_too_many_slots(model):
    with pytest.raises(BudgetError, match="tiny has 2048") as caught:
        model.condense(torch.zeros(10_000, 4, 32), ratio=16)
    assert "at most" in caught.value.advice


def test_from_pretrained(tmp_path, clip):
    save_checkpoint(checkpoint(), tmp_path / "model", torch.float32)
    loaded = VideoXL.from_pretrained(tmp_path / "model", device="cpu")
    ours, again = (m.memorize(clip, max_frames=20, fps=None) for m in (video_xl(), loaded))
    torch.testing.assert_close(ours.layers[1], again.layers[1])
    assert again.fingerprint == loaded.fingerprint != ""
    assert str(loaded.device) == "cpu" and loaded.dtype == torch.float32


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs(tmp_path, clip, dtype):
    save_checkpoint(checkpoint(), tmp_path / "model")
    model = VideoXL.from_pretrained(tmp_path / "model", device="cpu", dtype=dtype)
    memory = model.memorize(clip, max_frames=20, fps=None, ratio=4)
    assert str(memory.layers[0][0].dtype) == f"torch.{dtype}"
    assert model.next_logits(memory, [5]).isfinite().all()
    assert model.condense(torch.randn(3, 4, 32), ratio=4).layers[0][0].dtype == model.dtype


def test_times_of_frames_or_of_tokens(model):
    tokens = torch.randn(3, 4, 32)
    by_frame = model.condense(tokens, ratio=4, times=[0.0, 1.0, 2.0])
    assert by_frame.spans.tolist() == [[0, 0], [1, 1], [2, 2]]
    by_token = model.condense(tokens, ratio=4, times=np.arange(12.0))
    assert by_token.spans.tolist() == [[0, 3], [4, 7], [8, 11]]
    assert model.condense(tokens[:0], ratio=4, times=[]).spans.shape == (0, 2)
    with pytest.raises(ValueError, match="5 times for 3 frames or 12 visual tokens"):
        model.condense(tokens, ratio=4, times=np.arange(5.0))


def test_no_frames():
    model = video_xl()
    assert model.encode_frames(np.zeros((0, 40, 40, 3), np.uint8)).shape == (0, 4, 32)


def test_gradients_are_not_left_off(model, clip):
    stream = model.answer(model.memorize(clip, max_frames=4), "What?", max_new_tokens=3)
    next(stream)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_threads_are_put_back(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(64)
        with cpu_threads(torch.device("cpu"), reserve=1):
            assert torch.get_num_threads() < 64
        assert torch.get_num_threads() == 64
        with cpu_threads(torch.device("meta")):
            assert torch.get_num_threads() == 64
    finally:
        torch.set_num_threads(before)


def test_importing_the_package_is_light():
    code = "import sys, videoxl; videoxl.VideoError; print('torch' in sys.modules, videoxl.__version__)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert run.stdout.split() == ["False", videoxl.__version__]


def test_public_names_exist():
    for name in videoxl.__all__:
        assert getattr(videoxl, name) is not None
    with pytest.raises(AttributeError, match="Viedo"):
        videoxl.Viedo  # noqa: B018


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to ..."),
]


@pytest.mark.parametrize("error", FULL, ids=["gpu", "cpu"])
@pytest.mark.parametrize("part", ["vision", "language"])
def test_a_device_that_runs_out_of_memory_is_no_bug(clip, monkeypatch, part, error):
    def full(*args, **kwargs):
        raise error

    small = video_xl()
    memory = small.memorize(clip, max_frames=4)
    monkeypatch.setattr(getattr(small, part), "forward", full)
    with pytest.raises(BudgetError, match="the memory of this machine ran out"):
        small.memorize(clip, max_frames=4)
    if part == "language":
        with pytest.raises(BudgetError, match="the memory of this machine ran out"):
            small.ask(memory, "What is shown?")


def test_memory_errors_of_a_gpu_point_to_the_cpu_and_others_pass():
    with (
        pytest.raises(BudgetError, match="the memory of cuda:1 ran out") as caught,
        within_memory(torch.device("cuda:1")),
    ):
        raise FULL[0]
    assert "--device cpu" in caught.value.advice
    with pytest.raises(RuntimeError, match="shapes"), within_memory(torch.device("cpu")):
        raise RuntimeError("shapes do not match")


def test_features_are_those_of_the_tower_for_every_frame_in_order(model):
    frames = np.random.default_rng(5).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []
    model.memorize_plan(model.plan(frames, fps=None), on_features=seen.append)
    expected = [model.vision.features(preprocess(frame[None], model.config.preprocessing)) for frame in frames]
    torch.testing.assert_close(torch.cat(seen), torch.cat(expected), rtol=1e-4, atol=1e-4)
