"""A conversation is what reading all of it at once would be, and leaves no trace in the memory."""

from collections.abc import Sequence

import pytest
import torch
from tiny_models import video_xl

from videoxl import VideoXL, VisualMemory
from videoxl.engine.generate import generate
from videoxl.engine.text import encode_next_question, encode_question
from videoxl.errors import CheckpointError, QuestionError
from videoxl.options import AnswerOptions

QUESTIONS = ["What is shown?", "And then?", "Who is it?"]
OPTIONS = AnswerOptions(12)


@pytest.fixture(scope="module", params=[(2,), tuple(range(0, 300, 7))], ids=["cut off", "ended"])
def model(request: pytest.FixtureRequest) -> VideoXL:
    """One whose answers run into the limit, and one that ends many of them itself."""
    return video_xl(eos_token_ids=request.param)


@pytest.fixture
def memory(model: VideoXL) -> VisualMemory:
    tokens = torch.randn(20, 4, 32, generator=torch.Generator().manual_seed(0))
    return model.condense(tokens, ratio=4, times=range(20))


@torch.no_grad()
def read_at_once(model: VideoXL, memory: VisualMemory, questions: Sequence[str], limit: int = 12) -> list[list[int]]:
    """Return the tokens of each answer, reading all that was said so far anew for each."""
    said: list[int] = []
    answers = []
    for question in questions:
        encode = encode_next_question if said else encode_question
        said += encode(model.tokenizer, model.config.prompt, question)
        ends = model.config.eos_token_ids
        answer = [s.token_id for s in generate(model.language, memory, torch.tensor(said), AnswerOptions(limit), ends)]
        answers.append(answer)
        said += [token for token in answer if token not in ends]
    return answers


@pytest.mark.usefixtures("always_evidence")
def test_each_answer_is_read_behind_all_that_was_said(model: VideoXL, memory: VisualMemory) -> None:
    before = [tensor.clone() for pair in memory.layers for tensor in pair]
    chat, pieces = model.chat(memory), []
    answers = [chat.ask(question, OPTIONS, pieces.append) for question in QUESTIONS]
    assert [list(answer.token_ids) for answer in answers] == read_at_once(model, memory, QUESTIONS)
    assert "".join("".join(pieces).split()) == "".join("".join(answer.text for answer in answers).split())
    assert chat.turns == list(zip(QUESTIONS, answers, strict=True))
    assert answers[0].text == model.ask(memory, QUESTIONS[0], options=OPTIONS).text
    assert answers[1].token_ids != model.ask(memory, QUESTIONS[1], options=OPTIONS).token_ids
    assert all(answer.evidence for answer in answers)
    assert all(torch.equal(a, b) for a, b in zip(before, (t for p in memory.layers for t in p), strict=True))


def test_it_grows_beyond_the_room_behind_the_memory(model: VideoXL, memory: VisualMemory) -> None:
    questions = [f"{question} {'word ' * 40}" for question in QUESTIONS]
    chat = model.chat(memory)
    answers = [chat.ask(question, OPTIONS) for question in questions]
    assert [list(answer.token_ids) for answer in answers] == read_at_once(model, memory, questions)
    assert memory.buffers is not None
    assert sum(answer.num_question_tokens for answer in answers) > memory.buffers.capacity - memory.length


def test_clear_begins_anew(model: VideoXL, memory: VisualMemory) -> None:
    chat = model.chat(memory)
    first = chat.ask(QUESTIONS[0], OPTIONS)
    chat.ask(QUESTIONS[1], OPTIONS)
    chat.clear()
    assert chat.turns == [] and chat.ask(QUESTIONS[0], OPTIONS).token_ids == first.token_ids


def test_an_interrupted_question_is_taken_back(model: VideoXL, memory: VisualMemory) -> None:
    def interrupt(piece: str) -> None:
        raise KeyboardInterrupt

    chat = model.chat(memory)
    chat.ask(QUESTIONS[0], OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        chat.ask("Something else?", OPTIONS, interrupt)
    assert list(chat.ask(QUESTIONS[1], OPTIONS).token_ids) == read_at_once(model, memory, QUESTIONS)[1]
    assert [question for question, _ in chat.turns] == QUESTIONS[:2]


def test_what_does_not_fit_any_more(model: VideoXL, memory: VisualMemory) -> None:
    chat = model.chat(memory)
    with pytest.raises(QuestionError, match="do not fit") as first:
        chat.ask("x" * 3000, OPTIONS)
    chat.ask(QUESTIONS[0], OPTIONS)
    with pytest.raises(QuestionError, match="do not fit") as later:
        chat.ask("x" * 3000, OPTIONS)
    assert later.value.advice == "Begin a new conversation." != first.value.advice
    with pytest.raises(QuestionError, match="empty"):
        chat.ask(" ", OPTIONS)
    assert len(chat.turns) == 1


def test_a_next_question_ends_the_answer_before_it(model: VideoXL) -> None:
    ids = encode_next_question(model.tokenizer, model.config.prompt, " Who? ")
    expected = "<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    assert ids == model.tokenizer.encode(expected)
    with pytest.raises(CheckpointError, match="no turns"):
        encode_next_question(model.tokenizer, "See <image> {question}", "Who?")
