"""One memory, several questions: room behind it, and the likelihood of given answers."""

import copy
import dataclasses
import pickle
import threading

import pytest
import torch
from tiny_models import EOS, video_xl

from videoxl import VideoXL, VisualMemory
from videoxl.errors import MemoryFileError, QuestionError


@pytest.fixture(scope="module")
def model() -> VideoXL:
    return video_xl()


@pytest.fixture
def memory(model: VideoXL) -> VisualMemory:
    return model.condense(torch.randn(20, 4, 32), ratio=4)


def test_a_question_is_read_behind_the_memory_without_a_copy(model: VideoXL, memory: VisualMemory) -> None:
    with torch.no_grad():
        first = memory.workspace(40)
        second = memory.workspace(40)  # while the first is in use
        assert first.layers()[0][0].data_ptr() == memory.layers[0][0].data_ptr()
        assert second.layers()[0][0].data_ptr() != memory.layers[0][0].data_ptr()
        del first
        third = memory.workspace(40)
        assert third.layers()[0][0].data_ptr() == memory.layers[0][0].data_ptr()
        del third
        too_long = memory.workspace(memory.buffers.capacity)
        assert too_long.layers()[0][0].data_ptr() != memory.layers[0][0].data_ptr()


def test_bytes_count_the_room_behind_the_memory(memory: VisualMemory) -> None:
    slot = 2 * 2 * 2 * 8 * 4  # layers, keys and values, heads, numbers, bytes a number
    assert memory.num_bytes == memory.buffers.capacity * slot > memory.length * slot


def test_answers_at_the_same_time_are_those_one_after_the_other(model: VideoXL, memory: VisualMemory) -> None:
    questions = ["What?", "Who speaks first?", "Where is it, and when?"]
    alone = [model.ask(memory, question, max_new_tokens=12).text for question in questions]
    found: dict[str, str] = {}
    streams = [model.answer(memory, question, max_new_tokens=12) for question in questions]
    threads = [
        threading.Thread(target=lambda q=q, s=s: found.update({q: "".join(s).strip()}))
        for q, s in zip(questions, streams, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[question] for question in questions] == alone


def test_likelihoods_are_those_of_every_token_in_its_place(model: VideoXL, memory: VisualMemory) -> None:
    prompt = model.config.prompt.partition("<image>")[2].replace("{question}", "What?")
    before = model.tokenizer.encode(prompt)
    answers = ["red", "r", "a long answer"]
    for answer, found in zip(answers, model.score(memory, "What?", answers), strict=True):
        ids = [*model.tokenizer.encode(answer), EOS]
        logits = model.next_logits(memory, before + ids[:-1])[len(before) - 1 :]
        expected = logits.double().log_softmax(-1)[range(len(ids)), ids].sum()
        assert found.log_probability == pytest.approx(float(expected), abs=1e-3)
        assert found.num_tokens == len(ids)


def test_an_answer_can_be_given_in_other_tokens_than_it_is_read_in(model: VideoXL, memory: VisualMemory) -> None:
    texts = ["red", "a long answer"]
    ids = [model.tokenizer.encode(text) for text in texts]
    assert model.score(memory, "What?", [*texts, *ids]) == 2 * model.score(memory, "What?", texts)


def test_the_likelihood_of_an_answer_does_not_depend_on_the_others(model: VideoXL, memory: VisualMemory) -> None:
    scores = dict(zip("abcd", model.score(memory, "Which?", "abcd"), strict=True))
    for order in ("dcba", "bcda", "a"):
        assert model.score(memory, "Which?", order) == [scores[letter] for letter in order]


def test_an_empty_question_or_too_long_an_answer_cannot_be_scored(model: VideoXL, memory: VisualMemory) -> None:
    with pytest.raises(QuestionError):
        model.score(memory, " ", ["yes"])
    with pytest.raises(QuestionError):
        model.score(memory, "What?", ["long " * 1000])


@pytest.mark.parametrize("options", [{"temperature": 2}, {"repetition_penalty": 2}, {"temperature": 1, "top_p": 1}])
def test_whole_numbers_are_as_good_as_others(model: VideoXL, memory: VisualMemory, options: dict[str, int]) -> None:
    as_float = {name: float(value) for name, value in options.items()}
    texts = [model.ask(memory, "What?", max_new_tokens=8, seed=1, **chosen).text for chosen in (options, as_float)]
    assert texts[0] == texts[1]


def test_a_memory_on_another_device_is_refused_in_words(model: VideoXL, memory: VisualMemory) -> None:

    layers = tuple((keys.to("meta"), values.to("meta")) for keys, values in memory.layers)
    elsewhere = dataclasses.replace(memory, layers=layers)
    for use in (lambda: model.ask(elsewhere, "What?"), lambda: model.next_logits(elsewhere, [5])):
        with pytest.raises(MemoryFileError, match="this memory is on meta, the model on cpu"):
            use()


def test_an_answer_that_is_dropped_or_fails_half_way_leaves_the_memory_and_its_room(
    model: VideoXL, memory: VisualMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = model.ask(memory, "What?", max_new_tokens=6).text
    pieces = model.answer(memory, "And where?", max_new_tokens=20)
    next(pieces)
    assert model.ask(memory, "What?", max_new_tokens=6).text == expected
    del pieces
    with torch.no_grad():
        assert memory.workspace(40).layers()[0][0].data_ptr() == memory.layers[0][0].data_ptr()
    broken = model.answer(memory, "And where?", max_new_tokens=20)
    next(broken)
    with monkeypatch.context() as patch:
        patch.setattr(model.language, "forward", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(broken)
    assert model.ask(memory, "What?", max_new_tokens=6).text == expected


def test_other_layers_are_read_though_the_buffers_are_there(model: VideoXL, memory: VisualMemory) -> None:
    zeroed = tuple((torch.zeros_like(keys), torch.zeros_like(values)) for keys, values in memory.layers)
    with_buffers = dataclasses.replace(memory, layers=zeroed)
    without = dataclasses.replace(with_buffers, buffers=None)
    assert torch.equal(model.next_logits(with_buffers, [5]), model.next_logits(without, [5]))


def test_a_memory_can_be_copied_pickled_and_made_under_inference_mode(model: VideoXL, memory: VisualMemory) -> None:
    expected = model.next_logits(memory, [5])
    for other in (copy.deepcopy(memory), pickle.loads(pickle.dumps(memory))):
        assert torch.equal(model.next_logits(other, [5]), expected)
    assert len(pickle.dumps(memory)) < memory.num_bytes  # without the room
    with torch.inference_mode():
        inferred = model.condense(torch.randn(20, 4, 32), ratio=4)
    assert model.ask(inferred, "What?", max_new_tokens=3).num_answer_tokens > 0
