"""The half of a model that needs a memory and no video: it answers, scores, chats, and cuts memories."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .checkpoints.fingerprint import fingerprint
from .checkpoints.parts import Checkpoint
from .engine.answer import Answer, AnswerRequest, Likelihood, likelihoods, stream_answer, whole_answer
from .engine.chat import Conversation
from .engine.evidence import neutral_attention
from .engine.generate import next_logits
from .engine.text import check_length, encode_question, encode_words
from .engine.yes_no import yes_no_ids
from .errors import MemoryFileError
from .memory.edit import slice_memory
from .memory.value import VisualMemory
from .network.devices import cpu_threads, within_memory
from .options import AnswerOptions


class Answering:
    """Answers from memories that a model of the same weights has made.

    Args:
        checkpoint: the model's parts.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checkpoint.config
        self.language = checkpoint.language
        self.tokenizer = checkpoint.tokenizer
        self.fingerprint = checkpoint.fingerprint or fingerprint(checkpoint)

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self.language.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.language.dtype

    @property
    def layer_devices(self) -> list[torch.device]:
        """Where each layer's keys and values are."""
        return [layer.self_attn.o_proj.weight.device for layer in self.language.layers]

    def slice(self, memory: VisualMemory, start: float | None = None, end: float | None = None) -> VisualMemory:
        """Return the memory of a part of the video; see `memory.edit`. The whole one stays as it is.

        Args:
            memory: from `memorize`, with times.
            start: seconds; the part before is left out.
            end: seconds; the part from there on is left out.

        Raises:
            MemoryFileError: none of it is in the range, it has no times, or it was made by another model.
            BudgetError: the device's memory ran out.
        """
        self._check_memory(memory)
        with within_memory(self.device):
            return slice_memory(memory, start, end, self.config.language.rope_theta)

    @torch.no_grad()
    def next_logits(self, memory: VisualMemory, token_ids: Sequence[int] | Tensor) -> Tensor:
        """Return the logits after each of the k tokens that follow the memory, float32 [k, vocab].

        Raises:
            MemoryFileError: the memory was made by another model.
            BudgetError: the device's memory ran out.
        """
        self._check_memory(memory)
        with within_memory(self.device):
            return next_logits(self.language, memory, torch.as_tensor(token_ids, device=self.device))

    def answer(
        self, memory: VisualMemory, question: str, *, options: AnswerOptions | None = None, **changes: Any
    ) -> Iterator[str]:
        """Return an iterator over the pieces of an answer, as they are generated. The memory stays as it is.

        Args:
            memory: from `memorize` or `condense`.
            question: in words.
            options: how the answer is generated; greedily if None.
            **changes: options by name: `max_new_tokens`, `temperature`, `top_k`, `top_p`, `repetition_penalty`,
                `seed`; see `AnswerOptions`.

        Raises:
            QuestionError: the question is empty or too long, or an option is out of range. Raised at once, not by the
                iterator.
            MemoryFileError: the memory was made by another model.
            BudgetError: the device's memory ran out. Raised by the iterator.
        """
        request = self._request(memory, question, options, changes)
        return (piece for piece, _ in stream_answer(request))

    def ask(
        self,
        memory: VisualMemory,
        question: str,
        *,
        options: AnswerOptions | None = None,
        on_piece: Callable[[str], None] | None = None,
        neutral: np.ndarray | None = None,
        **changes: Any,
    ) -> Answer:
        """Return the whole answer with its evidence; the arguments and errors are those of `answer`.

        `on_piece` is called with each piece of the answer as it is generated. `neutral`, from `neutral_attention`, is
        the same for all questions about a memory: give it to compute it only once.
        """
        return whole_answer(self._request(memory, question, options, changes), on_piece, neutral)

    def neutral_attention(self, memory: VisualMemory) -> np.ndarray:
        """Return the attention that a neutral question pays to a memory, which evidence is compared with.

        Returns:
            float64 [slots].

        Raises:
            CheckpointError: the model has no tokenizer.
            MemoryFileError: the memory was made by another model.
            BudgetError: the device's memory ran out.
        """
        self._check_memory(memory)
        with cpu_threads(self.device), within_memory(self.device):
            return neutral_attention(self.language, self.tokenizer, self.config, memory)

    def chat(self, memory: VisualMemory) -> Conversation:
        """Return a conversation about a memory: questions may refer to earlier ones. The memory stays as it is.

        Raises:
            MemoryFileError: the memory was made by another model.
        """
        self._check_memory(memory)
        return Conversation(self.language, self.tokenizer, self.config, memory)

    def score(self, memory: VisualMemory, question: str, answers: Sequence[str | Sequence[int]]) -> list[Likelihood]:
        """Return how likely each of some answers is; the question is read once, and the memory stays as it is.

        Args:
            memory: from `memorize` or `condense`.
            question: in words.
            answers: in words or, where the model writes a text in other tokens than it is read in, as those tokens;
                the end marker is added to each, so that it differs from the beginning of a longer answer.

        Raises:
            QuestionError: the question or an answer is empty, or they are too long.
            MemoryFileError: the memory was made by another model.
            BudgetError: the device's memory ran out.
        """
        self._check_memory(memory)
        end = self.config.eos_token_ids[:1]
        answer_ids = [
            [*(encode_words(self.tokenizer, answer) if isinstance(answer, str) else answer), *end] for answer in answers
        ]
        question_ids = self._question_ids(memory, question, max(map(len, answer_ids), default=1))
        with cpu_threads(self.device), within_memory(self.device):
            return likelihoods(self.language, memory, question_ids, answer_ids)

    def yes_margin(self, memory: VisualMemory, question: str) -> float:
        """Return how much likelier the answer is to begin with yes than with no, in log-probability; see `yes_no`.

        Args:
            memory: from `memorize` or `condense`; it stays as it is.
            question: that can be answered with yes or no.

        Raises:
            QuestionError: the question is empty or too long.
            CheckpointError: the tokenizer writes the two words as the same tokens.
            MemoryFileError: the memory was made by another model.
            BudgetError: the device's memory ran out.
        """
        self._check_memory(memory)
        yes, no = yes_no_ids(self.tokenizer)
        question_ids = self._question_ids(memory, question, max(map(len, [*yes, *no])))
        with cpu_threads(self.device), within_memory(self.device):
            found = likelihoods(self.language, memory, question_ids, [*yes, *no])
        logs = torch.tensor([each.log_probability for each in found], dtype=torch.float64)
        return float(logs[: len(yes)].logsumexp(0) - logs[len(yes) :].logsumexp(0))

    def _request(
        self, memory: VisualMemory, question: str, options: AnswerOptions | None, changes: dict[str, Any]
    ) -> AnswerRequest:
        options = replace(options or AnswerOptions(), **changes)
        self._check_memory(memory)
        question_ids = self._question_ids(memory, question, options.max_new_tokens)
        assert self.tokenizer is not None  # encoding the question needed it
        return AnswerRequest(self.language, self.tokenizer, self.config, memory, question_ids, options)

    def _question_ids(self, memory: VisualMemory, question: str, num_answer: int) -> list[int]:
        question_ids = encode_question(self.tokenizer, self.config.prompt, question)
        check_length(len(question_ids), num_answer, memory.length, self.config.max_positions)
        return question_ids

    def _check_memory(self, memory: VisualMemory) -> None:
        if memory.fingerprint != self.fingerprint:
            raise MemoryFileError(
                f"this memory was made by another model than {self.config.name}",
                "Make the memory again with this model.",
            )
        for (keys, _), layer in zip(memory.layers, self.language.layers, strict=False):
            weight = layer.self_attn.o_proj.weight
            if keys.dtype != weight.dtype:
                raise MemoryFileError(
                    f"this memory is in {keys.dtype}, the model in {weight.dtype}",
                    "Load the model with that dtype, or make the memory again.",
                )
            if keys.device != weight.device:
                raise MemoryFileError(
                    f"this memory is on {keys.device}, the model on {weight.device}",
                    "Load the model on that device, or make the memory again.",
                )
