"""From a memory and tokens to more tokens.

A small loop of our own rather than transformers' `generate`: it is a plain generator, so text streams without a second
thread and can be stopped at any piece; it writes into one buffer made for memory, question and answer; and positions
are passed, never inferred. The rules that change the scores are transformers' own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..memory.stores import BufferStore
from ..memory.value import VisualMemory
from ..network.attention import AttentionProbe
from ..network.qwen2 import VSTQwen2
from ..options import AnswerOptions
from .cuda_graph import RecordedDecoder, can_record

_TOKENS_BEFORE_RECORDING = 4  # tokens of an answer: to record one takes about as long as so many of them
Rule = Callable[[Tensor, Tensor], Tensor]  # (tokens so far [1, n], scores [1, vocab]) -> scores


def sampling_rules(options: AnswerOptions) -> list[Rule]:
    """Return what changes the scores, in the order in which transformers applies it: its own rules.

    Most answers need none of them, and importing them takes seconds: that happens only where one is used.
    """
    rules: list[Rule] = []
    if options.repetition_penalty not in (None, 1.0):
        from transformers import RepetitionPenaltyLogitsProcessor

        rules.append(RepetitionPenaltyLogitsProcessor(float(options.repetition_penalty)))
    if options.temperature not in (0.0, 1.0):
        from transformers import TemperatureLogitsWarper

        rules.append(TemperatureLogitsWarper(float(options.temperature)))
    if options.temperature and options.top_k:
        from transformers import TopKLogitsWarper

        rules.append(TopKLogitsWarper(options.top_k))
    if options.temperature and options.top_p < 1.0:
        from transformers import TopPLogitsWarper

        rules.append(TopPLogitsWarper(float(options.top_p)))
    return rules


@dataclass(frozen=True, eq=False)
class Step:
    """One generated token.

    Args:
        token_id: the choice.
        logits: [vocab] float32, of the model.
        scores: [vocab] float32, what the choice was made from.
    """

    token_id: int
    logits: Tensor
    scores: Tensor


def read(language: VSTQwen2, store: BufferStore, token_ids: Tensor, probe: AttentionProbe | None = None) -> Tensor:
    """Read text tokens [1, n] after what the store holds, keep them there, and return hidden states [1, n, h]."""
    positions = torch.arange(store.length, store.length + token_ids.shape[1], device=token_ids.device)
    hidden = language(language.embed(token_ids), positions, store, probe=probe)
    store.advance(token_ids.shape[1])
    return hidden


def next_logits(language: VSTQwen2, memory: VisualMemory, token_ids: Tensor) -> Tensor:
    """Return the logits after each of the k tokens [k] that follow the memory, float32 [k, vocab]."""
    store = memory.workspace(len(token_ids))
    return language.logits(read(language, store, token_ids[None]))[0]


def generate(
    language: VSTQwen2,
    memory: VisualMemory,
    token_ids: Tensor,
    options: AnswerOptions,
    eos_token_ids: Sequence[int] = (),
    context_ids: Tensor | None = None,
    probe: AttentionProbe | None = None,
    store: BufferStore | None = None,
) -> Iterator[Step]:
    """Yield the tokens of an answer, up to and including one that ends it. The memory stays as it is.

    Args:
        language: the language model.
        memory: what is read before the tokens; may be empty.
        token_ids: [n] tokens that follow the memory: question and chat markers.
        options: how many tokens, and how they are chosen; a repetition penalty of None means 1.
        eos_token_ids: tokens that end the answer.
        context_ids: [m] tokens that a repetition penalty counts as having occurred; `token_ids` if None.
        probe: looks at the attention of every forward.
        store: begins with the memory and the conversation so far, and has enough free slots; a new one if None. All
            tokens but the last are left in it.
    """
    rules = sampling_rules(options)
    if store is None:
        store = memory.workspace(len(token_ids) + options.max_new_tokens)
    occurred = (token_ids if context_ids is None else context_ids)[None]
    generator = None
    if options.temperature and options.seed is not None:
        generator = torch.Generator(token_ids.device).manual_seed(options.seed)
    step_ids = token_ids[None]
    reader: RecordedDecoder | None = None
    for number in range(options.max_new_tokens):
        if number == _TOKENS_BEFORE_RECORDING and can_record(language):
            reader = RecordedDecoder(language, store, probe)
        hidden = read(language, store, step_ids, probe) if reader is None else reader.read(step_ids)
        logits = language.logits(hidden[:, -1])
        scores = logits.clone() if rules else logits  # a rule may work in place
        for rule in rules:
            scores = rule(occurred, scores)
        if options.temperature:
            step_ids = torch.multinomial(scores.softmax(-1), 1, generator=generator)
        else:
            step_ids = scores.argmax(-1, keepdim=True)
        if rules:
            occurred = torch.cat([occurred, step_ids], dim=1)
        step = Step(int(step_ids), logits[0], scores[0])
        yield step
        if step.token_id in eos_token_ids:
            return
