"""Protocols: how a question is asked, and how its answer is scored."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import RunError
from .needles import Needle
from .trials import format_options, rotations

if TYPE_CHECKING:
    from ...memory.value import VisualMemory
    from ...model import VideoXL

_LETTER_TOKENS, _FREE_TOKENS = 16, 64
MAX_TOKENS = max(_LETTER_TOKENS, _FREE_TOKENS)
_PRIMER = "Best option:("


@dataclass(frozen=True)
class Response:
    """A question as the model was asked, its response, and a score: 1.0 if the response is right, else 0.0."""

    question: str
    response: str
    score: float


@dataclass(frozen=True)
class Protocol:
    """A way of asking and scoring.

    Args:
        name: on the command line.
        about: description in one sentence.
        needs_options: questions without options cannot be asked.
        rotates: a question of a task is asked once for every rotation of its options; of no use where options are
            scored by their texts.
        one_a_second: haystacks are read from their start at one frame per second, not evenly as a whole.
        ask_once: asks and scores one question.
    """

    name: str
    about: str
    needs_options: bool
    rotates: bool
    one_a_second: bool
    ask_once: Callable[["VideoXL", "VisualMemory", Needle], Response]

    def check(self, needle: Needle) -> None:
        """Raise RunError if a needle cannot be asked with this protocol."""
        if self.needs_options and not needle.options:
            raise RunError(
                f"needle {needle.name!r} has no options, and the protocol {self.name} asks for a choice",
                "Give it options, or use --protocol free.",
            )

    def ask(self, model: "VideoXL", memory: "VisualMemory", needle: Needle, rotated: bool) -> Response:
        """Ask a question; `rotated` asks it once for every rotation of its options: right if all answers are right."""
        variants = rotations(needle) if rotated and self.rotates else (needle,)
        responses = [self.ask_once(model, memory, variant) for variant in variants]
        joined = " | ".join(response.response for response in responses)
        return Response(responses[0].question, joined, min(response.score for response in responses))


def with_options(needle: Needle) -> str:
    """Return the question with its options, worded as in the reference's needle file."""
    if needle.asked_as_is or not needle.options:
        return needle.question
    return (
        f"Question: {needle.question} Response the correct choice only.\n"
        f"Options:{format_options(needle.options)}\nChoose the best option."
    )


def _choose(model: "VideoXL", memory: "VisualMemory", needle: Needle) -> Response:
    """As in the reference: no line break after the video, the answer starts with "Best option:(", greedy decoding; the
    text before the first closing bracket is scored.
    """
    prompt = model.config.prompt.replace("<image>\n", "<image>") + _PRIMER
    primed = model.with_prompt(prompt)
    memory = replace(memory, fingerprint=primed.fingerprint)  # the prefix is the same
    question = with_options(needle)
    response = primed.ask(memory, question, max_new_tokens=_LETTER_TOKENS).text
    return Response(question, response, float(needle.letter in response.split(")")[0]))


def _match(model: "VideoXL", memory: "VisualMemory", needle: Needle) -> Response:
    """As in LongVA: the answer is right if each of its tokens is the likeliest after the tokens before it."""
    answer = needle.letter if needle.asked_as_is and needle.options else needle.answer
    (scored,) = model.score(memory, needle.question, [answer])
    right = scored.num_likeliest >= scored.num_tokens - 1  # the end marker does not count
    return Response(needle.question, answer if right else "", float(right))


def _free(model: "VideoXL", memory: "VisualMemory", needle: Needle) -> Response:
    response = model.ask(memory, needle.question, max_new_tokens=_FREE_TOKENS).text
    # A prompt that is asked as it is, with options, asks for a letter.
    right = {normalised(needle.answer)} | ({needle.letter.lower()} if needle.asked_as_is and needle.options else set())
    return Response(needle.question, response, float(normalised(response) in right - {""}))


def _likeliest(model: "VideoXL", memory: "VisualMemory", needle: Needle) -> Response:
    scored = model.score(memory, needle.question, needle.options)
    response = needle.options[int(np.argmax([option.log_probability for option in scored]))]
    return Response(needle.question, response, float(response == needle.answer))


def normalised(text: str) -> str:
    """Return a text for comparison: lower case, without articles and punctuation, with single spaces."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return " ".join(word for word in words if word not in ("a", "an", "the")) or " ".join(words)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "video-xl", "choose a letter, primed with 'Best option:('; whole film, evenly", True, True, False, _choose
        ),
        Protocol("longva", "teacher-forced exact match of the answer; one frame a second", False, False, True, _match),
        Protocol("free", "short answer, exact match after normalising; whole film, evenly", False, False, False, _free),
        Protocol(
            "likelihood", "the likeliest of the options' own texts; whole film, evenly", True, False, False, _likeliest
        ),
    )
}
