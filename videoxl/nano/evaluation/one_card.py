"""Trials with one card: every family, by depth in long videos, and among options."""

from collections.abc import Sequence

from ...tasks.needle.cards import KINDS, Card
from ...tasks.tables import Table
from .evaluation import AS_IS, CONDITIONS, REMOVED, ZEROED, Evaluation
from .footage import WORDS, held_out_card

DEPTHS = (0, 25, 50, 75, 100)
FEWER_DEPTHS = (0, 50, 100)
_FAMILIES = {
    "word": ("word", "card_colour", "presence"),
    "number": ("number", "card_colour", "presence"),
    "shape": ("shape", "shape_colour", "card_colour", "presence"),
}
_WORDS = ("English word", "letters, 3-6", "letters, 7-8")
_ROWS = (*_WORDS, "number", "shape", "shape_colour", "card_colour", "presence")
_OTHERS = 3  # options beside the right one
_FONTS = {False: "word, training's fonts", True: "word, held-out fonts"}


def _row(family: str, card: Card) -> str:
    if family != "word":
        return family
    return _WORDS[0] if card.text in WORDS else _WORDS[1] if len(card.text) <= 6 else _WORDS[2]


def every_family(exam: Evaluation, trials: int) -> Table:
    """Run `trials` videos of 16 to 256 frames for each kind of card, twice as many for words."""
    table = Table("One card in 16 to 256 frames", _ROWS, CONDITIONS)
    for kind in KINDS:
        for trial in range(2 * trials if kind == "word" else trials):
            hay = exam.footage.joined(exam.rng, exam.frames(16, 256))
            card = held_out_card(exam.rng, kind, english=trial % 2 == 0)
            place = int(exam.rng.integers(len(hay.pictures)))
            memories = exam.memories(hay, exam.put(hay, {place: card}))
            for family in _FAMILIES[kind]:
                exam.count(table, [_row(family, card)], memories, family, [card], kind)
        exam.on_progress(f"one card: {kind}s done")
    return table


def by_depth(exam: Evaluation, trials: int, frames: int, depths: Sequence[int]) -> Table:
    """Run `trials` videos of so many frames for each kind of card and depth (per cent); words in both sorts of fonts.

    A card's layout is drawn again for every depth. Presence is left out: without as many videos of this length that
    have no card, "yes" would tell nothing.
    """
    rows = (*_FONTS.values(), "number", "shape", "shape_colour", "card_colour", "all")
    table = Table(f"One card in {frames} frames, by depth", rows, [f"{depth} %" for depth in depths])
    for kind, held_out in (("word", False), ("word", True), ("number", exam.held_out), ("shape", exam.held_out)):
        for trial in range(trials):
            hay, card = exam.footage.joined(exam.rng, frames), held_out_card(exam.rng, kind, english=True)
            asked = [exam.ask(family, [card], kind) for family in _FAMILIES[kind] if family != "presence"]
            for depth in depths:
                place = depth * (frames - 1) // 100
                memory = exam.subject.condense(exam.put(hay, {place: card}, held_out))
                for question in asked:
                    row = _FONTS[held_out] if question.family == "word" else question.family
                    said = exam.says(memory, question)
                    table.add(row, f"{depth} %", said)
                    table.add("all", f"{depth} %", said)
            exam.on_progress(f"{frames} frames: {kind} {trial + 1} of {trials}")
    return table


def among_options(exam: Evaluation, trials: int, frames: int) -> Table:
    """Let the subject choose among four texts of one kind by their likelihood.

    Each is scored after the same question by itself, so their order cannot matter. Chance is a quarter.
    """
    title = f"The likeliest of four options, {frames} frames, one card (chance 25 %)"
    table = Table(title, (*KINDS, "all"), (AS_IS, REMOVED, ZEROED))
    for kind in KINDS:
        for _ in range(trials):
            hay, card = exam.footage.joined(exam.rng, frames), held_out_card(exam.rng, kind, english=True)
            place = int(exam.rng.integers(frames))
            options = [card.text]
            while len(options) <= _OTHERS:
                other = held_out_card(exam.rng, kind, english=True).text
                options += [other] if other not in options else []
            question = exam.ask(kind, [card], kind)
            for condition, memory in exam.memories(hay, exam.put(hay, {place: card})).items():
                is_right = exam.subject.choose(memory, question, options) == 0
                table.add(kind, condition, is_right)
                table.add("all", condition, is_right)
        exam.on_progress(f"options in {frames} frames: {kind}s done")
    return table
