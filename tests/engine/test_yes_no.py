"""How much likelier yes is than no, as the first words of an answer, however the tokenizer writes them."""

import math
from dataclasses import replace

import pytest
import torch
from text_tokenizers import word_tokens
from tiny_models import checkpoint, language_config
from tokenizers import Tokenizer, models

from videoxl import VideoXL, VisualMemory
from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.checkpoints.tokenizer import TextTokenizer, load_tokenizer
from videoxl.engine.text import encode_question
from videoxl.engine.yes_no import yes_no_ids
from videoxl.errors import CheckpointError, QuestionError

YES = ["yes", "Yes", "YES", " yes", " Yes", " YES"]
NO = ["no", "No", "NO", " no", " No", " NO"]


def written(tokenizer: TextTokenizer, sequences: list[list[int]]) -> list[str]:
    return [tokenizer.backend.decode(sequence, skip_special_tokens=False) for sequence in sequences]


def test_every_way_to_write_the_words_counts_once() -> None:
    tokenizer = TextTokenizer(word_tokens(*YES, *NO))
    yes, no = yes_no_ids(tokenizer)
    assert all(len(ids) == 1 for ids in (*yes, *no))
    assert sorted(written(tokenizer, yes)) == sorted(YES) and sorted(written(tokenizer, no)) == sorted(NO)


def test_a_tokenizer_without_case_and_spaces_has_one_token_each() -> None:
    tokenizer = load_tokenizer(checkpoint_folder("videoxl-nano"))
    assert tokenizer is not None
    yes, no = yes_no_ids(tokenizer)
    assert (yes, no) == ([tokenizer.encode("yes")], [tokenizer.encode("no")]) and len(yes[0]) == len(no[0]) == 1


def test_words_that_are_spelled_count_as_a_whole() -> None:
    """The first token of "no" is also that of "nine" and, after a space, that of " yes"."""
    tokenizer = TextTokenizer(word_tokens(" y"))
    yes, no = yes_no_ids(tokenizer)
    assert set(written(tokenizer, yes)) == set(YES) and set(written(tokenizer, no)) == set(NO)


def test_a_tokenizer_that_cannot_tell_them_apart_is_an_error() -> None:
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "maybe": 1}, unk_token="[UNK]"))
    with pytest.raises(CheckpointError, match="yes and no"):
        yes_no_ids(TextTokenizer(backend))


def model_with(tokenizer: TextTokenizer) -> VideoXL:
    parts = checkpoint(language=language_config(vocab_size=400))
    return VideoXL(replace(parts, tokenizer=tokenizer))


def memory_of(model: VideoXL) -> VisualMemory:
    return model.condense(torch.randn(20, 4, 32, generator=torch.Generator().manual_seed(0)), ratio=4)


def probability(model: VideoXL, memory: VisualMemory, text: str) -> float:
    """Of a text as the beginning of an answer, token by token."""
    before = encode_question(model.tokenizer, model.config.prompt, "Is it?")
    ids = model.tokenizer.encode(text)
    logits = model.next_logits(memory, before + ids[:-1])[len(before) - 1 :]
    return math.exp(float(logits.double().log_softmax(-1)[range(len(ids)), ids].sum()))


@pytest.mark.parametrize("words", [(*YES, *NO), ("Yes", " no"), ()], ids=["whole words", "some whole", "all spelled"])
def test_the_margin_is_of_what_an_answer_may_begin_with(words: tuple[str, ...]) -> None:
    model = model_with(TextTokenizer(word_tokens(*words)))
    memory = memory_of(model)
    yes, no = (sum(probability(model, memory, text) for text in texts) for texts in (YES, NO))
    assert model.yes_margin(memory, "Is it?") == pytest.approx(math.log(yes) - math.log(no), abs=1e-3)


def test_an_empty_or_too_long_question_is_refused() -> None:
    model = model_with(TextTokenizer(word_tokens()))
    for question in (" ", "long " * 1000):
        with pytest.raises(QuestionError):
            model.yes_margin(memory_of(model), question)
