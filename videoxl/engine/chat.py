"""A conversation about one memory: each question is read after the earlier ones and their answers."""

from collections.abc import Callable

import numpy as np
import torch

from ..config import ModelConfig
from ..errors import QuestionError
from ..memory.stores import BufferStore
from ..memory.value import VisualMemory
from ..network.devices import cpu_threads, within_memory
from ..network.qwen2 import VSTQwen2
from ..options import AnswerOptions
from ..planning.budget import DEFAULT_RESERVED_SLOTS
from .answer import Answer, AnswerRequest, History, whole_answer
from .evidence import neutral_attention
from .text import Tokenizer, check_length, encode_next_question, encode_question


class Conversation:
    """Questions and answers that follow one another. The memory stays as it is, and may serve others meanwhile.

    Each turn is read once and stays in the conversation's own store, after the memory.

    Args:
        language: the language model.
        tokenizer: of the model.
        config: of the model.
        memory: what the questions are about.

    Attributes:
        turns: questions with their answers, in order.
    """

    def __init__(
        self, language: VSTQwen2, tokenizer: Tokenizer | None, config: ModelConfig, memory: VisualMemory
    ) -> None:
        self._language = language
        self._tokenizer = tokenizer
        self._config = config
        self._memory = memory
        self._neutral: np.ndarray | None = None  # of the memory, the same for all questions
        self.clear()

    def clear(self) -> None:
        """Forget all turns."""
        self.turns: list[tuple[str, Answer]] = []
        self._history: list[int] = []
        self._unread: list[int] = []  # the last token of an answer that was cut off: generated, and not read
        self._store: BufferStore | None = None

    def ask(
        self,
        question: str,
        options: AnswerOptions | None = None,
        on_piece: Callable[[str], None] | None = None,
    ) -> Answer:
        """Return the answer to the next question, with its evidence.

        An error or Ctrl-C takes the question back: the conversation is then what it was before.

        Args:
            question: in words.
            options: how the answer is generated; greedily if None.
            on_piece: called with each piece of the answer as it is generated.

        Raises:
            QuestionError: the question is empty, or it does not fit after the earlier turns.
            BudgetError: the device's memory ran out.
        """
        options = options or AnswerOptions()
        encode = encode_next_question if self.turns else encode_question
        ids = [*self._unread, *encode(self._tokenizer, self._config.prompt, question)]
        length = self._memory.length + len(self._history)
        self._check_fits(len(ids), options, length)
        assert self._tokenizer is not None  # encoding the question needed it
        with torch.no_grad(), cpu_threads(self._language.device), within_memory(self._language.device):
            if self._neutral is None and self._memory.spans is not None:
                self._neutral = neutral_attention(self._language, self._tokenizer, self._config, self._memory)
            store = self._store_with(length, len(ids) + options.max_new_tokens)
        history = History(store, self._history)
        request = AnswerRequest(self._language, self._tokenizer, self._config, self._memory, ids, options, history)
        try:
            answer = whole_answer(request, on_piece, self._neutral)
        except BaseException:
            store.rewind(length)
            raise
        read = answer.token_ids[:-1]
        self._history += [*ids, *read]
        self._unread = [] if answer.finished else list(answer.token_ids[-1:])
        self.turns.append((question, answer))
        return answer

    def _check_fits(self, num_question: int, options: AnswerOptions, length: int) -> None:
        try:
            check_length(num_question, options.max_new_tokens, length, self._config.max_positions)
        except QuestionError as error:
            if not self.turns:
                raise
            raise QuestionError(str(error), "Begin a new conversation.") from None

    def _store_with(self, length: int, reserved_slots: int) -> BufferStore:
        """Return the conversation's store; a larger one with the same slots if too few are free."""
        if self._store is None:
            self._store = self._memory.workspace(max(reserved_slots, DEFAULT_RESERVED_SLOTS))
        elif length + reserved_slots > self._store.capacity:
            layers = tuple((keys[0], values[0]) for keys, values in self._store.layers())
            self._store = BufferStore.from_layers(layers, length + 2 * max(reserved_slots, DEFAULT_RESERVED_SLOTS))
        return self._store
