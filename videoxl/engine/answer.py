"""From a memory and a question in words to an answer in words, and to how likely given answers are."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..config import ModelConfig
from ..memory.stores import BufferStore
from ..memory.value import VisualMemory
from ..network.attention import AttentionProbe
from ..network.devices import cpu_threads, within_memory
from ..network.qwen2 import VSTQwen2
from ..options import AnswerOptions
from .evidence import AttentionTrace, Evidence, find_evidence, neutral_attention
from .generate import generate, read
from .text import TextStream, Tokenizer


@dataclass(frozen=True)
class Answer:
    """An answer and what it took.

    Args:
        text: the answer, without white space around it.
        num_question_tokens: tokens read after the memory, chat markers included.
        num_answer_tokens: tokens generated, the end marker included.
        finished: whether the model ended the answer itself, rather than the limit on tokens.
        evidence: stretches of the video that the answer comes from, best first; none if their times are unknown, or if
            it found nothing there.
        timings: seconds; "first_token" and "answer" (all of it, evidence included).
        token_ids: the tokens generated.
    """

    text: str
    num_question_tokens: int
    num_answer_tokens: int
    finished: bool
    evidence: tuple[Evidence, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    token_ids: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class History:
    """The part of a conversation before a question.

    Args:
        store: begins with the memory and these tokens, and has free slots for the question and its answer.
        token_ids: questions, answers and the chat around them.
    """

    store: BufferStore
    token_ids: Sequence[int]


@dataclass(frozen=True, eq=False)
class AnswerRequest:
    """A question about a memory, and the model that answers it.

    Args:
        language: the language model.
        tokenizer: of the model.
        config: of the model.
        memory: what the question is about; it stays as it is.
        question_ids: tokens of the question and the chat around it.
        options: how the answer is generated.
        history: the conversation so far; None if the question is the first.
    """

    language: VSTQwen2
    tokenizer: Tokenizer
    config: ModelConfig
    memory: VisualMemory
    question_ids: Sequence[int]
    options: AnswerOptions
    history: History | None = None


@dataclass(frozen=True)
class Likelihood:
    """How likely a given answer is.

    Args:
        log_probability: natural logarithm of the probability of all its tokens, the end marker included if it has one.
        num_tokens: how many those are.
        num_likeliest: how many of them, from the first on, are the likeliest at their position: what greedy decoding
            would give.
    """

    log_probability: float
    num_tokens: int
    num_likeliest: int


def stream_answer(request: AnswerRequest, probe: AttentionProbe | None = None) -> Iterator[tuple[str, int | None]]:
    """Yield pieces of text with the token that completed them; the end marker has no text, the rest no token.

    Args:
        request: what is asked, and of which model.
        probe: looks at the attention of every forward.

    Raises:
        BudgetError: the device's memory ran out.
    """
    language, memory, options, history = request.language, request.memory, request.options, request.history
    device, eos_token_ids = language.device, request.config.eos_token_ids
    if options.repetition_penalty is None:
        options = replace(options, repetition_penalty=request.config.repetition_penalty)
    stream = TextStream(request.tokenizer)
    token_ids = torch.tensor(request.question_ids, device=device)
    history_ids = [] if history is None else history.token_ids
    context_ids = torch.tensor([*memory.prefix_ids, *history_ids, *request.question_ids], device=device)
    store = None if history is None else history.store
    steps = generate(language, memory, token_ids, options, eos_token_ids, context_ids, probe, store)
    while True:
        # The mode is thread state: a generator that held it between pieces would change its caller's.
        with torch.inference_mode(), cpu_threads(device), within_memory(device):
            step = next(steps, None)
        if step is None:
            break
        is_end = step.token_id in eos_token_ids
        yield "" if is_end else stream.push(step.token_id), step.token_id
    yield stream.finish(), None


def whole_answer(
    request: AnswerRequest,
    on_piece: Callable[[str], None] | None = None,
    neutral: np.ndarray | None = None,
) -> Answer:
    """Return the answer that `stream_answer` yields, with its evidence.

    Args:
        request: what is asked, and of which model.
        on_piece: called with each piece of the text as it comes, so that an answer can be shown before it is whole.
        neutral: what `neutral_attention` returns for the memory, if it is known already.

    Raises:
        BudgetError: the device's memory ran out.
    """
    language, memory, history = request.language, request.memory, request.history
    started = time.perf_counter()
    first = 0.0
    pieces, tokens = [], []
    num_history = 0 if history is None else len(history.token_ids)
    trace = None if memory.spans is None else AttentionTrace(memory.length, num_history)
    for piece, token_id in stream_answer(request, trace):
        first = first or time.perf_counter() - started
        pieces.append(piece)
        if on_piece is not None:
            on_piece(piece)
        tokens += [] if token_id is None else [token_id]
    evidence: tuple[Evidence, ...] = ()
    if trace is not None:
        with cpu_threads(language.device), within_memory(language.device):
            if neutral is None:
                neutral = neutral_attention(language, request.tokenizer, request.config, memory)
            evidence = find_evidence(memory, trace.mean(), neutral)
    timings = {"first_token": first, "answer": time.perf_counter() - started}
    finished = bool(tokens) and tokens[-1] in request.config.eos_token_ids
    text = "".join(pieces).strip()
    return Answer(text, len(request.question_ids), len(tokens), finished, evidence, timings, tuple(tokens))


@torch.no_grad()
def likelihoods(
    language: VSTQwen2, memory: VisualMemory, question_ids: Sequence[int], answers: Sequence[Sequence[int]]
) -> list[Likelihood]:
    """Return how likely each of some answers, or beginnings of answers, is after a question, which is read once.

    Args:
        language: the language model.
        memory: what is read before the question.
        question_ids: tokens of the question and the chat around it.
        answers: tokens of each answer; with the end marker, if nothing else is to follow; at least one each.
    """
    device = language.device
    store = memory.workspace(len(question_ids) + max(map(len, answers), default=0))
    after_question = language.logits(read(language, store, torch.tensor([question_ids], device=device))[:, -1:])
    found = []
    for answer in answers:
        ids = torch.tensor([answer], device=device)
        logits = after_question
        if len(answer) > 1:
            positions = torch.arange(store.length, store.length + len(answer) - 1, device=device)
            hidden = language(language.embed(ids[:, :-1]), positions, store, keep=False)
            logits = torch.cat([after_question, language.logits(hidden)], dim=1)
        chosen = logits.log_softmax(-1).gather(2, ids[..., None])
        likeliest = (logits.argmax(-1) == ids).long().cumprod(-1)
        found.append(Likelihood(float(chosen.double().sum()), len(answer), int(likeliest.sum())))
    return found
