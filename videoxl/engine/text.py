"""Text on its way into tokens and out of them: the prompt, the question, the streamed answer."""

from collections.abc import Sequence
from typing import Protocol

from ..errors import CheckpointError, QuestionError, check_not_empty

_TURN_START = "<|im_start|>"


class Tokenizer(Protocol):
    """Text to token ids and back."""

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, chat markers included and nothing added."""

    def encode_prompt(self, parts: Sequence[str], words: str) -> list[int]:
        """Return the tokens of parts with a user's words between them; only the parts may have chat markers."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of some tokens, without chat markers."""


class TextStream:
    """Turns tokens into text piece by piece; characters that take several tokens come out whole.

    A token's text can depend on the one before it (spaces, bytes of one character), so each piece is the difference
    between two decodings that start at the same token.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._start = 0
        self._shown = 0

    def push(self, token_id: int) -> str:
        """Return the text that this token completes, perhaps none."""
        self._ids.append(token_id)
        text = self._decode(self._start, None)
        if text.endswith("\ufffd"):  # the first bytes of a character
            return ""
        return self._advance(text)

    def finish(self) -> str:
        """Return what is left, as it is."""
        return self._advance(self._decode(self._start, None))

    def _advance(self, text: str) -> str:
        piece = text[len(self._decode(self._start, self._shown)) :]
        self._start, self._shown = self._shown, len(self._ids)
        return piece

    def _decode(self, start: int, end: int | None) -> str:
        return self._tokenizer.decode(self._ids[start:end])


def encode(tokenizer: Tokenizer | None, text: str) -> list[int]:
    """Return the tokens of a text, chat markers included and nothing added: nothing that a user wrote.

    Raises:
        CheckpointError: there is no tokenizer.
    """
    return _known(tokenizer).encode(text)


def encode_words(tokenizer: Tokenizer | None, words: str) -> list[int]:
    """Return the tokens of a user's words; chat markers among them are text like any other.

    Raises:
        CheckpointError: there is no tokenizer.
    """
    return _known(tokenizer).encode_prompt(("", ""), words)


def encode_prefix(tokenizer: Tokenizer | None, prompt: str) -> list[int]:
    """Return the tokens before the video: the part of the prompt before `<image>`."""
    return encode(tokenizer, prompt.partition("<image>")[0])


def encode_question(tokenizer: Tokenizer | None, prompt: str, question: str) -> list[int]:
    """Return the tokens after the video: the part of the prompt after `<image>` with the question put in.

    Raises:
        QuestionError: the question is empty.
    """
    check_not_empty(question)
    return _encode_filled(tokenizer, prompt.partition("<image>")[2], question)


def encode_next_question(tokenizer: Tokenizer | None, prompt: str, question: str) -> list[int]:
    """Return the tokens after an answer: its end, and the next question in a turn of its own.

    Raises:
        QuestionError: the question is empty.
        CheckpointError: the prompt has no turns.
    """
    check_not_empty(question)
    before, _, after = prompt.partition("<image>")
    opening = before.rfind(_TURN_START)
    answering = after.rfind(_TURN_START)
    if opening < 0 or answering < 0:
        raise CheckpointError("this model's prompt has no turns", "Ask single questions with videoxl ask.")
    closing = after[after.index("{question}") + len("{question}") : answering]
    turn = before[opening:] + after.lstrip("\n")
    return _encode_filled(tokenizer, closing + turn, question)


def _encode_filled(tokenizer: Tokenizer | None, template: str, question: str) -> list[int]:
    return _known(tokenizer).encode_prompt(template.split("{question}"), question.strip())


def _known(tokenizer: Tokenizer | None) -> Tokenizer:
    if tokenizer is None:
        raise CheckpointError(
            "this checkpoint has no tokenizer", "Add tokenizer files to its folder, or use token ids."
        )
    return tokenizer


def check_length(num_question: int, max_new_tokens: int, memory_length: int, max_positions: int) -> None:
    """Raise QuestionError if memory, question and answer do not fit the model's positions."""
    free = max_positions - memory_length
    if num_question + max_new_tokens > free:
        raise QuestionError(
            f"a question of {num_question} tokens and an answer of up to {max_new_tokens} do not fit: "
            f"{free} of {max_positions} positions are free",
            "Ask a shorter question, allow a shorter answer, or use fewer frames or a higher ratio.",
        )
