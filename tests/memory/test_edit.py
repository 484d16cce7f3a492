"""A part of a memory: its slots are what they had been if their new positions had been theirs from the start."""

import numpy as np
import pytest
import torch
from tiny_models import video_xl

import videoxl.network.qwen2
from videoxl import VideoXL, VisualMemory
from videoxl.errors import MemoryFileError
from videoxl.network.rotary import Tables, rotate

Unrotated = list[torch.Tensor]  # of each layer, the VSTs' keys [kv_heads, n, d]


@pytest.fixture(scope="module")
def model() -> VideoXL:
    return video_xl()


def watched(model: VideoXL, monkeypatch: pytest.MonkeyPatch) -> tuple[VisualMemory, Unrotated]:
    """Return the memory of 40 frames, one a second, at ratio 4, and its VSTs' keys as they were before any rotation."""
    seen: list[torch.Tensor] = []

    def rotating(x: torch.Tensor, tables: Tables) -> torch.Tensor:
        if x.shape[1:3] == (2, 8):  # the VSTs of a window: 8 of 40 tokens
            seen.append(x[0])
        return rotate(x, tables)

    monkeypatch.setattr(videoxl.network.qwen2, "rotate", rotating)
    tokens = torch.randn(40, 4, 32, generator=torch.Generator().manual_seed(0))
    memory = model.condense(tokens, ratio=4, times=np.arange(40.0))
    assert len(seen) == 2 * 5
    return memory, [torch.cat(seen[layer::2], dim=1) for layer in range(2)]


def rotated(keys: torch.Tensor, first: int, theta: float = 10000.0) -> torch.Tensor:
    """Rotate keys [heads, n, d] to positions from `first` on, as complex numbers in float64."""
    half = keys.shape[-1] // 2
    angles = np.outer(np.arange(first, first + keys.shape[1]), theta ** -(np.arange(half) / half))
    turned = (keys[..., :half].double() + 1j * keys[..., half:].double()) * torch.from_numpy(np.exp(1j * angles))
    return torch.cat([turned.real, turned.imag], dim=-1).float()


@pytest.mark.parametrize(
    ("start", "end", "low", "high"),
    [
        (10.0, 20.0, 10, 20),
        (None, 12.5, 0, 13),
        (31.5, None, 32, 40),
        (None, None, 0, 40),
        (7.0, 7.1, 7, 8),
        (7.3, 7.6, 7, 8),
    ],
)
def test_slots_are_where_they_had_been(
    model: VideoXL, monkeypatch: pytest.MonkeyPatch, start: float, end: float, low: int, high: int
) -> None:
    memory, keys = watched(model, monkeypatch)
    before = [tensor.clone() for pair in memory.layers for tensor in pair]
    part, prefix = model.slice(memory, start, end), len(memory.prefix_ids)
    for layer, (ours, values) in enumerate(part.layers):
        torch.testing.assert_close(ours[:, prefix:], rotated(keys[layer][:, low:high], prefix), atol=2e-6, rtol=1e-5)
        assert torch.equal(ours[:, :prefix], memory.layers[layer][0][:, :prefix])
        assert torch.equal(values[:, prefix:], memory.layers[layer][1][:, prefix + low : prefix + high])
    assert part.spans[:, 0].tolist() == part.frame_times.tolist() == list(range(low, high))
    assert (part.num_vst, part.num_frames, part.num_visual_tokens) == (high - low, high - low, 4 * (high - low))
    assert sum(part.window_vsts) == high - low and len(part.ratios) == len(part.window_vsts)
    assert all(torch.equal(a, b) for a, b in zip(before, (t for p in memory.layers for t in p), strict=True))


def test_all_of_a_memory_is_the_memory(model: VideoXL, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = watched(model, monkeypatch)
    torch.testing.assert_close(
        model.next_logits(model.slice(memory), [5, 9]), model.next_logits(memory, [5, 9]), atol=1e-4, rtol=1e-4
    )


@pytest.mark.usefixtures("always_evidence")
def test_a_part_of_a_part_and_its_answers(model: VideoXL, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = watched(model, monkeypatch)
    twice, once = model.slice(model.slice(memory, 5, 30), 10, 20), model.slice(memory, 10, 20)
    torch.testing.assert_close(twice.layers, once.layers, atol=1e-5, rtol=1e-5)
    answer = model.ask(once, "What?", max_new_tokens=5)
    assert answer.evidence and all(10 <= span.start <= span.end < 20 for span in answer.evidence)


def test_windows_of_several_ratios_are_counted(model: VideoXL, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = watched(model, monkeypatch)
    part = model.slice(memory, 6, 17)
    assert (part.ratios, part.window_vsts) == ((4, 4, 4), (2, 8, 1))


def test_what_cannot_be_cut(model: VideoXL, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = watched(model, monkeypatch)
    with pytest.raises(MemoryFileError, match="from 00:01:40 to the end") as caught:
        model.slice(memory, 100.0)
    assert caught.value.advice == "It covers 00:00:00 to 00:00:39."
    with pytest.raises(MemoryFileError, match="times"):
        model.slice(model.condense(torch.randn(3, 4, 32), ratio=4), 1.0)
    for start, end in ((7.6, 7.3), (39.5, None)):
        with pytest.raises(MemoryFileError, match="nothing in this memory"):
            model.slice(memory, start, end)
