"""Evidence: the stretches that attention falls on, and that the bundled model's falls on its needle."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from videoxl import VideoXL
from videoxl.engine import chat
from videoxl.engine.evidence import MAX_SPANS, Evidence, find_evidence
from videoxl.memory.value import VisualMemory
from videoxl.planning.windows import RatioPolicy, plan_windows, spans
from videoxl.tasks.needle.cards import Card, draw_card, random_layout
from videoxl.tasks.needle.scenes import scene

PREFIX = 2
NANO, VIDEO_XL = (4, 64), (144, 1440)  # visual tokens of a frame and of a window
GEOMETRIES = [(NANO, 2), (NANO, 4), (NANO, 8), (NANO, 16), *((VIDEO_XL, ratio) for ratio in (2, 4, 8, 16, 32))]
SLOTS = {(VIDEO_XL, ratio): 144 // ratio for ratio in (2, 4, 8, 16)}  # of a frame


def memory(num_frames: int, geometry: tuple[int, int] = (4, 64), ratio: int = 4) -> VisualMemory:
    """A memory of frames that are two seconds apart, without keys and values."""
    per_frame, window = geometry
    plans = list(plan_windows(num_frames * per_frame, window, RatioPolicy((ratio,)), PREFIX))
    times = np.arange(num_frames) * 2.0
    return VisualMemory(
        (),
        tuple(range(PREFIX)),
        tuple(plan.ratio for plan in plans),
        tuple(plan.num_vst for plan in plans),
        spans(plans, np.repeat(times, per_frame)),
        times,
        num_frames * per_frame,
        num_frames,
    )


def attention(num_slots: int, low: float = 0.0, **peaks: float) -> np.ndarray:
    """Attention to the prompt, as models have it, to all slots, and to some."""
    values = np.concatenate([[0.9, 0.001], np.full(num_slots, low)])
    for place, value in peaks.items():
        values[PREFIX + int(place[1:])] = value
    return values


def nothing(seen: VisualMemory) -> np.ndarray:
    return np.zeros(seen.length)


def times(found: tuple[Evidence, ...]) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in found]


@pytest.mark.parametrize("geometry, ratio", SLOTS, ids=[f"{slots} slots" for slots in SLOTS.values()])
def test_the_slots_of_one_frame_are_one_span(geometry: tuple[int, int], ratio: int) -> None:
    rng = np.random.default_rng(ratio)
    seen, slots = memory(25, geometry, ratio), SLOTS[geometry, ratio]
    for frame, lit in ((0, slots), (7, slots), (13, 3), (24, 1)):
        paid = attention(seen.num_vst, 1e-6)
        places = PREFIX + frame * slots + rng.choice(slots, lit, replace=False)
        paid[places] = rng.uniform(0.01, 0.1, lit)
        (only,) = find_evidence(seen, paid, nothing(seen))
        assert (only.start, only.end) == (2.0 * frame, 2.0 * frame) and only.score > 0.8


@pytest.mark.parametrize("geometry, ratio", SLOTS, ids=[f"{slots} slots" for slots in SLOTS.values()])
def test_stretches_of_frames_are_found_whatever_their_slots_are(geometry: tuple[int, int], ratio: int) -> None:
    rng = np.random.default_rng(ratio)
    seen, slots = memory(40, geometry, ratio), SLOTS[geometry, ratio]
    paid = attention(seen.num_vst)
    paid[PREFIX:] = rng.exponential(1e-5, seen.num_vst)
    for low, high, height in ((4, 7, 0.01), (30, 32, 0.03)):
        lit = slice(PREFIX + low * slots, PREFIX + high * slots)
        paid[lit] = rng.exponential(height / slots, (high - low) * slots)
    assert times(find_evidence(seen, paid, nothing(seen))) == [(60.0, 62.0), (8.0, 12.0)]


def test_a_slot_of_several_frames_stands_for_all_of_them() -> None:
    seen = memory(64, NANO, 16)
    assert times(find_evidence(seen, attention(16, s5=0.05), nothing(seen))) == [(40.0, 46.0)]


def test_what_any_question_looks_at_counts_less() -> None:
    seen = memory(30)
    both = attention(30, s5=0.05, s20=0.04)
    assert find_evidence(seen, both, nothing(seen))[0].start == 10.0
    assert find_evidence(seen, both, attention(30, s5=0.05))[0].start == 40.0


def test_what_an_answer_lacks_as_it_found_nothing_is_not_evidence() -> None:
    """Of what the neutral question pays to the video, an answer that found something pays its spans half or more."""
    seen = memory(60)
    neutral = attention(60, 0.005)  # 0.3 in all
    assert find_evidence(seen, attention(60, 0.001, s9=0.02, s30=0.03, s50=0.02), neutral) == ()
    assert times(find_evidence(seen, attention(60, 0.001, s9=0.2), neutral)) == [(18.0, 18.0)]
    assert len(find_evidence(seen, attention(60, 0.001, s9=0.08, s30=0.08, s50=0.07), neutral)) == 3  # together


@pytest.mark.parametrize("geometry, ratio", GEOMETRIES)
def test_spans_have_their_own_time_do_not_touch_and_come_best_first(geometry: tuple[int, int], ratio: int) -> None:
    rng = np.random.default_rng(ratio)
    seen = memory(50, geometry, ratio)
    for number in range(40):
        noisy = rng.exponential(0.02, seen.length) ** (1 + number % 4)
        found = find_evidence(seen, noisy, nothing(seen))
        assert 1 <= len(found) <= MAX_SPANS and sum(span.score for span in found) <= 1 + 1e-9
        assert [span.score for span in found] == sorted((span.score for span in found), reverse=True)
        assert all(span.start <= span.end for span in found)
        assert all(before[1] + 2.0 < after[0] for before, after in itertools.pairwise(sorted(times(found))))


def test_peaks_that_touch_are_one_span() -> None:
    seen = memory(60)
    low_beside_high = attention(60, s20=0.5, s21=0.5, s22=0.04, s23=0.04, s24=0.3, s25=0.3)
    assert times(find_evidence(seen, low_beside_high, nothing(seen))) == [(40.0, 46.0)]


def test_at_most_three_and_only_what_stands_out() -> None:
    seen = memory(48)
    many = attention(48, **{f"s{place}": 0.05 for place in range(2, 48, 6)})
    assert len(find_evidence(seen, many, nothing(seen))) == 3
    assert len(find_evidence(seen, attention(48, s9=0.5, s30=0.15), nothing(seen))) == 1
    assert len(find_evidence(seen, attention(48, s9=0.5, s30=0.2), nothing(seen))) == 2


@pytest.mark.parametrize("ratio, lag", [(2, 2), (4, 2), (8, 2), (16, 0)])
def test_what_following_vsts_tell_of_frames_before_them_is_taken_out(ratio: int, lag: int) -> None:
    """For videoxl-nano: 8 visual tokens, in whole slots."""
    seen, per_frame = memory(64, NANO, ratio), 4 / ratio

    def found(low: int, high: int) -> list[tuple[float, float]]:
        paid = attention(seen.num_vst)
        paid[PREFIX + int(low * per_frame) : PREFIX + int(high * per_frame)] = 0.02
        return times(find_evidence(seen, paid, nothing(seen)))

    assert found(20, 28) == [(40.0, 54.0 - 2 * lag)]
    assert found(20, 24) == [(40.0, 46.0 - 2 * lag)]
    slot = max(1, ratio // 4)  # frames
    assert found(20, 20 + slot) == [(40.0, 38.0 + 2 * slot)]  # never all of it
    assert found(24, 32) == [(48.0, 62.0)]  # to the end of a window: the next one knows nothing of its visual tokens
    assert found(28, 36) == [(56.0, 70.0 - 2 * lag)]


def test_nothing_lags_where_a_frame_has_many_visual_tokens() -> None:
    seen = memory(20, VIDEO_XL, 8)
    paid = attention(seen.num_vst)
    paid[PREFIX + 4 * 18 : PREFIX + 7 * 18] = 0.01
    assert times(find_evidence(seen, paid, nothing(seen))) == [(8.0, 12.0)]


def test_without_times_or_video_there_is_none() -> None:
    empty = VisualMemory((), (1, 2), spans=np.zeros((0, 2)))
    assert find_evidence(empty, np.ones(2), np.zeros(2)) == ()
    unknown = VisualMemory((), (1, 2), (16,), (4,), None)
    assert find_evidence(unknown, np.ones(6), np.zeros(6)) == ()
    seen = memory(4)
    assert find_evidence(seen, attention(4), nothing(seen)) == ()
    for count in (1, 2):
        seen = memory(count)
        assert len(find_evidence(seen, attention(count, s0=0.5), nothing(seen))) == 1


@pytest.fixture(scope="module")
def nano() -> VideoXL:
    return VideoXL.from_pretrained("videoxl-nano", device="cpu", dtype="float32")


@pytest.mark.parametrize("ratio", [2, 4, 8, 16])
@pytest.mark.parametrize("place", [3, 30, 61])
def test_the_bundled_model_s_evidence_is_where_its_needle_is(nano: VideoXL, place: int, ratio: int) -> None:
    rng = np.random.default_rng(place)
    frames = np.stack([np.asarray(frame) for frame in scene(rng, 64, (256, 144))])
    card = Card("number", "472", "white", "black")
    frames[place] = np.asarray(draw_card(card, random_layout(rng, card), Image.fromarray(frames[place]))[0])
    seen = nano.memorize(frames, ratio=ratio)
    answer = nano.ask(seen, "What number is shown on the card?")
    assert answer.text == "472"
    assert answer.evidence[0].start <= place <= answer.evidence[0].end
    assert answer.evidence[0].end - answer.evidence[0].start < 8
    with torch.no_grad():
        assert "".join(nano.answer(seen, "What number is shown on the card?")) == answer.text


def test_neutral_attention_is_computed_once_and_kept(nano: VideoXL, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    frames = np.stack([np.asarray(frame) for frame in scene(rng, 32, (256, 144))])
    card = Card("number", "472", "white", "black")
    frames[9] = np.asarray(draw_card(card, random_layout(rng, card), Image.fromarray(frames[9]))[0])
    seen, question = nano.memorize(frames, ratio=4), "What number is shown on the card?"
    neutral, answer = nano.neutral_attention(seen), nano.ask(seen, question)
    assert neutral.shape == (seen.length,) and 0 < neutral.sum() < 1
    assert nano.ask(seen, question, neutral=neutral).evidence == answer.evidence != ()
    assert nano.ask(seen, question, neutral=3 * neutral).evidence == ()
    computed: list[int] = []
    monkeypatch.setattr(chat, "neutral_attention", lambda *_: computed.append(1) or neutral)
    conversation = nano.chat(seen)
    for _ in range(3):
        spans = conversation.ask(question).evidence
        # What was said before takes attention, too: it does not count.
        assert spans and spans[0].start <= 9 <= spans[0].end
    assert len(computed) == 1


def test_a_video_without_a_card_gives_no_spans(nano: VideoXL) -> None:
    rng = np.random.default_rng(2)
    frames = np.stack([np.asarray(frame) for frame in scene(rng, 64, (256, 144))])
    seen = nano.memorize(frames, ratio=2)
    for question, said in (("Is there a card?", "no"), ("What number is shown on the card?", "there is no number.")):
        answer = nano.ask(seen, question)
        assert (answer.text, answer.evidence) == (said, ())
