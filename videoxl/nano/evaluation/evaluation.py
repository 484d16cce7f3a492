"""What all trials of an evaluation share, and the conditions under which the same question is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...memory.value import VisualMemory
from ...tasks.needle.cards import Card
from ...tasks.tables import Table
from ..questions import Question, ask
from .evaluated_model import EvaluatedModel
from .footage import Footage, Haystack, put

AS_IS, REWORDED, REMOVED, ZEROED = "as shown", "new phrasing", "cards removed", "VSTs zeroed"
CONDITIONS = (AS_IS, REWORDED, REMOVED, ZEROED)


@dataclass(frozen=True)
class Evaluation:
    """What all trials share.

    Args:
        subject: answers.
        footage: the haystack.
        rng: of all that is drawn.
        held_out: fonts and styles of plate are such as training never shows.
        on_progress: is told what is being done.
    """

    subject: EvaluatedModel
    footage: Footage
    rng: np.random.Generator
    held_out: bool = True
    on_progress: Callable[[str], None] = lambda text: None

    def frames(self, low: int, high: int) -> int:
        """Return a number of frames, log-uniform from `low` to `high`."""
        return int(np.exp(self.rng.uniform(np.log(low), np.log(high + 1))))

    def put(self, hay: Haystack, cards: Mapping[int, Card], held_out: bool | None = None) -> Tensor:
        """Return the video's visual tokens with cards at some frames, see `put`."""
        return put(self.rng, self.subject, hay, cards, self.held_out if held_out is None else held_out)

    def memories(self, hay: Haystack, tokens: Tensor) -> dict[str, VisualMemory]:
        """Return the memory of a video by condition: as it is, and both controls."""
        full = self.subject.condense(tokens)
        return {AS_IS: full, REMOVED: self.subject.condense(hay.tokens), ZEROED: self.subject.zeroed(full)}

    def ask(
        self, family: str, cards: Sequence[Card], kind: str = "", held_out: bool = False, answer: str = ""
    ) -> Question:
        """Return a question, see `world.questions.ask`; until it has this answer, if one is given."""
        while True:
            question = ask(self.rng, family, cards, kind, held_out)
            if not answer or question.answer == answer:
                return question

    def says(self, memory: VisualMemory, question: Question) -> bool:
        """Return whether the answer is the question's."""
        return self.subject.answer(memory, question) == question.answer

    def count(
        self,
        table: Table,
        rows: Sequence[str],
        memories: Mapping[str, VisualMemory],
        family: str,
        cards: Sequence[Card],
        kind: str = "",
    ) -> None:
        """Ask the same under all conditions, and once in other words, and count in these rows where the answer is said.

        Without the cards, it is still the cards' answer that is counted.
        """
        question = self.ask(family, cards, kind)
        said = {name: self.says(memory, question) for name, memory in memories.items()}
        said[REWORDED] = self.says(memories[AS_IS], self.ask(family, cards, kind, held_out=True))
        for row in rows:
            for condition, is_said in said.items():
                table.add(row, condition, is_said)
