"""Questions and their answers, the phrasings that are held out, and the tokenizer that spells what is read."""

import itertools
import re

import numpy as np
import pytest

from videoxl.nano.phrasings import FRAMED, HELD_OUT, SENTENCES
from videoxl.nano.questions import (
    LAST,
    NOTHING,
    REFUSAL,
    Question,
    ask,
    askable,
    distinct,
    questions,
    thing,
)
from videoxl.nano.tokenizer import answer_ids, build_tokenizer, text_ids
from videoxl.tasks.needle.cards import KINDS, Card, random_card

WORD, NUMBER = Card("word", "tiger", "white", "black"), Card("number", "407", "blue", "yellow")
STAR, CIRCLE = Card("shape", "star", "green", "red"), Card("shape", "circle", "white", "orange")
CARDS = [WORD, NUMBER, STAR]
SLOTS = {"c": "colour", "s": "circle", "k": "number", "ks": "words", "x": "a red star", "y": "a circle", "t": "word"}


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def trained(family):
    return [*itertools.chain(*SENTENCES[family]), *itertools.chain(*FRAMED[family])]


def plain(text):
    """Return what the model reads of a phrasing, whatever fills its gaps: small letters, and no mark at its end."""
    return re.sub(r"\{\w+\}", "_", text).lower().rstrip(".?")


def filled(text):
    for name, value in SLOTS.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@pytest.mark.parametrize("word", ["tiger", "is", "red", "407", "zqx", "a"])
def test_spelled_answers_use_one_token_a_character_and_read_back(tokenizer, word):
    ids = answer_ids(tokenizer, Question("word", "?", word, spelled=True))
    assert len(ids) == len(word) + 1
    assert tokenizer.decode(ids, skip_special_tokens=True) == word
    assert tokenizer.decode(ids[1:], skip_special_tokens=True) == word[1:]


def test_a_description_spells_what_is_read_and_nothing_else(tokenizer):
    text = "the word red, a red circle, the number 40, the word word"
    ids = answer_ids(tokenizer, Question("describe", "?", text, spelled=True))
    assert tokenizer.convert_ids_to_tokens(ids) == [
        *("the", "word", "r", "##e", "##d", ",", "a", "red", "circle", ",", "the", "number", "4", "##0", ","),
        *("the", "word", "w", "##o", "##r", "##d", "<|im_end|>"),
    ]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_fixed_answers_are_whole_words(tokenizer):
    for answer in (LAST, NOTHING, REFUSAL):
        ids = answer_ids(tokenizer, Question("describe", "?", answer))
        assert not any(token.startswith("##") for token in tokenizer.convert_ids_to_tokens(ids)), answer
        assert tokenizer.decode(ids, skip_special_tokens=True) == answer


def test_words_of_the_first_weights_keep_their_ids(tokenizer):
    vocabulary = tokenizer.get_vocab()
    # 4 special tokens, 11 marks, 36 characters twice; then the words of the first year, in order; then later ones.
    assert [vocabulary[word] for word in ("all", "any", "yellow", "yes", "you")] == [87, 88, 172, 173, 174]
    assert min(vocabulary[word] for word in ("after", "how", "describe", "first", "cards")) > 174


def test_no_phrasing_has_an_unknown_word(tokenizer):
    for family in SENTENCES:
        for text in (*trained(family), *HELD_OUT[family]):
            tokens = tokenizer.convert_ids_to_tokens(text_ids(tokenizer, filled(text.replace("{t}s", "words"))))
            assert "[UNK]" not in tokens and not any(token.startswith("##") for token in tokens), text
            assert "[" not in text and "|" not in text


def test_held_out_phrasings_are_not_trained_on():
    assert HELD_OUT.keys() == SENTENCES.keys() == FRAMED.keys()
    seen = {plain(text) for family in SENTENCES for text in trained(family)}
    words = {word for text in seen for word in re.findall("[a-z]+", text)}
    for texts in HELD_OUT.values():
        assert len(texts) >= 4
        assert not seen & {plain(text) for text in texts}
        # Another build, of words that are known: one never seen would say nothing about the build.
        assert {word for text in texts for word in re.findall("[a-z]+", plain(text))} <= words


def test_every_family_has_many_builds():
    for family in SENTENCES:
        assert len(SENTENCES[family]) + len(FRAMED[family]) >= 12
        sentences = [text for text in trained(family) if re.search(r"[.?:] .", text)]
        assert len(sentences) > 10, family  # two sentences, or a lead with a colon


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
        ("card_colour_of", "number", CARDS[:1], "there is no number."),
        ("presence", "", [], "no"),
        ("presence", "", CARDS, "yes"),
        ("presence_of", "number", CARDS[:1], "no"),
        ("presence_of", "number", CARDS, "yes"),
        ("text", "", CARDS[1:2], "407"),
        ("describe", "", [NUMBER, STAR, WORD, CIRCLE], "the number 407, a red star, the word tiger, an orange circle"),
        ("describe", "", [], "there is no card."),
        ("count", "", [WORD, WORD, STAR], "3"),
        ("count", "word", [WORD, WORD, STAR], "2"),
        ("count", "number", [], "0"),
        ("order", "", [WORD, STAR], "the word tiger"),
        ("order", "", [STAR, WORD], "a red star"),
        ("refusal", "", CARDS, "i only know cards."),
    ],
)
@pytest.mark.parametrize("held_out", [False, True])
def test_answers(family, kind, cards, answer, held_out):
    for seed in range(5):
        question = ask(np.random.default_rng(seed), family, cards, kind, held_out)
        assert question.answer == answer
        assert not re.search(r"[{}\[\]|]", question.text), question.text


def test_a_shape_among_others_is_asked_for_by_its_name():
    for seed in range(20):
        question = ask(np.random.default_rng(seed), "shape_colour", [STAR, CIRCLE])
        assert {"star": "red", "circle": "orange"}[re.findall("star|circle", question.text)[0]] == question.answer


def test_what_comes_after_is_the_next_card():
    following = {"the word tiger": "the number 407", "the number 407": "a red star", "the red star": LAST}
    seen = set()
    for seed in range(40):
        question = ask(np.random.default_rng(seed), "after", CARDS)
        (name,) = (name for name in following if name in question.text.lower())
        assert question.answer == following[name]
        seen.add(name)
    assert len(seen) == 3
    assert distinct([WORD, STAR, WORD]) == [1]  # two that nothing tells apart are not asked for


def test_a_certain_thing_is_there_or_nearly_there_or_not():
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(300):
        question = ask(rng, "certain", CARDS)
        text = question.text.lower()
        shown = any(re.search(rf"\b{name}\b", text) for name in ("word tiger", "number 407", "a red star", "a star"))
        assert question.answer == ("yes" if shown else "no"), question
        answers.append(question.answer)
    assert 0.4 < answers.count("yes") / 300 < 0.6
    assert {ask(rng, "certain", []).answer for _ in range(20)} == {"no"}


def test_only_what_has_one_answer_is_asked():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        cards = [random_card(rng) for _ in range(int(rng.integers(7)))]
        asked = [*questions(rng, cards)]
        families = [question.family for question in asked]
        assert len(asked) == len([*askable(cards)]) and {"describe", "count", "certain"} <= {*families}
        of_kind = {kind: [card for card in cards if card.kind == kind] for kind in KINDS}
        for kind in KINDS:
            assert (kind in families) == (len(of_kind[kind]) < 2)
        assert ({"card_colour"} & {*families} != set()) == (len(cards) < 2)
        assert not cards[1:] or "text" not in families
        assert ("order" in families) == (len({*map(thing, cards)}) > 1 and len(distinct(cards)) > 1)
        assert families.count("after") <= max(0, len(cards) - 1)
