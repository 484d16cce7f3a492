"""Questions, packing and the training loop, each against a plain way of doing the same."""

import itertools
import re

import numpy as np
import pytest
import torch
from torch import nn
from transformers import Qwen2Config

from videoxl.condense import condense_batch
from videoxl.language import VSTQwen2
from videoxl.train.questions import HELD_OUT, PHRASINGS, Question, answer_ids, ask, build_tokenizer, questions
from videoxl.train.videos import IGNORE, Bank, Student, VideoBatch, VideoSource, pack, random_video
from videoxl.train.world import KINDS, Card, random_card

CARDS = [
    Card("word", "tiger", "white", "black"),
    Card("number", "407", "blue", "yellow"),
    Card("shape", "star", "green", "red"),
]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="module")
def language(tokenizer):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        **sizes,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = VSTQwen2(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("word", ["tiger", "is", "red", "407", "zqx"])
def test_spelled_answers_use_one_token_a_character_and_read_back(tokenizer, word):
    ids = answer_ids(tokenizer, Question("word", "?", word, spelled=True))
    assert len(ids) == len(word) + 1
    assert tokenizer.decode(ids, skip_special_tokens=True) == word
    assert tokenizer.decode(ids[1:], skip_special_tokens=True) == word[1:]


def test_no_phrasing_has_an_unknown_word(tokenizer):
    trained = itertools.chain(*itertools.chain(*PHRASINGS.values()))
    for text in itertools.chain(trained, *HELD_OUT.values()):
        filled = text.replace("{c}", "colour").replace("{s}", "circle").replace("{k}", "number")
        ids = tokenizer(filled)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert not any(token.startswith("##") for token in tokenizer.convert_ids_to_tokens(ids)), filled


def plain(text):
    """Return what the model reads of a phrasing, whatever fills its gaps: small letters, and no mark at its end."""
    return re.sub(r"\{.\}", "_", text).lower().rstrip(".?")


def test_held_out_phrasings_are_not_trained_on():
    assert HELD_OUT.keys() == PHRASINGS.keys()
    trained = {plain(text) for text in itertools.chain(*itertools.chain(*PHRASINGS.values()))}
    assert not trained & {plain(text) for text in itertools.chain(*HELD_OUT.values())}


@pytest.mark.parametrize(
    "family, kind, cards, answer",
    [
        ("word", "", CARDS, "tiger"),
        ("word", "", CARDS[1:], "there is no word."),
        ("number", "", CARDS, "407"),
        ("shape", "", CARDS, "star"),
        ("shape_colour", "", CARDS, "red"),
        ("shape_colour", "", CARDS[:2], "there is no shape."),
        ("card_colour", "", CARDS[:1], "white"),
        ("card_colour", "", [], "there is no card."),
        ("card_colour_of", "number", CARDS, "blue"),
        ("presence", "", [], "no"),
        ("presence", "", CARDS, "yes"),
        ("presence_of", "number", CARDS[:1], "no"),
        ("text", "", CARDS[1:2], "407"),
    ],
)
def test_answers(family, kind, cards, answer):
    for seed in range(5):
        assert ask(np.random.default_rng(seed), family, cards, kind).answer == answer


def test_the_card_is_only_asked_for_where_there_is_one():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        cards = [random_card(rng, kind) for kind in rng.choice(KINDS, int(rng.integers(4)), replace=False)]
        asked = questions(rng, cards, 6)
        assert len(asked) == 6
        if len(cards) > 1:
            assert not {"card_colour", "text"} & {question.family for question in asked}


def test_packed_questions_are_answered_as_if_asked_alone(tokenizer, language):
    rng = np.random.default_rng(0)
    asked = [questions(rng, CARDS, 3), questions(rng, CARDS[:1], 3)]
    tokens = torch.randn(2, 24, 32)
    prefix = [1, 2, 3]
    ids, targets, segments, offsets = pack(tokenizer, asked)
    families = [[question.family for question in video] for video in asked]
    batch = VideoBatch(tokens, ids, targets, segments, offsets, families, ratio=4, window=8)
    loss, metrics = Student(language, prefix)(batch)
    losses, rights = [], []
    for row, number in itertools.product(range(2), range(3)):
        alone = (segments[row] == number).nonzero().flatten()
        store = condense_batch(language, tokens[row : row + 1], torch.tensor([prefix]), 4, 8)
        positions = torch.arange(store.length, store.length + len(alone))
        hidden = language(language.embed(ids[row][alone][None]), positions, store, keep=False)
        wanted = targets[row][alone]
        logits = language.lm_head(hidden)[0][wanted != IGNORE]
        losses.append(nn.functional.cross_entropy(logits, wanted[wanted != IGNORE], reduction="none"))
        rights.append(bool((logits.argmax(-1) == wanted[wanted != IGNORE]).all()))
    torch.testing.assert_close(loss, torch.cat(losses).mean(), rtol=1e-4, atol=1e-5)
    assert metrics["accuracy"] == pytest.approx(sum(rights) / len(rights))


def test_source_puts_the_labelled_cards_into_the_video(tokenizer):
    rng = np.random.default_rng(0)
    labels = [random_card(rng) for _ in range(40)]
    cards = np.arange(1, 41, dtype=np.float16)[:, None, None] * np.ones((1, 2, 4), np.float16)
    bank = Bank(cards, labels, [np.zeros((9, 2, 4), np.float16), np.zeros((1, 2, 4), np.float16)])
    source = VideoSource(bank, tokenizer, steps=10)
    numbers = 0
    for step in range(10):
        batch, again = source.batch(step), source.batch(step)
        assert torch.equal(batch.tokens, again.tokens) and torch.equal(batch.text_ids, again.text_ids)
        for row in range(len(batch.tokens)):
            seen = {int(value) - 1 for value in batch.tokens[row, :, 0].unique() if value}
            for question_ids in _questions_with_answers(tokenizer, batch, row):
                text, answer = question_ids
                if "what number" in text and "no number" not in answer and "colour" not in text and "color" not in text:
                    assert answer in {labels[index].text for index in seen}
                    numbers += 1
    assert numbers > 10  # the check above was made


def test_cards_stand_at_either_end_more_often_than_chance():
    rng = np.random.default_rng(0)
    cards = np.ones((6, 1, 1), np.float16)
    labels = [Card(kind, "1", "red", "blue") for kind in KINDS for _ in range(2)]
    bank = Bank(cards, labels, [np.zeros((200, 1, 1), np.float16)])
    videos = [random_video(rng, bank, bank.by_kind(), 100)[0][:, 0, 0] for _ in range(600)]
    seen = np.mean([tokens > 0 for tokens in videos], axis=0)
    assert seen[0] > 3 * seen[30:70].mean() / 2 and seen[-1] > 3 * seen[30:70].mean() / 2


def _questions_with_answers(tokenizer, batch, row):
    for number in range(int(batch.segments[row].max()) + 1):
        mine = batch.segments[row] == number
        ids, targets = batch.text_ids[row][mine], batch.targets[row][mine]
        answer = tokenizer.decode(targets[targets != IGNORE], skip_special_tokens=True)
        yield tokenizer.decode(ids[targets == IGNORE], skip_special_tokens=True), answer
