"""A memory on disk: what is answered from it is what was answered before, and no damage goes unnoticed."""

import contextlib
import math
import os
import random
import resource
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from asking import QUESTION
from safetensors import safe_open
from tiny_models import checkpoint, video_xl

import videoxl.memory.file
from videoxl import VideoXL, VisualMemory
from videoxl.checkpoints.loading import save_checkpoint
from videoxl.errors import DamagedMemoryError, MemoryFileError
from videoxl.memory.file import check_output, is_memory_file
from videoxl.memory.header import read_header
from videoxl.memory.quantise import dequantise, quantise
from videoxl.options import MemoryOptions


@pytest.fixture(scope="module")
def model() -> VideoXL:
    return video_xl()


@pytest.fixture(scope="module")
def fresh(model: VideoXL, clip: Path) -> VisualMemory:
    return model.memorize(clip, fps=5.0, ratio=4)


@pytest.fixture(scope="module")
def saved(fresh: VisualMemory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "clip.vxm"
    fresh.save(path)
    return path


def same_tensors(ours: VisualMemory, theirs: VisualMemory) -> bool:
    pairs = zip(ours.layers, theirs.layers, strict=True)
    return all(torch.equal(a, b) for pair in pairs for a, b in zip(*pair, strict=True))


def test_all_that_a_memory_knows_comes_back(
    model: VideoXL, fresh: VisualMemory, saved: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = VisualMemory.load(saved, model)
    assert same_tensors(loaded, fresh)
    for name in ("prefix_ids", "ratios", "window_vsts", "num_visual_tokens", "num_frames", "fingerprint", "version"):
        assert getattr(loaded, name) == getattr(fresh, name)
    for name in ("spans", "frame_times"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(fresh, name))
    assert (loaded.model, loaded.options) == ("tiny", MemoryOptions(fps=5.0, ratio=4))
    video = loaded.video
    assert video is not None and (video.path, video.width, video.height) == (str(clip), 160, 64)
    assert (video.size, video.modified) == (clip.stat().st_size, clip.stat().st_mtime)


@pytest.mark.usefixtures("always_evidence")
def test_answers_are_those_of_the_fresh_memory_to_the_bit(model: VideoXL, fresh: VisualMemory, saved: Path) -> None:
    loaded = VisualMemory.load(saved, model)
    ids = [5, 9, 200, 17]
    assert torch.equal(model.next_logits(loaded, ids), model.next_logits(fresh, ids))
    ours, theirs = (model.ask(memory, QUESTION, max_new_tokens=20) for memory in (loaded, fresh))
    assert replace(ours, timings={}) == replace(theirs, timings={}) and ours.evidence
    assert loaded.num_bytes == fresh.num_bytes
    with torch.no_grad():  # a question is read behind it, as behind the fresh one
        assert loaded.workspace(40).layers()[0][0].data_ptr() == loaded.layers[0][0].data_ptr()


def test_watching_goes_on_from_a_loaded_memory(model: VideoXL, fresh: VisualMemory, saved: Path, clip: Path) -> None:
    plan = model.plan(clip, max_frames=8)
    more = torch.randn(8, 4, 32, generator=torch.Generator().manual_seed(1))
    grown = []
    for memory in (fresh, VisualMemory.load(saved, model)):
        watching = model.memory_builder(plan, memory)
        watching.feed(more, plan.frames.times)
        grown.append(watching.finish())
    assert same_tensors(*grown) and grown[0].num_frames == fresh.num_frames + 8
    assert grown[1].video is None  # it is no longer the memory of that file


def test_a_memory_without_times_or_video(model: VideoXL, tmp_path: Path) -> None:
    memory = model.condense(torch.randn(5, 4, 32), ratio=4)
    memory.save(tmp_path / "plain.vxm")
    loaded = VisualMemory.load(str(tmp_path / "plain.vxm"), model)
    assert same_tensors(loaded, memory)
    assert (loaded.spans, loaded.frame_times, loaded.video, loaded.options) == (None, None, None, None)


def test_it_is_a_safetensors_file_that_says_what_it_is_without_torch(saved: Path, fresh: VisualMemory) -> None:
    with safe_open(saved, framework="numpy") as file:
        assert file.get_slice("keys.0").get_shape() == [2, fresh.length, 8]
    header = read_header(saved)
    assert (header.length, header.dtype, header.num_layers) == (fresh.length, "float32", 2)


def refused(path: Path, model: VideoXL) -> MemoryFileError:
    with pytest.raises(MemoryFileError) as caught:
        VisualMemory.load(path, model)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value) and caught.value.advice
    return caught.value


@pytest.mark.parametrize("part", ["anywhere", "header"])
def test_no_changed_byte_goes_unnoticed(model: VideoXL, saved: Path, tmp_path: Path, part: str) -> None:
    content, draw, path = saved.read_bytes(), random.Random(4), tmp_path / "damaged.vxm"
    size = len(content) if part == "anywhere" else 8 + int.from_bytes(content[:8], "little")
    for _ in range(200):
        at = draw.randrange(size)
        path.write_bytes(content[:at] + bytes([content[at] ^ draw.randrange(1, 256)]) + content[at + 1 :])
        refused(path, model)


def test_a_header_with_any_changed_byte_is_read_or_refused(saved: Path, tmp_path: Path) -> None:
    content, path = saved.read_bytes(), tmp_path / "damaged.vxm"
    for at in range(8 + int.from_bytes(content[:8], "little")):
        for flip in (1, 0x54, 0x80):  # 0x54 makes "e" of "1", and so a number beyond any float
            path.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
            with contextlib.suppress(MemoryFileError):
                header = read_header(path)
                assert header.video is not None and math.isfinite(header.video.duration)


@pytest.mark.parametrize(
    ("old", "new"),
    [("auto", "autp"), ("151644", "1e1644"), ('\\"fps\\"', '\\"fpt\\"'), ('\\"width\\"', '\\"widti\\"')],
)
def test_a_header_that_says_what_cannot_be(model: VideoXL, clip: Path, tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "damaged.vxm"
    replace(model.memorize(clip, max_frames=4), prefix_ids=(151644,)).save(path)
    content = path.read_bytes()
    assert content.count(old.encode())
    path.write_bytes(content.replace(old.encode(), new.encode()))
    with pytest.raises(DamagedMemoryError):
        read_header(path)


def test_a_file_that_is_no_memory_is_not_written_over(saved: Path, clip: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.write_bytes(saved.read_bytes()[:100])
    for path in (saved, half, tmp_path / "new.vxm"):
        check_output(path)
    (tmp_path / "link").symlink_to("nowhere")
    for path in (clip, tmp_path, tmp_path / "link"):
        with pytest.raises(MemoryFileError, match="exists already"):
            check_output(path)
    with pytest.raises(MemoryFileError, match="its folder does not exist"):
        check_output(tmp_path / "missing" / "new.vxm")


def test_a_name_that_is_too_long_is_no_memory() -> None:
    assert not is_memory_file(Path("What is shown here? " * 20))


def test_no_missing_or_added_byte_goes_unnoticed(model: VideoXL, saved: Path, tmp_path: Path) -> None:
    content, path = saved.read_bytes(), tmp_path / "damaged.vxm"
    for cut in (0, 1, 8, 9, 500, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        refused(path, model)
    path.write_bytes(content + b"\0")
    refused(path, model)


def test_what_is_no_memory(model: VideoXL, clip: Path, tmp_path: Path) -> None:
    save_checkpoint(checkpoint(), tmp_path / "model")
    (tmp_path / "text").write_text("not a memory\n" * 50)
    (tmp_path / "deep").write_bytes((100_000).to_bytes(8, "little") + b'{"a":' * 20_000)
    for path in (clip, tmp_path / "text", tmp_path / "model" / "model.safetensors"):
        assert "is not a visual memory" in str(refused(path, model))
    os.mkfifo(tmp_path / "pipe.vxm")
    for path in (tmp_path, tmp_path / "missing.vxm", tmp_path / "deep", tmp_path / "pipe.vxm"):
        refused(path, model)


def test_the_memory_of_another_model_is_refused(saved: Path) -> None:
    other = checkpoint()
    with torch.no_grad():
        other.language.model.norm.weight[3] += 1e-3
    assert "another model than this one (tiny)" in str(refused(saved, VideoXL(other)))


def test_16_bit_can_be_read_in_32_and_not_the_other_way(
    model: VideoXL, saved: Path, clip: Path, tmp_path: Path
) -> None:
    save_checkpoint(checkpoint(), tmp_path / "model", torch.float32)
    wide, narrow = (VideoXL.from_pretrained(tmp_path / "model", "cpu", dtype) for dtype in ("float32", "bfloat16"))
    memory = narrow.memorize(clip, max_frames=20, ratio=4)
    memory.save(tmp_path / "narrow.vxm")
    assert same_tensors(VisualMemory.load(tmp_path / "narrow.vxm", narrow), memory)
    loaded = VisualMemory.load(tmp_path / "narrow.vxm", wide)
    for (keys, _), (as_made, _) in zip(loaded.layers, memory.layers, strict=True):
        assert keys.dtype == torch.float32 and torch.equal(keys, as_made.float())
    wide.ask(loaded, QUESTION, max_new_tokens=3)
    wide.memorize(clip, max_frames=20, ratio=4).save(tmp_path / "wide.vxm")
    assert "is in float32, the model in bfloat16" in str(refused(tmp_path / "wide.vxm", narrow))


def test_8_bit_is_smaller_and_nearly_the_same(model: VideoXL, fresh: VisualMemory, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.vxm"
    fresh.save(path, dtype="int8")
    loaded = VisualMemory.load(path, model)
    for pair, exact_pair in zip(loaded.layers, fresh.layers, strict=True):
        for ours, exact in zip(pair, exact_pair, strict=True):
            step = exact.abs().amax(-1, keepdim=True) / 127  # of each head and slot
            assert ours.dtype == exact.dtype and ((ours - exact).abs() <= 0.501 * step).all()
    header = read_header(path)
    assert (header.is_quantised, header.dtype) == (True, "float32")
    bytes_of = {file: sum(a.numel() for p in fresh.layers for a in p) * size for file, size in ((path, 1), (saved, 4))}
    scales = 2 * 2 * 2 * fresh.length * 4  # a float32 for each head and slot of keys and values in each layer
    rest = saved.stat().st_size - bytes_of[saved]  # the description, the times
    assert path.stat().st_size < bytes_of[path] + scales + rest + 1000
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(path, model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_8_bit_of_nothing_and_of_large_values(dtype: torch.dtype) -> None:
    values = torch.tensor([[[0.0, 0.0], [3e4, -1.0], [1e-30, 0.0]]], dtype=dtype)
    steps, scales = quantise(values)
    restored = dequantise(steps, scales)
    assert restored.isfinite().all() and restored[0, 0].tolist() == [0, 0]
    torch.testing.assert_close(restored[0, :, 0], values[0, :, 0].float())


def test_a_full_disk_leaves_the_old_file(model: VideoXL, fresh: VisualMemory, tmp_path: Path) -> None:
    path = tmp_path / "clip.vxm"
    fresh.save(path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(MemoryFileError, match="cannot be written"):
            fresh.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to(fresh: VisualMemory, tmp_path: Path) -> None:
    with pytest.raises(MemoryFileError, match="cannot be written"):
        fresh.save(tmp_path / "missing" / "clip.vxm")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_while_saving_leaves_a_whole_file(model: VideoXL, fresh: VisualMemory, tmp_path: Path) -> None:
    path, draw = tmp_path / "clip.vxm", random.Random(5)
    fresh.save(path)
    for _ in range(50):
        child = os.fork()
        if child == 0:
            while True:
                fresh.save(path)
        time.sleep(draw.uniform(0.001, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert same_tensors(VisualMemory.load(path, model), fresh)
    assert any(other != path for other in tmp_path.iterdir())  # some were killed in the middle


def test_a_file_that_is_replaced_while_it_is_read(
    model: VideoXL, fresh: VisualMemory, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shutil.copy(saved, tmp_path / "clip.vxm")
    verify = videoxl.memory.file.MemoryFile.verify

    def replacing(self: videoxl.memory.file.MemoryFile) -> None:
        verify(self)
        replace(fresh, num_frames=3).save(path)

    monkeypatch.setattr(videoxl.memory.file.MemoryFile, "verify", replacing)
    assert "was replaced" in str(refused(path, model))
