"""Forwards of fixed shape, as they are recorded on a GPU: they read and see what others do. Recording needs a GPU."""

import functools

import pytest
import torch
from tiny_models import video_xl

from videoxl import VideoXL, VisualMemory
from videoxl.engine import generate as generating
from videoxl.engine.cuda_graph import RecordedDecoder, Step, can_record
from videoxl.engine.evidence import AttentionTrace
from videoxl.engine.generate import read


def as_it_is(step: Step, device: torch.device) -> Step:
    return step


@pytest.fixture(scope="module")
def model() -> VideoXL:
    return video_xl()


@pytest.fixture
def memory(model: VideoXL) -> VisualMemory:
    return model.condense(torch.randn(20, 4, 32), ratio=4, times=torch.arange(20.0).numpy())


@torch.no_grad()
def test_single_tokens_are_read_as_ever(model: VideoXL, memory: VisualMemory) -> None:
    question, answer = torch.arange(5, 12)[None], (40, 41, 42, 250)
    results = []
    for placed in (False, True):
        store, trace = memory.workspace(30), AttentionTrace(memory.length)
        read(model.language, store, question, trace)
        if placed:
            # What an interrupted answer has left there may be anything.
            for keys, values in zip(store._keys.values(), store._values.values(), strict=True):
                keys[:, :, store.length :] = values[:, :, store.length :] = torch.nan
        reader = RecordedDecoder(model.language, store, trace, as_it_is)
        hidden = []
        for token in answer:
            ids = torch.tensor([[token]])
            new = reader.read(ids) if placed else read(model.language, store, ids, trace)
            hidden.append(new.clone())
        kept = [tensor.clone() for pair in store.layers() for tensor in pair]
        results.append([*hidden, *kept, torch.from_numpy(trace.mean())])
        del reader, store
    for expected, placed in zip(*results, strict=True):
        torch.testing.assert_close(placed, expected, atol=1e-4, rtol=1e-4)


def test_answers_are_the_same(model: VideoXL, memory: VisualMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> tuple[str, list[tuple[float, float]], str]:
        answer = model.ask(memory, "What is it?", max_new_tokens=20)
        stream = "".join(model.answer(memory, "And then?", max_new_tokens=20, temperature=1.5, seed=3))
        return answer.text, [(span.start, span.end) for span in answer.evidence], stream

    before = ask()
    monkeypatch.setattr(generating, "can_record", lambda language: True)
    monkeypatch.setattr(generating, "RecordedDecoder", functools.partial(RecordedDecoder, record=as_it_is))
    assert ask() == before
    assert ask() == before  # nothing was left behind


def test_what_cannot_be_recorded_is_done_as_it_is(model: VideoXL, memory: VisualMemory, monkeypatch) -> None:
    def refuse(step: Step, device: torch.device) -> Step:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    before = model.ask(memory, "What is it?", max_new_tokens=20)
    monkeypatch.setattr(generating, "can_record", lambda language: True)
    monkeypatch.setattr(generating, "RecordedDecoder", functools.partial(RecordedDecoder, record=refuse))
    again = model.ask(memory, "What is it?", max_new_tokens=20)
    assert again.token_ids == before.token_ids
    assert [each.score for each in again.evidence] == pytest.approx([each.score for each in before.evidence], rel=1e-4)
    with torch.no_grad():
        assert memory.workspace(9).layers()[0][0].data_ptr() == memory.layers[0][0].data_ptr()  # the room is free again


def test_the_cpu_replays_nothing(model: VideoXL) -> None:
    with torch.no_grad():
        assert not can_record(model.language)
