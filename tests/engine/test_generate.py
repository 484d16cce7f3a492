"""Answers: against transformers' generate, from an unchanged memory, streamed in whole characters."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_models import EOS, byte_tokenizer, language_config, oracle, video_xl

from videoxl.engine.generate import generate
from videoxl.engine.text import TextStream
from videoxl.errors import CheckpointError, MemoryFileError, QuestionError
from videoxl.memory.value import VisualMemory
from videoxl.options import AnswerOptions


@pytest.fixture(scope="module")
def model():
    return video_xl()


@pytest.fixture(scope="module")
def memory(model):
    return model.condense(torch.randn(20, 4, 32), ratio=4, times=np.arange(20.0))


@pytest.mark.parametrize("penalty", [1.0, 1.3])
@torch.no_grad()
def test_greedy_equals_transformers(model, penalty):
    plain = oracle(language_config())
    model.language.load_state_dict(plain.state_dict(), strict=False)
    ids = torch.randint(3, 300, (1, 12))
    expected = plain.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20, repetition_penalty=penalty
    )
    nothing = VisualMemory(layers=())
    options = AnswerOptions(max_new_tokens=20, repetition_penalty=penalty)
    steps = generate(model.language, nothing, ids[0], options, (EOS,))
    assert [step.token_id for step in steps] == expected[0, 12:].tolist()


@torch.no_grad()
def test_next_logits_are_those_of_each_token(model, memory):
    ids = [7, 8, 9]
    logits = model.next_logits(memory, ids)
    assert logits.shape == (3, 300) and logits.dtype == torch.float32
    for count in (1, 2):
        torch.testing.assert_close(model.next_logits(memory, ids[:count]), logits[:count], atol=1e-4, rtol=1e-4)
    first = next(generate(model.language, memory, torch.tensor(ids), AnswerOptions()))
    torch.testing.assert_close(first.logits, logits[-1], atol=1e-4, rtol=1e-4)


def test_the_head_runs_on_asked_positions_only(model, memory):
    seen = []
    hook = model.language.lm_head.register_forward_hook(lambda module, args, output: seen.append(args[0].shape))
    model.condense(torch.randn(20, 4, 32), ratio=4)
    assert not seen
    model.ask(memory, "What is it?", max_new_tokens=2)
    model.next_logits(memory, [1, 2, 3])
    hook.remove()
    assert [tuple(shape) for shape in seen][-1] == (1, 3, 32)
    assert all(shape.numel() == 32 for shape in seen[:-1])


def test_questions_do_not_see_each_other(model, memory):
    before = [tensor.clone() for pair in memory.layers for tensor in pair]
    second = model.ask(memory, "And then?", max_new_tokens=8)
    alone = model.next_logits(memory, [5, 6])
    model.ask(memory, "Who speaks first, and about what?", max_new_tokens=30)
    stopped = model.answer(memory, "Interrupted", max_new_tokens=30)
    next(stopped)
    assert (model.next_logits(memory, [5, 6]) == alone).all()
    assert model.ask(memory, "And then?", max_new_tokens=8).text == second.text
    after = [tensor for pair in memory.layers for tensor in pair]
    assert all((ours == expected).all() for ours, expected in zip(after, before, strict=True))


def test_answers_can_be_read_in_turns(model, memory):
    questions = ("First?", "Second one?")
    whole = ["".join(model.answer(memory, question, max_new_tokens=12)) for question in questions]
    streams = [model.answer(memory, question, max_new_tokens=12) for question in questions]
    pieces = ["", ""]
    for _ in range(20):
        for index, stream in enumerate(streams):
            pieces[index] += next(stream, "")
    assert pieces == whole


def test_ask_equals_the_stream_and_counts(model, memory):
    answer = model.ask(memory, "What is it?", max_new_tokens=9)
    assert answer.text == "".join(model.answer(memory, "What is it?", max_new_tokens=9)).strip()
    # user's turn: newline after the image, question, marker, newline, marker, "assistant" and newline, in bytes
    assert answer.num_question_tokens == 1 + len("What is it?") + 2 + 1 + len("assistant\n")
    assert answer.num_answer_tokens == 9 or answer.finished
    assert 0 < answer.timings["first_token"] <= answer.timings["answer"]
    assert model.ask(memory, "What is it?", max_new_tokens=9, repetition_penalty=None).text == answer.text


def test_the_end_marker_ends_an_answer(model, memory):
    ids = torch.tensor([5, 6])
    tokens = [step.token_id for step in generate(model.language, memory, ids, AnswerOptions(10))]
    stop = tokens[4]
    until = tokens[: tokens.index(stop) + 1]
    assert [step.token_id for step in generate(model.language, memory, ids, AnswerOptions(10), (299, stop))] == until


def test_sampling_follows_its_seed_and_limits(model, memory):
    ids = torch.tensor([5, 6])

    def draw(**options):
        return [s.token_id for s in generate(model.language, memory, ids, AnswerOptions(12, **options))]

    greedy = draw()
    assert draw(temperature=1.0, top_k=1) == greedy
    assert draw(temperature=1.0, top_p=1e-6) == greedy
    assert draw(temperature=50.0, seed=1) == draw(temperature=50.0, seed=1) != draw(temperature=50.0, seed=2)
    state = torch.get_rng_state()
    draw(temperature=50.0, seed=1)
    assert (torch.get_rng_state() == state).all()


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"top_k": -1}])
def test_impossible_sampling(model, memory, wrong):
    with pytest.raises(QuestionError, match="out of range"):
        model.answer(memory, "What?", **wrong)


@pytest.mark.parametrize("question", ["", "  \n"])
def test_empty_question(model, memory, question):
    with pytest.raises(QuestionError, match="empty"):
        model.answer(memory, question)  # at once, before the first piece is asked for
    with pytest.raises(QuestionError, match="empty"):
        model.ask(memory, question)


def test_question_too_long(model, memory):
    with pytest.raises(QuestionError, match="2048 positions"):
        model.answer(memory, "long " * 400)
    with pytest.raises(QuestionError, match="do not fit"):
        model.answer(memory, "short", max_new_tokens=3000)
    with pytest.raises(QuestionError, match="max_new_tokens 0 is out of range"):
        model.answer(memory, "short", max_new_tokens=0)


def test_a_memory_of_another_dtype(memory):
    layers = tuple((keys.half(), values.half()) for keys, values in memory.layers)
    with pytest.raises(MemoryFileError, match=r"float16, the model in torch\.float32"):
        video_xl().answer(dataclasses.replace(memory, layers=layers), "What?")


def test_a_memory_of_another_model(memory):
    other = video_xl()
    other.fingerprint = "other"
    with pytest.raises(MemoryFileError, match="another model"):
        other.answer(memory, "What?")
    with pytest.raises(MemoryFileError, match="another model"):
        other.next_logits(memory, [1])


def test_without_a_tokenizer(memory):
    model = video_xl()
    model.tokenizer = None
    with pytest.raises(CheckpointError, match="no tokenizer"):
        model.ask(memory, "What?")
    assert model.condense(torch.randn(8, 4, 32), ratio=4, prefix_ids=[1, 2]).length == 10


def test_prompt_surrounds_the_memory(model):
    memory = model.condense(torch.randn(3, 4, 32), ratio=4)
    text = model.tokenizer.backend.decode(list(memory.prefix_ids), skip_special_tokens=False)
    assert text == "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    assert memory.length == len(memory.prefix_ids) + 3


@pytest.mark.parametrize("text", ["Grüße, 世界! 👋🏽 done", " spaces  kept ", "a"])
def test_stream_gives_whole_characters(text):
    tokenizer = byte_tokenizer()
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer.encode(text)]
    assert len(pieces) >= len(text.encode())
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + stream.finish() == text


def test_stream_gives_a_cut_character_at_the_end():
    tokenizer = byte_tokenizer()
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer.encode("a👋")[:3]]
    assert pieces == ["a", "", ""]
    assert stream.finish() == "\ufffd"
