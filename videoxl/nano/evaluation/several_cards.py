"""Trials with none to six cards: describing, counting, order, whether something is there, and what no card tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...memory.value import VisualMemory
from ...tasks.needle.cards import KINDS, Card
from ...tasks.tables import Table
from ..questions import distinct
from .descriptions import judge
from .evaluation import AS_IS, CONDITIONS, REMOVED, REWORDED, ZEROED, Evaluation
from .footage import held_out_card

MOST = 6  # cards of a video
_DESCRIBED = 4  # the most that a description is asked for
_FRAMES = (16, 128)
_FRAMES_A_CARD = 8  # at least: two VSTs at ratio 16
_STRETCH = (16, 64)
_NAMED, _EXACT, _INVENTED, _WRONG = "named right", "exact list", "invented, of those named", "not shown, of those named"
_FROM = {REWORDED: f"{_NAMED}, new phrasing", REMOVED: f"{_NAMED}, cards removed", ZEROED: f"{_NAMED}, VSTs zeroed"}
_CARD, _NO_CARD = "a card: shown", "a card: none, stretches of real clips"
_OF_KIND = "count of a kind that is there"
_ORDER = "order (chance 50 %)"
_THING, _NO_THING = "a certain thing: shown", "a certain thing: not shown"


def _cards(number: int) -> str:
    return "1 card" if number == 1 else f"{number or 'no'} cards"


@dataclass(frozen=True)
class Tables:
    """What is counted: of descriptions, of other questions, and how often "yes" is said."""

    describe: Table
    asked: Table
    yes: Table


def _empty_tables() -> Tables:
    numbers = [*map(_cards, range(_DESCRIBED + 1)), f"1 to {_DESCRIBED} cards"]
    counts = [f"count, {_cards(number)}" for number in range(MOST + 1)]
    span = f"{_FRAMES[0]} to {_FRAMES[1]} frames, at least {_FRAMES_A_CARD} a card"
    return Tables(
        Table(f"Describe: {span}", numbers, (_NAMED, _INVENTED, _WRONG, _EXACT, *_FROM.values())),
        Table(
            f"Several cards: {span}",
            (*counts, f"count, 0 to {MOST}", _OF_KIND, "after", _ORDER, "refusal"),
            CONDITIONS,
        ),
        Table('How often "yes" is said', (_CARD, _NO_CARD, _THING, _NO_THING), CONDITIONS),
    )


def several_cards(exam: Evaluation, trials: int, stretches: int) -> Tables:
    """Run `trials` videos with each number of cards, and so many stretches of single clips without any."""
    tables = _empty_tables()
    for number in range(MOST + 1):
        for _ in range(trials):
            _video(exam, tables, number)
        exam.on_progress(f"{_cards(number)}: done")
    for _ in range(stretches):
        _stretch(exam, tables)
    exam.on_progress("stretches without cards: done")
    return tables


def _video(exam: Evaluation, tables: Tables, number: int) -> None:
    frames = exam.frames(max(_FRAMES[0], _FRAMES_A_CARD * number), _FRAMES[1])
    hay, cards = exam.footage.joined(exam.rng, frames), _distinct_cards(exam, number)
    places = sorted(int(place) for place in exam.rng.choice(frames, number, replace=False))
    if not cards:
        memories = {AS_IS: exam.subject.condense(hay.tokens)}  # there is nothing to remove
    else:
        memories = exam.memories(hay, exam.put(hay, dict(zip(places, cards, strict=True))))
    exam.count(tables.asked, [f"count, {_cards(number)}", f"count, 0 to {MOST}"], memories, "count", cards)
    if cards:
        kind = str(exam.rng.choice([card.kind for card in cards]))
        exam.count(tables.asked, [_OF_KIND], memories, "count", cards, kind)
    # Without its cards, a video's right answer to what no card tells is the same.
    exam.count(tables.asked, ["refusal"], {AS_IS: memories[AS_IS]}, "refusal", cards)
    if number > 1:
        exam.count(tables.asked, ["after"], memories, "after", cards)
        exam.count(tables.asked, [_ORDER], memories, "order", cards)
    if 1 <= number <= _DESCRIBED:
        _describe(exam, tables.describe, memories, cards)
    if cards:
        _say_yes(exam, tables.yes, _CARD, memories, "presence", cards, "yes")
        _say_yes(exam, tables.yes, _THING, memories, "certain", cards, "yes")
    _say_yes(exam, tables.yes, _NO_THING, memories, "certain", cards, "no")


def _stretch(exam: Evaluation, tables: Tables) -> None:
    memory = exam.subject.condense(exam.footage.stretch(exam.rng, exam.frames(*_STRETCH)).tokens)
    _say_yes(exam, tables.yes, _NO_CARD, {AS_IS: memory}, "presence", [], "no")
    _describe(exam, tables.describe, {AS_IS: memory}, [])


def _distinct_cards(exam: Evaluation, number: int) -> list[Card]:
    """Return cards of any kinds, half of the words English, whose names differ."""
    while True:
        kinds = [str(exam.rng.choice(KINDS)) for _ in range(number)]
        cards = [held_out_card(exam.rng, kind, english=bool(exam.rng.random() < 0.5)) for kind in kinds]
        if len(distinct(cards)) == number:
            return cards


def _describe(exam: Evaluation, table: Table, memories: Mapping[str, VisualMemory], cards: Sequence[Card]) -> None:
    rows = [_cards(len(cards)), *([f"1 to {_DESCRIBED} cards"] if cards else [])]
    question = exam.ask("describe", cards)
    for condition, memory in memories.items():
        verdict = judge(exam.subject.answer(memory, question, MOST), cards)
        for row in rows:
            if condition != AS_IS:
                table.add(row, _FROM[condition], verdict.right, verdict.shown)
                continue
            table.add(row, _EXACT, verdict.exact)
            table.add(row, _NAMED, verdict.right, verdict.shown)
            if cards:  # without any, all that is named is invented
                table.add(row, _INVENTED, verdict.invented, verdict.named)
                table.add(row, _WRONG, verdict.named - verdict.right, verdict.named)
    if not cards:
        return
    reworded = exam.ask("describe", cards, held_out=True)
    verdict = judge(exam.subject.answer(memories[AS_IS], reworded, MOST), cards)
    for row in rows:
        table.add(row, _FROM[REWORDED], verdict.right, verdict.shown)


def _say_yes(
    exam: Evaluation,
    table: Table,
    row: str,
    memories: Mapping[str, VisualMemory],
    family: str,
    cards: Sequence[Card],
    answer: str,
) -> None:
    """Ask something whose right answer is given, and count how often "yes" is said."""
    question = exam.ask(family, cards, answer=answer)
    for condition, memory in memories.items():
        table.add(row, condition, exam.subject.answer(memory, question) == "yes")
    reworded = exam.ask(family, cards, held_out=True, answer=answer)
    table.add(row, REWORDED, exam.subject.answer(memories[AS_IS], reworded) == "yes")
