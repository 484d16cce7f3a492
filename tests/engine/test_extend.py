"""A recording in progress: what continues a memory equals the memory of the whole."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import video_xl
from video_clips import write_numbered

from videoxl import Video, VideoXL, VisualMemory
from videoxl.errors import MemoryFileError
from videoxl.options import MemoryOptions

STEADY = MemoryOptions(mode="fixed-rate", fps=5.0, ratio=4)


@pytest.fixture(scope="module")
def model() -> VideoXL:
    return video_xl()  # a window is 8 frames


@pytest.fixture(scope="module", params=["ts", "mkv"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """16 seconds with 10 frames a second, with frames that refer to later ones; 80 of them are sampled."""
    path = tmp_path_factory.mktemp("whole") / f"clip.{request.param}"
    return write_numbered(path, 160, fps=10, g="20").read_bytes()


class Recording:
    """A file with the beginning of another's content."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content = path, content

    def grow(self, share: float) -> Video:
        self.path.write_bytes(self.content[: round(share * len(self.content))])
        return Video(self.path)


@pytest.fixture
def recording(whole: bytes, tmp_path: Path) -> Recording:
    return Recording(tmp_path / "recording", whole)


def check_same(ours: VisualMemory, golden: VisualMemory) -> None:
    """Keys and values may differ by rounding: frames are encoded in other batches."""
    for field in dataclasses.fields(VisualMemory):
        if field.name not in ("layers", "spans", "frame_times", "buffers"):
            assert getattr(ours, field.name) == getattr(golden, field.name), field.name
    np.testing.assert_array_equal(ours.spans, golden.spans)
    np.testing.assert_array_equal(ours.frame_times, golden.frame_times)
    for pair, expected in zip(ours.layers, golden.layers, strict=True):
        torch.testing.assert_close(pair, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shares", [(0.2,), (0.5,), (0.83,), (0.3, 0.6, 0.95)], ids=str)
def test_a_continued_memory_equals_that_of_the_whole(
    model: VideoXL, recording: Recording, shares: tuple[float, ...]
) -> None:
    memory = None
    for share in shares:
        memory = model.memorize(recording.grow(share), memory=memory, options=STEADY)
        check_same(memory, model.memorize(Video(recording.path), options=STEADY))
    kept = [keys.clone() for keys, _ in memory.layers]
    check_same(model.memorize(recording.grow(1.0), memory=memory), model.memorize(recording.path, options=STEADY))
    for (keys, _), before in zip(memory.layers, kept, strict=True):
        assert torch.equal(keys, before)


def frames_read(model: VideoXL, video: Video, memory: VisualMemory, **changes: object) -> int:
    seen = [0]
    model.memorize(video, memory=memory, on_progress=lambda progress: seen.append(progress.frames_done), **changes)
    return seen[-1]


def test_only_what_is_new_or_unfinished_is_read(model: VideoXL, recording: Recording) -> None:
    memory = model.memorize(recording.grow(0.6), options=STEADY)
    settled = int((memory.frame_times < memory.video.duration - 1.6).sum())
    assert settled > 16
    video = recording.grow(1.0)
    assert frames_read(model, video, memory) == 80 - settled // 8 * 8
    assert frames_read(model, video, model.memorize(video, options=STEADY)) == 0
    # Where nothing of it can be used, all is read.
    assert frames_read(model, video, memory, options=STEADY, ratio=8) == 80
    assert frames_read(model, video, memory, options=STEADY, max_frames=60) == 40
    assert frames_read(model, video, memory, options=STEADY, start=1.0) == 75
    uniform = model.memorize(recording.grow(0.6), options=STEADY, mode="uniform", max_frames=40)
    assert frames_read(model, recording.grow(1.0), uniform) == 40


def test_what_is_known_already_is_hardly_read_again(model: VideoXL, recording: Recording) -> None:
    options = dataclasses.replace(STEADY, end=3.2)  # 2 full windows
    memory = model.memorize(recording.grow(0.6), options=options)
    video = recording.grow(1.0)
    assert frames_read(model, video, memory) == 8  # which tell what is damaged in the file now
    check_same(model.memorize(video, memory=memory), model.memorize(video, options=options))


def test_what_is_sliced_is_no_beginning(model: VideoXL, recording: Recording) -> None:
    video = recording.grow(1.0)
    part = model.slice(model.memorize(video, options=STEADY), start=3.2)
    options = dataclasses.replace(STEADY, start=3.2)
    check_same(model.memorize(video, memory=part, options=options), model.memorize(video, options=options))


def test_a_saved_memory_is_continued(model: VideoXL, recording: Recording, tmp_path: Path) -> None:
    model.memorize(recording.grow(0.6), options=STEADY).save(tmp_path / "early.vxm")
    video = recording.grow(1.0)
    memory = VisualMemory.load(tmp_path / "early.vxm", model)
    assert 0 < frames_read(model, video, memory) < 80
    check_same(model.memorize(video, memory=memory), model.memorize(video, options=STEADY))


def test_another_file_is_refused(model: VideoXL, recording: Recording, tmp_path: Path) -> None:
    memory = model.memorize(recording.grow(0.6), options=STEADY)
    with pytest.raises(MemoryFileError, match="recording: is shorter"):
        model.memorize(recording.grow(0.5), memory=memory)
    recording.content = write_numbered(tmp_path / "other.ts", 160, fps=10, g="20", crf="1").read_bytes()
    with pytest.raises(MemoryFileError, match="recording: no longer begins"):
        model.memorize(recording.grow(1.0), memory=memory)
    frames = np.zeros((9, 40, 48, 3), np.uint8)
    with pytest.raises(MemoryFileError, match="video file"):
        model.memorize(frames, memory=model.memorize(frames))
    with pytest.raises(MemoryFileError, match="another model"):
        model.memorize(recording.path, memory=dataclasses.replace(memory, fingerprint="other"))
