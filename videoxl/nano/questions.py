"""What can be asked about a video of the synthetic world, and what the answers are.

Answers are bare ("tiger", "42", "red", "yes"); what is not in the video is said to be missing ("there is no number.").
A description names the cards in order of time ("the word winter, the number 472, a red circle"). Words and numbers are
answered character by character, so that words never seen in training can be read out.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from videoxl.nano.phrasings import FRAMED, HELD_OUT, SENTENCES
from videoxl.tasks.needle.cards import COLOURS, KINDS, LETTERS, SHAPES, Card, random_card, random_word

NOTHING = "there is no card."  # the description of a video without cards
LAST = "nothing"  # what comes after the last card
REFUSAL = "i only know cards."
# Everyday things that no card shows. They are no words of the vocabulary: what a user asks about is not, either.
_TOPIC_TEXT = """
    actor airplane animal apple arm army baby bag ball bank beach bear bed bench bicycle bird boat body book bottle box
    boy bread bridge brother building bus cake camera car cat chair child church city cloud coat computer country cow
    crowd cup dance day desk doctor dog door dress driver engine eye face family farmer father fire fish floor flower
    food football forest friend game garden girl glass grass guitar gun hair hall hand hat hill horse hotel house
    kitchen knife lady lake lamp language light machine market money moon mother mountain mouth movie neighbour night
    ocean park party path phone piano plane player police queen rain river road robot room school sea ship shirt shoe
    shop singer sister sky snow soldier song speaker sport street student sun table teacher team telescope title tower
    town toy traffic train tree truck voice wall war water wheel window winner wood world year
"""
_TOPICS = tuple(_TOPIC_TEXT.split())


@dataclass(frozen=True)
class Question:
    """A question with its answer.

    Args:
        family: what is asked for.
        text: as put to the model.
        answer: what it should say.
        spelled: whether words and numbers in the answer are given character by character.
        part: the half-open range of VSTs that it is answered from; None is all of the video's.
    """

    family: str
    text: str
    answer: str
    spelled: bool = False
    part: tuple[int, int] | None = None


def thing(card: Card, article: str = "a") -> str:
    """Return what a card shows in words: "the word winter", "the number 472", "a red circle", "an orange star"."""
    if card.kind != "shape":
        return f"the {card.kind} {card.text}"
    return f"{'an' if article == 'a' and card.ink == 'orange' else article} {card.ink} {card.text}"


def _draw(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _fill(rng: np.random.Generator, family: str, held_out: bool, **slots: str) -> str:
    """Return a phrasing of a family, half the time in a shared frame, with its gaps filled."""
    groups = (SENTENCES if rng.random() < 0.5 else FRAMED)[family]
    text = _draw(rng, HELD_OUT[family] if held_out else groups[int(rng.integers(len(groups)))])
    if not held_out and rng.random() < 0.15:
        text = text.rstrip(".?")  # as people type
    slots["c"] = "colour" if rng.random() < 0.5 else "color"
    for name, value in slots.items():
        text = text.replace(f"{{{name}}}", value)
    return re.sub(r"(^|[.?] )([a-z])", lambda match: match[1] + match[2].upper(), text)


def ask(
    rng: np.random.Generator, family: str, cards: Sequence[Card], kind: str = "", held_out: bool = False
) -> Question:
    """Return one question of a family about a video with these cards, in order of time.

    Ask only what has one answer: `word` of at most one word card, `text` and `card_colour` of at most one card,
    `after` and `order` of cards that `distinct` names. `askable` lists all that is.

    Args:
        kind: the kind that `card_colour_of`, `presence_of` and `count` speak of; `count` without one is of all cards.
        held_out: use a phrasing that training never shows.
    """

    def made(answer: str, spelled: bool = False, **slots: str) -> Question:
        return Question(family, _fill(rng, family, held_out, **slots), answer, spelled)

    if family in ("after", "order"):
        return _in_order(rng, family, cards, made)
    if family == "describe":
        return made(", ".join(map(thing, cards)) or NOTHING, spelled=bool(cards))
    if family == "count":
        counted = sum(card.kind == kind for card in cards) if kind else len(cards)
        return made(str(counted), ks=f"{kind or 'card'}s")
    if family == "certain":
        name, is_there = _certain(rng, cards)
        return made("yes" if is_there else "no", x=name)
    if family == "refusal":
        return made(REFUSAL, t=_draw(rng, _TOPICS) if rng.random() < 0.7 else random_word(rng, held_out))
    if family == "presence":
        return made("yes" if cards else "no")
    if family == "presence_of":
        return made("yes" if any(card.kind == kind for card in cards) else "no", k=kind)
    if family in ("text", "card_colour"):
        if not cards:
            return made("there is no card.")
        return made(cards[0].text, spelled=True) if family == "text" else made(cards[0].colour)
    return _about_one(rng, family, cards, kind, made)


def _in_order(rng: np.random.Generator, family: str, cards: Sequence[Card], made: Callable[..., Question]) -> Question:
    """Return a question about which of two cards is first, or which comes after one."""
    indices = distinct(cards)
    first, second = sorted(int(index) for index in rng.choice(indices, 2, replace=False))
    if family == "order":
        names = [thing(cards[index], "the") for index in rng.permutation([first, second])]
        return made(thing(cards[first]), cards[first].kind != "shape", x=names[0], y=names[1])
    place = int(rng.choice(indices))
    name = thing(cards[place], "the")
    if place + 1 == len(cards):
        return made(LAST, x=name)
    return made(thing(cards[place + 1]), cards[place + 1].kind != "shape", x=name)


def _about_one(
    rng: np.random.Generator, family: str, cards: Sequence[Card], kind: str, made: Callable[..., Question]
) -> Question:
    """Return a question about the only card of a kind: what it shows, its colour, or the colour of its shape."""
    kind = {"card_colour_of": kind, "shape_colour": "shape"}.get(family, family)
    names = Counter(card.text for card in cards if card.kind == kind)
    found = [card for card in cards if card.kind == kind and names[card.text] == 1]
    shape, named = str(rng.choice(SHAPES)), rng.random() < 0.7
    if not names:
        return made(f"there is no {kind}.", k=kind, s=shape if named else "shape")
    card = found[int(rng.integers(len(found)))]
    if family == "shape_colour":
        return made(card.ink, s=card.text if named or names.total() > 1 else "shape")
    if family == "card_colour_of":
        return made(card.colour, k=kind)
    return made(card.text, spelled=kind != "shape")


def distinct(cards: Sequence[Card]) -> list[int]:
    """Return the indices of the cards whose name no other card of the video has."""
    names = Counter(map(thing, cards))
    return [index for index, card in enumerate(cards) if names[thing(card)] == 1]


def _certain(rng: np.random.Generator, cards: Sequence[Card]) -> tuple[str, bool]:
    """Return the name of a thing and whether a card shows it; half of what is missing is nearly there."""
    present = {name for card in cards for name in _names(card)}
    is_there = bool(cards) and rng.random() < 0.5
    while True:
        card = cards[int(rng.integers(len(cards)))] if cards else random_card(rng)
        if not is_there:
            card = _nearly(rng, card) if rng.random() < 0.5 else random_card(rng)
        name = _draw(rng, _names(card))
        if (name in present) == is_there:
            return name, is_there


def _names(card: Card) -> tuple[str, ...]:
    return (thing(card), f"a {card.text}") if card.kind == "shape" else (thing(card),)


def _nearly(rng: np.random.Generator, card: Card) -> Card:
    """Return a card with another character, another shape or another ink."""
    if card.kind == "shape":
        other = replace(card, text=str(rng.choice(SHAPES)))
        return other if rng.random() < 0.5 else replace(card, ink=str(rng.choice(list(COLOURS))))
    place = int(rng.integers(len(card.text)))
    character = _draw(rng, LETTERS if card.kind == "word" else "123456789")
    return replace(card, text=card.text[:place] + character + card.text[place + 1 :])


def askable(cards: Sequence[Card]) -> Iterator[tuple[float, str, str]]:
    """Yield how often to ask it, the family and the kind of all that has one answer about these cards."""
    of_kind = Counter(card.kind for card in cards)
    shapes = Counter(card.text for card in cards if card.kind == "shape")
    yield from ((1.5, "describe", ""), (1.0, "count", ""), (0.3, "refusal", ""), (0.6, "presence", ""))
    yield from ((1.2, "certain", ""),) * 2
    if len(cards) < 2:
        yield (0.6 if cards else 0.2), "card_colour", ""
        if "shape" not in of_kind:
            yield (0.6 if cards else 0.1), "text", ""
    if 1 in shapes.values() or not shapes:
        yield (0.7 if shapes else 0.1), "shape_colour", ""
    for kind in KINDS:
        yield from ((0.15, "count", kind), (0.15, "presence_of", kind))
        if of_kind[kind] < 2:
            yield (1.2 if of_kind[kind] else 0.15), kind, ""
            yield (0.35 if of_kind[kind] else 0.1), "card_colour_of", kind
    if len(distinct(cards)) > 1:
        yield 0.25, "order", ""
        yield from ((1.2, "after", ""),) * min(2, len(cards) - 1)


def questions(rng: np.random.Generator, cards: Sequence[Card]) -> Iterator[Question]:
    """Yield questions about a video in random order, what is asked most often first, until none is left."""
    weights, families, kinds = zip(*askable(cards), strict=True)
    # Log-weights with Gumbel noise, sorted: drawing without replacement.
    for index in np.argsort(-(np.log(weights) + rng.gumbel(size=len(weights)))):
        yield ask(rng, families[index], cards, kinds[index])
