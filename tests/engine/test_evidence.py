"""Evidence: the stretches that attention falls on, and that the bundled model's falls on its needle."""

import numpy as np
import pytest
import torch
from PIL import Image

from videoxl import VideoXL
from videoxl.engine.evidence import find_evidence
from videoxl.memory.value import VisualMemory
from videoxl.world.cards import Card, draw_card, random_layout
from videoxl.world.scenes import scene


def memory(num_vst: int, prefix: int = 2) -> VisualMemory:
    spans = np.stack([np.arange(num_vst) * 4.0, np.arange(num_vst) * 4.0 + 3], axis=1)
    return VisualMemory((), tuple(range(prefix)), (16,), (num_vst,), spans)


def attention(num_vst: int, prefix: int = 2, **peaks: float) -> np.ndarray:
    values = np.full(prefix + num_vst, 0.001)
    values[0] = 0.9  # most of it goes to the prompt, as it does in models
    for place, value in peaks.items():
        values[prefix + int(place[1:])] = value
    return values


def test_spans_are_those_of_the_peaks_best_first() -> None:
    found = find_evidence(memory(30), attention(30, s5=0.03, s20=0.05, s21=0.05), np.zeros(32))
    assert [(span.start, span.end) for span in found[:1]] == [(80.0, 87.0)]
    assert found[1].start <= 20.0 <= 23.0 <= found[1].end
    assert found[0].score > found[1].score and sum(span.score for span in found) <= 1


def test_what_any_question_looks_at_counts_less() -> None:
    both = attention(30, s5=0.05, s20=0.04)
    assert find_evidence(memory(30), both, np.zeros(32))[0].start == 16.0  # a slot alone comes with its neighbours
    assert find_evidence(memory(30), both, attention(30, s5=0.05))[0].start == 76.0


def test_the_first_has_the_highest_score_and_none_overlap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        noisy = rng.exponential(0.02, 42) ** 2
        found = find_evidence(memory(40), noisy, np.zeros(42))
        assert 1 <= len(found) <= 3
        assert [span.score for span in found] == sorted((span.score for span in found), reverse=True)
        assert all(a.end < b.start or b.end < a.start for a in found for b in found if a is not b)


def test_at_most_three_and_only_what_stands_out() -> None:
    many = attention(40, **{f"s{place}": 0.05 for place in range(2, 40, 6)})
    assert len(find_evidence(memory(40), many, np.zeros(42))) == 3
    assert len(find_evidence(memory(40), attention(40, s9=0.5, s30=0.02), np.zeros(42))) == 1


def test_without_times_or_video_there_is_none() -> None:
    assert find_evidence(memory(0), attention(0), np.zeros(2)) == ()
    unknown = VisualMemory((), (1, 2), (16,), (4,), None)
    assert find_evidence(unknown, attention(4), np.zeros(6)) == ()
    assert find_evidence(memory(4), np.zeros(6), np.zeros(6)) == ()
    for count in (1, 2):
        assert len(find_evidence(memory(count), attention(count, s0=0.5), np.zeros(2 + count))) == 1


@pytest.fixture(scope="module")
def nano() -> VideoXL:
    return VideoXL.from_pretrained("videoxl-nano", device="cpu", dtype="float32")


@pytest.mark.parametrize("place", [3, 30, 61])
def test_the_bundled_model_s_evidence_is_where_its_needle_is(nano: VideoXL, place: int) -> None:
    rng = np.random.default_rng(place)
    frames = np.stack([np.asarray(frame) for frame in scene(rng, 64, (256, 144))])
    card = Card("number", "472", "white", "black")
    frames[place] = np.asarray(draw_card(card, random_layout(rng, card), Image.fromarray(frames[place]))[0])
    seen = nano.watch(frames, ratio=8)
    answer = nano.ask(seen, "What number is shown on the card?")
    assert answer.text == "472"
    assert answer.evidence[0].start <= place <= answer.evidence[0].end
    assert answer.evidence[0].end - answer.evidence[0].start < 16
    with torch.no_grad():
        assert "".join(nano.answer(seen, "What number is shown on the card?")) == answer.text
