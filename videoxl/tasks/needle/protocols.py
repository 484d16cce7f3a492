"""How a question is put to a model, and when its answer is right."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import RunError
from .needles import Needle
from .trials import listed, rotations

if TYPE_CHECKING:
    from ...memory.value import VisualMemory
    from ...model import VideoXL

_LETTER_TOKENS, _FREE_TOKENS = 16, 64
MAX_TOKENS = max(_LETTER_TOKENS, _FREE_TOKENS)
_PRIMER = "Best option:("


@dataclass(frozen=True)
class Response:
    """What came of a question: the text as put to the model, its response, and 1.0 if that is right, else 0.0."""

    question: str
    response: str
    score: float


@dataclass(frozen=True)
class Protocol:
    """A way of asking.

    Args:
        name: as on the command line.
        about: what it does, in one sentence.
        needs_options: questions without options cannot be asked.
        rotates: a question of a task is asked once for every rotation of its options; where each option is scored by
            its own text, that would be the same question.
        one_a_second: haystacks are read from their start at one frame a second, not evenly as a whole.
        say: asks a question.
    """

    name: str
    about: str
    needs_options: bool
    rotates: bool
    one_a_second: bool
    say: Callable[["VideoXL", "VisualMemory", Needle], Response]

    def check(self, needle: Needle) -> None:
        """Raise RunError if a needle cannot be asked in this way."""
        if self.needs_options and not needle.options:
            raise RunError(
                f"needle {needle.name!r} has no options, and the protocol {self.name} asks for a choice",
                "Give it options, or use --protocol free.",
            )

    def ask(self, model: "VideoXL", memory: "VisualMemory", needle: Needle, rotated: bool) -> Response:
        """Ask a question; `rotated` asks it once for every rotation of its options: right if all answers are right."""
        turns = rotations(needle) if rotated and self.rotates else (needle,)
        said = [self.say(model, memory, turn) for turn in turns]
        return Response(said[0].question, " | ".join(one.response for one in said), min(one.score for one in said))


def with_options(needle: Needle) -> str:
    """Return the question with its options, worded as in the reference's needle file, which is asked as it is."""
    if needle.asked_as_is or not needle.options:
        return needle.question
    return (
        f"Question: {needle.question} Response the correct choice only.\n"
        f"Options:{listed(needle.options)}\nChoose the best option."
    )


def _choose(model: "VideoXL", memory: "VisualMemory", needle: Needle) -> Response:
    """Reference: no line break after the video, the answer is begun with "Best option:(", greedy; what counts is the
    text before the first closing bracket.
    """
    prompt = model.config.prompt.replace("<image>\n", "<image>") + _PRIMER
    primed = model.with_prompt(prompt)
    memory = replace(memory, fingerprint=primed.fingerprint)  # the prompt before the video is the same
    question = with_options(needle)
    response = primed.ask(memory, question, max_new_tokens=_LETTER_TOKENS).text
    return Response(question, response, float(needle.letter in response.split(")")[0]))


def _match(model: "VideoXL", memory: "VisualMemory", needle: Needle) -> Response:
    """LongVA: the answer is given, and right if each of its tokens is the likeliest after those before it."""
    answer = needle.letter if needle.asked_as_is and needle.options else needle.answer
    (found,) = model.score(memory, needle.question, [answer])
    right = found.num_likeliest >= found.num_tokens - 1  # the end marker does not count
    return Response(needle.question, answer if right else "", float(right))


def _free(model: "VideoXL", memory: "VisualMemory", needle: Needle) -> Response:
    response = model.ask(memory, needle.question, max_new_tokens=_FREE_TOKENS).text
    # A prompt that is asked as it is, with its options, asks for their letter.
    right = {normalised(needle.answer)} | ({needle.letter.lower()} if needle.asked_as_is and needle.options else set())
    return Response(needle.question, response, float(normalised(response) in right - {""}))


def _likeliest(model: "VideoXL", memory: "VisualMemory", needle: Needle) -> Response:
    found = model.score(memory, needle.question, needle.options)
    response = needle.options[int(np.argmax([one.log_probability for one in found]))]
    return Response(needle.question, response, float(response == needle.answer))


def normalised(text: str) -> str:
    """Return small letters without articles, punctuation and more than single spaces, to compare answers by."""
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
