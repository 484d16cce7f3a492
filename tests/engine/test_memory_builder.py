"""Building a memory: plans, frames from anywhere, forks, and going on from a memory."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_models import language_config, video_xl
from video_clips import write_numbered

from videoxl import Video, VideoXL
from videoxl.engine import memory_builder as module
from videoxl.engine.memory_builder import MemoryBuilder, build_memory
from videoxl.errors import BudgetError, MemoryFileError
from videoxl.memory.value import VisualMemory
from videoxl.planning.windows import RatioPolicy
from videoxl.video.reader import FrameChunk
from videoxl.video.sources import FrameArray, SourceWithInsertions


@pytest.fixture(scope="module")
def model() -> VideoXL:
    return video_xl()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 40, 48, 3), dtype=np.uint8)


def same(ours: VisualMemory, golden: VisualMemory, atol: float = 0.0) -> None:
    assert (ours.ratios, ours.window_vsts, ours.prefix_ids) == (golden.ratios, golden.window_vsts, golden.prefix_ids)
    assert (ours.num_visual_tokens, ours.num_frames) == (golden.num_visual_tokens, golden.num_frames)
    for pair, expected in zip(ours.layers, golden.layers, strict=True):
        torch.testing.assert_close(pair, expected, atol=atol, rtol=0)
    for array, expected in ((ours.spans, golden.spans), (ours.frame_times, golden.frame_times)):
        np.testing.assert_array_equal(array, expected)


def test_an_array_is_watched_as_its_tokens_are_condensed(model: VideoXL, frames: np.ndarray) -> None:
    memory = model.memorize(frames, fps=None, ratio=4)
    expected = model.condense(model.encode_frames(frames), ratio=4, times=np.arange(50.0))
    same(memory, dataclasses.replace(expected, frame_times=np.arange(50.0)), atol=1e-4)


def test_a_frame_put_into_a_file(model: VideoXL, frames: np.ndarray, tmp_path) -> None:
    video = Video(write_numbered(tmp_path / "clip.mp4", 40, fps=10))
    memory = model.memorize(SourceWithInsertions(video, [frames[0]], [17]), fps=None, ratio=8)
    plain = model.memorize(video, fps=None, ratio=8)
    assert (memory.num_frames, plain.num_frames) == (41, 40)
    # A window is 8 frames, 4 VSTs: the needle is in the third.
    before = len(memory.prefix_ids) + 8
    for (keys, _), (golden, _) in zip(memory.layers, plain.layers, strict=True):
        torch.testing.assert_close(keys[:, :before], golden[:, :before], atol=1e-4, rtol=0)
    # In the first layer, all that tells VSTs apart is their place.
    assert (keys[:, before : before + 4] - golden[:, before : before + 4]).abs().max() > 1e-2


def test_a_plan_says_what_watching_it_takes(model: VideoXL, frames: np.ndarray) -> None:
    source = FrameArray(frames)
    plan = model.plan(source, fps=None, ratio=8)
    memory = model.memorize(plan)
    assert memory.length == plan.requirement.slots and len(plan) == memory.num_frames == 50
    assert plan == model.plan(source, fps=None, ratio=8) and len({plan, model.plan(source, fps=None, ratio=8)}) == 1
    for change in ({"ratio": 4}, {"max_frames": 49}, {"start": 1.0}):
        assert plan != model.plan(source, **{"fps": None, "ratio": 8} | change)


def test_a_plan_for_a_smaller_device_has_a_larger_ratio_if_that_was_left_open(
    model: VideoXL, frames: np.ndarray
) -> None:
    plan = model.plan(frames, fps=None, reserved_slots=64)
    assert plan.policy.ratios == (2,) and plan.within(plan.requirement.positions) == plan
    smaller = plan.within(plan.requirement.positions - 1)
    assert smaller.policy.ratios == (4,) and smaller.frames is plan.frames
    with pytest.raises(BudgetError, match="slots of memory"):
        model.plan(frames, fps=None, ratio=2, reserved_slots=64).within(plan.requirement.positions - 1)


def test_what_fits_is_asked_again_when_the_device_is_known(model: VideoXL, frames: np.ndarray, monkeypatch) -> None:
    plan = model.plan(frames, fps=None)
    monkeypatch.setattr(model, "free_slots", lambda: plan.requirement.positions - 1)
    assert set(model.memorize(plan).ratios) == {4}
    monkeypatch.setattr(model, "free_slots", lambda: 10)
    stream = plan.open()
    closed = []
    stream.__class__.__exit__, before = lambda self, *_: closed.append(self), stream.__class__.__exit__
    try:
        with pytest.raises(BudgetError):
            model.memorize_plan(plan, stream=stream)
    finally:
        stream.__class__.__exit__ = before
    assert closed == [stream]


def begin(model: VideoXL, policy: RatioPolicy) -> MemoryBuilder:
    return MemoryBuilder(model.language, policy, 32, 400, (5, 6, 7), model.fingerprint)


POLICIES = [RatioPolicy((8,)), RatioPolicy((5,), cover=False), RatioPolicy((2, 4, 8), "step-random")]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.mix + str(policy.ratios))
@pytest.mark.parametrize("split", [16, 19])  # frames: at the boundary of a window, and within one
def test_a_fork_goes_on_by_itself(model: VideoXL, policy: RatioPolicy, split: int) -> None:
    tokens, times = torch.randn(40, 4, 32), np.arange(40.0)
    whole = begin(model, policy)
    whole.feed(tokens, times)
    parent = begin(model, policy)
    parent.feed(tokens[:split], times[:split])
    fork = parent.fork()
    fork.feed(torch.randn(9, 4, 32), np.full(9, 99.0))
    fork.finish()
    second = parent.fork()
    second.feed(tokens[split:], times[split:])
    parent.feed(tokens[split:], times[split:])
    expected = whole.finish()
    same(parent.finish(), expected)
    same(second.finish(), expected)


def test_going_on_from_a_memory_equals_never_having_stopped(model: VideoXL, frames: np.ndarray) -> None:
    first, rest = FrameArray(frames[:16], np.arange(16.0)), FrameArray(frames[16:], np.arange(16.0, 50.0))
    memory = model.memorize(first, fps=None, ratio=4)
    kept = [keys.clone() for keys, _ in memory.layers]
    plan = model.plan(rest, fps=None, ratio=4)
    watching = model.memory_builder(plan, memory)
    with plan.open() as stream:
        for chunk in stream:
            watching.feed(model.encode_frames(chunk.frames), chunk.times)
    same(watching.finish(), model.memorize(frames, fps=None, ratio=4), atol=1e-4)
    for (keys, _), before in zip(memory.layers, kept, strict=True):
        assert torch.equal(keys, before)
    with pytest.raises(MemoryFileError):
        model.memory_builder(plan, dataclasses.replace(memory, fingerprint="other"))


def test_all_cores_work_once_the_decoder_is_ahead(model: VideoXL, frames: np.ndarray, monkeypatch) -> None:
    """A core is left to the decoder while we wait for it, and not after its last frame."""
    reserved = []

    def threads(device: torch.device, reserve: int = 0) -> object:
        reserved.append(reserve)
        return torch.no_grad()

    class Stream:
        ahead = iter([False, True, True])
        warnings = ()

        def __init__(self) -> None:
            self.chunks = iter([FrameChunk(frames[i : i + 1], np.array([float(i)]), np.array([i])) for i in range(3)])

        def __next__(self) -> FrameChunk:
            return next(self.chunks)

        def __enter__(self) -> "Stream":
            return self

        def __exit__(self, *_: object) -> None: ...

        @property
        def is_ahead(self) -> bool:
            return next(self.ahead)

    monkeypatch.setattr(module, "cpu_threads", threads)
    watching = begin(model, RatioPolicy((4,)))
    build_memory(Stream(), model.encode_frames, watching, 3, torch.device("cpu"))
    assert reserved == [1, 0, 0, 0]


def test_a_reader_that_has_handed_out_everything_is_ahead(tmp_path) -> None:
    video = Video(write_numbered(tmp_path / "clip.mp4", 20, fps=10))
    with video.read(video.sample(), chunk=8) as reader:
        assert not reader.is_ahead  # the child has not even started
        for _ in range(3):
            next(reader)
        assert reader.is_ahead and reader.warnings == ()


def test_going_on_from_a_memory_is_bounded_by_the_model_s_positions(frames: np.ndarray) -> None:
    small = video_xl(language=language_config(max_position_embeddings=700))
    memory = small.memorize(frames, fps=None, ratio=2, max_frames=40)
    plan = small.plan(frames, fps=None, ratio=2)
    with pytest.raises(BudgetError, match="tiny has 700"):
        for _ in range(8):
            watching = small.watching(plan, memory)
            watching.feed(small.encode_frames(frames), np.arange(50.0))
            memory = watching.finish()


def test_a_finished_watching_takes_no_more(model: VideoXL) -> None:
    watching = begin(model, RatioPolicy((4,)))
    watching.feed(torch.randn(5, 4, 32))
    memory = watching.finish()
    before = memory.layers[1][0].clone()
    with pytest.raises(RuntimeError, match="finished"):
        watching.feed(torch.randn(5, 4, 32))
    with pytest.raises(RuntimeError, match="finished"):
        watching.finish()
    assert torch.equal(memory.layers[1][0], before)


def test_a_plan_has_its_options_and_its_model(model: VideoXL, frames: np.ndarray) -> None:
    plan = model.plan(frames)
    with pytest.raises(TypeError, match="options already"):
        model.memorize(plan, ratio=16)
    other = video_xl(window=64)
    with pytest.raises(ValueError, match="another model"):
        other.memorize(plan)
