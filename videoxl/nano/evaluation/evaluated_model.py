"""Who is examined: what an evaluation asks of a model."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ...memory.value import VisualMemory
from ...model import VideoXL
from ..questions import Question

_PER_CARD = 16  # tokens that naming one card may take


class EvaluatedModel(Protocol):
    """What can be asked of whoever is examined. A model is shown a question's text, and not its answer."""

    def encode(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """Return visual tokens [t, p, hidden] of pictures uint8 [h, w, 3] of any sizes."""

    def condense(self, tokens: Tensor) -> VisualMemory:
        """Return the memory of a video's visual tokens [t, p, hidden]."""

    def zeroed(self, memory: VisualMemory) -> VisualMemory:
        """Return the memory with all that it knows of the video taken out."""

    def answer(self, memory: VisualMemory, question: Question, most_cards: int = 1) -> str:
        """Return the answer, long enough to name so many cards."""

    def choose(self, memory: VisualMemory, question: Question, options: Sequence[str]) -> int:
        """Return which of some answers is the likeliest."""


class ModelSubject:
    """A model, at one ratio.

    Args:
        model: answers greedily.
        ratio: visual tokens per VST.
    """

    def __init__(self, model: VideoXL, ratio: int) -> None:
        self._model, self._ratio = model, ratio

    def encode(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """Return visual tokens; pictures of one size go through the vision tower together."""
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, picture in enumerate(pictures):
            by_shape[picture.shape].append(index)
        order = [index for indices in by_shape.values() for index in indices]
        parts = [self._model.encode_frames(np.stack([pictures[i] for i in indices])) for indices in by_shape.values()]
        return torch.cat(parts)[np.argsort(order)]

    def condense(self, tokens: Tensor) -> VisualMemory:
        """Return the memory of a video."""
        return self._model.condense(tokens, ratio=self._ratio)

    def zeroed(self, memory: VisualMemory) -> VisualMemory:
        """Return the memory with the keys and values of its VSTs set to zero; the prefix stays."""
        keep = len(memory.prefix_ids)
        layers = []
        for keys, values in memory.layers:
            keys, values = keys.clone(), values.clone()
            keys[:, keep:], values[:, keep:] = 0, 0
            layers.append((keys, values))
        # Its buffers hold the memory as it was: a question behind them would see what was taken out.
        return dataclasses.replace(memory, layers=tuple(layers), buffers=None)

    def answer(self, memory: VisualMemory, question: Question, most_cards: int = 1) -> str:
        """Return the greedy answer in small letters."""
        answer = self._model.ask(memory, question.text, max_new_tokens=_PER_CARD * most_cards)
        return answer.text.strip().lower()

    def choose(self, memory: VisualMemory, question: Question, options: Sequence[str]) -> int:
        """Return the option whose tokens, with the end marker, are the likeliest together."""
        answers = [self._spelled(option) or option for option in options] if question.spelled else options
        found = self._model.score(memory, question.text, answers)
        return int(np.argmax([likelihood.log_probability for likelihood in found]))

    def _spelled(self, text: str) -> list[int]:
        """Return the tokens of a text spelled character by character, as videoxl-nano says what it reads.

        Empty if the vocabulary has no such tokens.
        """
        tokenizer = self._model.tokenizer
        names = [f"##{character}" if place else character for place, character in enumerate(text)]
        found = [tokenizer.backend.token_to_id(name) for name in names] if tokenizer else []
        ids = [token_id for token_id in found if token_id is not None]
        return ids if len(ids) == len(text) else []
