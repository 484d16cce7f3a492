"""Training videos and what is learnt from them, each against a plain way of doing the same."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from videoxl.config import LanguageConfig
from videoxl.engine.condense import condense_batch
from videoxl.nano import training_videos as videos
from videoxl.nano.questions import ask, questions
from videoxl.nano.recipe import FROM_SCRATCH, GOING_ON
from videoxl.nano.student import Student, question_mask
from videoxl.nano.token_bank import Bank
from videoxl.nano.tokenizer import build_tokenizer
from videoxl.nano.training_videos import (
    IGNORE,
    SYMBOLS,
    Phase,
    Shown,
    VideoBatch,
    VideoSource,
    haystack,
    pack,
    random_part,
    random_video,
    so_far,
    symbol,
)
from videoxl.network.qwen2 import VSTQwen2
from videoxl.tasks.needle.cards import KINDS, Card, random_card

CARDS = [
    Card("word", "tiger", "white", "black"),
    Card("number", "407", "blue", "yellow"),
    Card("shape", "star", "green", "red"),
]
PREFIX = [1, 2, 3]
RATIO, WINDOW = 4, 8


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="module")
def language(tokenizer):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = LanguageConfig(
        vocab_size=len(tokenizer),
        **sizes,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        tie_word_embeddings=True,
    )
    model = VSTQwen2(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def bank():
    """Cards whose visual tokens are their number, from 1 on; all else is 0 in scenes and -1 in footage."""
    rng = np.random.default_rng(0)
    labels = [random_card(rng) for _ in range(600)]
    cards = np.arange(1, 601, dtype=np.float16)[:, None, None] * np.ones((1, 2, 4), np.float16)
    scenes = [np.zeros((9, 2, 4), np.float16), np.zeros((1, 2, 4), np.float16)]
    return Bank(cards, labels, scenes, [np.full((50, 2, 4), -1, np.float16)])


def batch_of(tokenizer, asked, tokens):
    num_vst = tokens.shape[1] // RATIO
    families = [[question.family for question in video] for video in asked]
    nothing = torch.zeros(len(tokens), num_vst, 2, dtype=torch.long)
    return VideoBatch(tokens, *pack(tokenizer, asked, num_vst), families, nothing, RATIO, WINDOW)


def test_packed_questions_are_answered_as_if_asked_alone(tokenizer, language):
    rng = np.random.default_rng(0)
    asked = [[*itertools.islice(questions(rng, cards), 3)] for cards in (CARDS, CARDS[:1])]
    tokens = torch.randn(2, 24, 32)
    batch = batch_of(tokenizer, asked, tokens)
    _, metrics = Student(language, PREFIX)(batch)
    losses, weights, rights = [], [], []
    for row, number in itertools.product(range(2), range(3)):
        alone = (batch.segments[row] == number).nonzero().flatten()
        store = condense_batch(language, tokens[row : row + 1], torch.tensor([PREFIX]), RATIO, WINDOW)
        positions = torch.arange(store.length, store.length + len(alone))
        hidden = language(language.embed(batch.text_ids[row][alone][None]), positions, store, keep=False)
        wanted = batch.targets[row][alone]
        logits, wanted = language.logits(hidden)[0][wanted != IGNORE], wanted[wanted != IGNORE]
        losses.append(nn.functional.cross_entropy(logits, wanted, reduction="none"))
        weights.append(torch.full((len(wanted),), len(wanted) ** -0.5))
        rights.append(bool((logits.argmax(-1) == wanted).all()))
    each, weight = torch.cat(losses), torch.cat(weights)
    assert metrics["loss"] == pytest.approx(((each * weight).sum() / weight.sum()).item(), rel=1e-4)
    assert metrics["accuracy"] == pytest.approx(sum(rights) / len(rights))


def test_a_question_about_a_part_sees_that_part_of_the_memory_only(tokenizer, language):
    question = replace(ask(np.random.default_rng(0), "describe", CARDS), part=(2, 5))
    tokens = torch.randn(1, 24, 32)
    batch = batch_of(tokenizer, [[question]], tokens)
    _, metrics = Student(language, PREFIX)(batch)
    # The same memory cut to the part, as inference would have it: the question follows its last slot.
    store = condense_batch(language, tokens, torch.tensor([PREFIX]), RATIO, WINDOW)
    slots = [0, 1, 2, *(len(PREFIX) + vst for vst in (2, 3, 4))]
    for layer, (keys, values) in enumerate(store.layers()):
        store._kept[layer] = keys[:, :, slots], values[:, :, slots]
    store.length = len(slots)
    positions = torch.arange(len(PREFIX) + 5, len(PREFIX) + 5 + batch.text_ids.shape[1])
    hidden = language(language.embed(batch.text_ids), positions, store, keep=False)
    wanted = batch.targets[0] != IGNORE
    loss = nn.functional.cross_entropy(language.logits(hidden)[0][wanted], batch.targets[0][wanted])
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-4)


def test_the_mask_shows_the_prefix_the_part_and_the_own_question():
    segments = torch.tensor([[0, 0, 1, -1]])
    parts = torch.tensor([[[0, 3], [0, 3], [1, 2], [0, 0]]])
    mask = question_mask(segments, parts, num_prefix=1, memory_length=4)[0, 0].int()
    assert mask.tolist() == [
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 0, 0],
        [1, 0, 1, 0, 0, 0, 1, 0],
        [1, 0, 0, 0, 0, 0, 0, 1],
    ]


def test_the_tally_is_read_from_what_reaches_memory(tokenizer, language):
    """Each VST's state, before the last layer, is matched with its own target; the last layer gets no gradient."""
    student = Student(language, PREFIX)
    asked = [[ask(np.random.default_rng(0), "presence", CARDS)]]
    batch = batch_of(tokenizer, asked, torch.randn(1, 24, 32))
    states = []
    hook = language.layers[0].register_forward_hook(lambda _, args, output: states.append(output))
    _, metrics = student(batch)
    hook.remove()
    vsts = torch.cat([window[0, [4, 9]] for window in states[1:4]])  # after the prefix, windows of 8 tokens and 2 VSTs
    vsts = nn.functional.layer_norm(vsts, (32,))
    expected = sum(
        nn.functional.cross_entropy(head(vsts), torch.zeros(6, dtype=torch.long))
        for head in (student.tally.count_head, student.tally.latest_head)
    )
    assert metrics["tally"] == pytest.approx(expected.item(), rel=1e-4)


def test_what_there_was_so_far():
    shown = [Shown(CARDS[0], 2, 3), Shown(CARDS[2], 5, 9)]
    assert [so_far(shown, end)[0] for end in (2, 3, 5, 5.5, 20)] == [0, 1, 1, 2, 2]
    assert so_far(shown, 1)[1] == 0 and so_far(shown, 4)[1] == symbol(CARDS[0]) != symbol(CARDS[2])
    assert so_far(shown, 6)[1] == symbol(CARDS[2])
    rng = np.random.default_rng(0)
    assert {0 < symbol(random_card(rng)) < SYMBOLS for _ in range(200)} == {True}


def test_source_puts_the_labelled_cards_into_the_video(tokenizer, bank):
    source = VideoSource(bank, tokenizer, 10, FROM_SCRATCH)
    checked, parts = 0, 0
    for step in range(10):
        batch, again = source.batch(step), source.batch(step)
        assert torch.equal(batch.tokens, again.tokens) and torch.equal(batch.text_ids, again.text_ids)
        for row in range(len(batch.tokens)):
            frames = batch.tokens[row, ::2, 0]
            cards = [bank.labels[int(value) - 1] for value in frames.unique_consecutive() if value > 0]
            assert batch.so_far[row, -1, 0] == len(cards)
            for family, part, answer in _answers(tokenizer, batch, row):
                if family == "count" and answer > "3":
                    assert len(cards) > 3
                if family == "describe":
                    assert answer == ask(np.random.default_rng(0), "describe", cards).answer
                    checked += 1
                if family == "describe_part":
                    assert 0 <= part[0] < part[1] <= batch.so_far.shape[1]
                    assert answer.count(",") < max(1, len(cards))
                    parts += 1
    assert checked > 20 and parts > 10  # the checks above were made


def _answers(tokenizer, batch, row):
    for number, family in enumerate(batch.families[row]):
        mine = batch.segments[row] == number
        targets = batch.targets[row][mine]
        answer = tokenizer.decode(targets[targets != IGNORE], skip_special_tokens=True)
        yield family, batch.parts[row][mine][0].tolist(), answer


def test_rows_hold_about_as_many_tokens_and_memories_two_slots_a_card(tokenizer, bank):
    source = VideoSource(bank, tokenizer, 10, (Phase(1.0, (4, 40), (2, 16), (8,)),))
    used = []
    for step in range(30):
        batch = source.batch(step)
        used.append((batch.segments >= 0).float().mean().item())
        assert batch.so_far[:, -1, 0].max() <= max(1, batch.so_far.shape[1] // 2)
    assert np.mean(used) > 0.85


def test_some_videos_are_long_in_the_last_half(tokenizer, bank):
    small = [replace(phase, tokens=4096) for phase in GOING_ON]  # as long, but fewer at a time
    source = VideoSource(bank, tokenizer, 1000, small)
    early = [source.batch(step).tokens.shape[1] // 2 for step in range(0, 60)]
    late = [source.batch(step).tokens.shape[1] // 2 for step in range(940, 1000)]
    assert max(early) <= 48 and 512 <= max(late) <= 1024
    assert 0 < sum(frames >= 512 for frames in late) < 15


def test_parts_stand_clear_of_cards():
    rng = np.random.default_rng(0)
    spans = np.stack([np.arange(0, 40, 4), np.arange(4, 44, 4)], 1).astype(float)
    shown = [Shown(CARDS[0], 9, 11), Shown(CARDS[1], 38, 40)]
    borders = set()
    for _ in range(200):
        part = random_part(rng, shown, spans, 4.0)
        if part:
            start, stop = spans[part[0], 0], spans[part[1] - 1, 1]
            assert (start, stop) != (0, 40)
            borders |= {start, stop}
    # 8 and 12 touch the first card, 36 the second: what a border's VST holds of them is anyone's guess.
    assert borders == {0, 4, 16, 20, 24, 28, 32, 40}
    assert random_part(rng, [Shown(CARDS[0], place, place + 1) for place in range(0, 40, 3)], spans, 4.0) is None


def test_many_videos_have_no_card_and_many_several_of_a_kind(bank):
    rng = np.random.default_rng(0)
    videos = [random_video(rng, bank, bank.by_kind(), 60) for _ in range(600)]
    counts = [len(shown) for _, shown in videos]
    assert 0.14 < counts.count(0) / 600 < 0.26 and max(counts) == 6
    kinds = [[item.card.kind for item in shown] for _, shown in videos if len(shown) > 1]
    assert 0.4 < sum(len(set(seen)) < len(seen) for seen in kinds) / len(kinds) < 0.9
    for tokens, shown in videos:
        for item in shown:
            (value,) = np.unique(tokens[item.start : item.stop])
            assert bank.labels[int(value) - 1] == item.card
    # Half of the haystacks are footage from end to end.
    assert 0.4 < np.mean([(haystack(rng, bank, 60) == -1).all() for _ in range(300)]) < 0.7


def test_cards_stand_at_either_end_more_often_than_chance():
    rng = np.random.default_rng(0)
    cards = np.ones((6, 1, 1), np.float16)
    labels = [Card(kind, "1", "red", "blue") for kind in KINDS for _ in range(2)]
    bank = Bank(cards, labels, [np.zeros((200, 1, 1), np.float16)])
    videos = [random_video(rng, bank, bank.by_kind(), 100)[0][:, 0, 0] for _ in range(600)]
    seen = np.mean([tokens > 0 for tokens in videos], axis=0)
    middle = seen[30:70].mean() + 0.02
    assert seen[0] > middle and seen[-1] > middle


def test_some_characters_of_what_was_answered_so_far_are_misread(tokenizer, bank, monkeypatch):
    """Writing by itself, the model meets its own mistakes: it goes on with what the video shows all the same."""
    source = VideoSource(bank, tokenizer, 10, FROM_SCRATCH)
    changed = answered = 0
    for step in range(10):
        batch = source.batch(step)
        monkeypatch.setattr(videos, "_MISREAD", 0.0)
        clean = source.batch(step)
        monkeypatch.undo()
        assert torch.equal(batch.targets, clean.targets)
        misread = batch.text_ids != clean.text_ids
        after = torch.zeros_like(misread)
        after[:, 1:] = clean.targets[:, :-1] == clean.text_ids[:, 1:]
        assert not (misread & ~after).any()
        for old, new in zip(clean.text_ids[misread].tolist(), batch.text_ids[misread].tolist(), strict=True):
            before, now = tokenizer.convert_ids_to_tokens([old, new])
            assert len(before) == len(now) and before.isalpha() == now.isalpha() and before[-1].isalnum()
        changed, answered = changed + int(misread.sum()), answered + int(after.sum())
    assert 0.01 < changed / answered < 0.05
