"""What can be asked about a video of the synthetic world, in many phrasings, and the tokenizer that spells the answers.

Answers are bare ("tiger", "42", "red", "yes"); what is not in the video is said to be missing ("there is no number.").
Words and numbers are answered character by character, so that words never seen in training can be read out.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from videoxl.config import CHAT_PROMPT
from videoxl.world.cards import COLOURS, KINDS, LETTERS, SHAPES, Card

END = "<|im_end|>"
_SPECIAL = ("<|endoftext|>", "<|im_start|>", END, "[UNK]")
_MARKS = ".,?!:;'\"()-"

# [a|b] stands for one of several; {c} is colour or color, {s} the name of a shape or "shape", {k} a kind of card.
_IN = "[| in the video| in this video| in the clip]"
_LEAD = "[In the video|In this video|In this clip], "
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "word": (
        "[What|Which] word [is|was] [written|shown|printed|displayed] on [the|that|this] card" + _IN + "?",
        "[What|Which] word [is|appears|can be read|can be seen|do you see|stands] on [the|a] card" + _IN + "?",
        "What is the word [|written |shown ]on the card" + _IN + "?",
        "[What|Which] word does the card [say|have|contain|display]" + _IN + "?",
        "[|Please ][read|tell me|name|give me|spell|say] the word [|written |shown ]on the card" + _IN + ".",
        "[What|Which] word is [it|that|there]?",
        "What is the word?",
        _LEAD + "[what|which] word is [|written |shown ]on the card?",
        "The card [shows|has] [what|which] word?",
        "[Written|Shown|Printed] on the card is [what|which] word?",
        "The card's word [is|was] [what|which]?",
        "The word [written|shown|printed] [is|was]?",
        "[The|A] card [shows|has] a word, [what|which] is it?",
    ),
    "number": (
        "[What|Which] number [is|was] [written|shown|printed|displayed] on [the|that|this] card" + _IN + "?",
        "[What|Which] number [is|appears|can be read|can be seen|do you see|stands] on [the|a] card" + _IN + "?",
        "What is the number [|written |shown ]on the card" + _IN + "?",
        "[What|Which] number does the card [say|have|contain|display]" + _IN + "?",
        "Which number does the card show?",
        "[|Please ][read|tell me|name|give me|say] the number [|written |shown ]on the card" + _IN + ".",
        "[What|Which] number is [it|that|there]?",
        "What is the number?",
        _LEAD + "[what|which] number is [|written |shown ]on the card?",
        "The card [shows|has] [what|which] number?",
        "[Written|Shown|Printed] on the card is [what|which] number?",
        "The card's number [is|was] [what|which]?",
        "The number [written|shown|printed] [is|was]?",
        "[The|A] card [shows|has] a number, [what|which] is it?",
    ),
    "text": (
        "What does [the|this|that] card [say|read]" + _IN + "?",
        "What [is|was] [written|printed] on the card" + _IN + "?",
        "[What|Which] text [is|appears|is written|can be seen] on the card" + _IN + "?",
        "[|Please ][read|spell] [the|this|that] card" + _IN + ".",
        "What can [you|be] read on the card" + _IN + "?",
        "[Read|Tell me|Say] what is [written|printed] on the card" + _IN + ".",
        "[Read|Tell me] the text [on|of] the card" + _IN + ".",
        "What does it say?",
        _LEAD + "what does the card say?",
        "[Written|Printed] on the card is what?",
    ),
    "shape": (
        "[What|Which] shape [is|was] [shown|drawn|printed|displayed] on [the|that|this] card" + _IN + "?",
        "[What|Which] shape [appears|can be seen|do you see] on [the|a] card" + _IN + "?",
        "What shape is on the card" + _IN + "?",
        "What is the shape [|drawn |shown ]on the card" + _IN + "?",
        "[What|Which] shape does the card [show|have|contain|display]" + _IN + "?",
        "[|Please ][tell me|name|give me] the shape [|drawn |shown ]on the card" + _IN + ".",
        "[What|Which] shape is [it|that|there]?",
        "What is the shape?",
        _LEAD + "[what|which] shape is [|drawn |shown ]on the card?",
        "The card [shows|has] [what|which] shape?",
        "[Drawn|Shown|Printed] on the card is [what|which] shape?",
        "The card's shape [is|was] [what|which]?",
        "The shape [drawn|shown|printed] [is|was]?",
        "[The|A] card [shows|has] a shape, [what|which] is it?",
    ),
    "shape_colour": (
        "What {c} [is|was|has] the {s}" + _IN + "?",
        "Which {c} [is|has] the {s}?",
        "What {c} is the {s} on the card?",
        "What is the {c} of the {s}" + _IN + "?",
        "[What|Which] {c} does the {s} [|on the card ]have" + _IN + "?",
        "[|Please ][tell me|name|give me|say] the {c} of the {s}" + _IN + ".",
        "What is the {s}'s {c}?",
        _LEAD + "what {c} is the {s}?",
        "In [what|which] {c} is the {s} [drawn|shown]?",
    ),
    "card_colour": (
        "What {c} [is|was|has] [the|that|this] card?",
        "Which {c} [is|has] the card?",
        "What is the {c} of [the|that|this] card" + _IN + "?",
        "[What|Which] {c} does [the|this|that] card have" + _IN + "?",
        "[|Please ][tell me|name|give me|say] the {c} of the card" + _IN + ".",
        "What is the card's {c}" + _IN + "?",
        _LEAD + "what {c} is the card?",
        "What is the background {c} of the card" + _IN + "?",
        "[What|Which] {c} is the background of the card?",
    ),
    "card_colour_of": (
        "What {c} [is|was|has] the card with [the|a] {k}?",
        "Which {c} is the card with the {k}?",
        "What is the {c} of the card with [the|a] {k}" + _IN + "?",
        "What {c} does the card with the {k} have?",
        "[|Please ]tell me the {c} of the card with the {k}" + _IN + ".",
        "[What|Which] {c} is the card that [shows|has] the {k}?",
        "[What|Which] {c} is the {k} card?",
    ),
    "presence": (
        "Is there [a|any] card" + _IN + "?",
        "Is there a card?",
        "[Does|Did] [a|any] card appear" + _IN + "?",
        "[Is|Was] a card [shown|visible]" + _IN + "?",
        "Can [a|any] card be seen" + _IN + "?",
        "Can you see a card" + _IN + "?",
        "Does the [video|clip] [show|contain|have] a card?",
        "[Do|Did] you see [a|any] card" + _IN + "?",
        "Is there any card at all?",
        _LEAD + "[is there|does there appear|can you see] [a|any] card?",
    ),
    "presence_of": (
        "Is there a card with a {k}" + _IN + "?",
        "Does a card with a {k} appear" + _IN + "?",
        "Is there a {k} on [a|the|any] card" + _IN + "?",
        "Does the [video|clip] [show|contain|have] a card with a {k}?",
        "Is a {k} [shown|visible] on [a|the] card" + _IN + "?",
        "[Do|Can] you see a card with a {k}" + _IN + "?",
        "Does [a|any] card [have|show] a {k}?",
        _LEAD + "[does|did] a card with a {k} appear?",
    ),
}
# Sentences that are built otherwise than those above, not only in other words.
HELD_OUT: dict[str, tuple[str, ...]] = {
    **{
        kind: (f"There is a card in this video: what is the {kind} on it?", f"Which is the {kind} that the card shows?")
        for kind in KINDS
    },
    "text": ("What is on the card to read?",),
    "shape_colour": ("The {s} on the card is what {c}?", "Which is the {c} that the {s} has?"),
    "card_colour": ("The card is what {c}?", "There is a card in this video: what {c} is it?"),
    "card_colour_of": ("The card with the {k} is what {c}?",),
    "presence": ("Is any card in this video?", "Tell me: do you see that there is a card?"),
    "presence_of": ("Is any card with a {k} in this video?",),
}


def _expand(template: str) -> Iterator[str]:
    """Yield every phrasing that a template stands for."""
    parts = re.split(r"\[(.*?)\]", template)
    choices = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    yield from ("".join(chosen) for chosen in itertools.product(*choices))


# By family and template: a template is drawn first, so that those with many phrasings do not drown the others.
PHRASINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    family: tuple(tuple(_expand(template)) for template in templates) for family, templates in _TEMPLATES.items()
}


@dataclass(frozen=True)
class Question:
    """A question with its answer. `spelled` answers are given character by character."""

    family: str
    text: str
    answer: str
    spelled: bool = False


def _fill(rng: np.random.Generator, family: str, held_out: bool, kind: str = "", shape: str = "") -> str:
    groups = PHRASINGS[family]
    choices = HELD_OUT[family] if held_out else groups[int(rng.integers(len(groups)))]
    text = choices[int(rng.integers(len(choices)))]
    if not held_out and rng.random() < 0.15:
        text = text.rstrip(".?")  # as people type
    colour = "colour" if rng.random() < 0.5 else "color"
    return text.replace("{c}", colour).replace("{k}", kind).replace("{s}", shape if rng.random() < 0.7 else "shape")


def ask(
    rng: np.random.Generator, family: str, cards: Sequence[Card], kind: str = "", held_out: bool = False
) -> Question:
    """Return one question of a family about a video with these cards (at most one of each kind).

    The families `text` and `card_colour` speak of *the* card: ask them where there is one.

    Args:
        kind: the kind that `card_colour_of` and `presence_of` speak of.
        held_out: use a phrasing that training never shows.
    """
    by_kind = {card.kind: card for card in cards}
    if family == "presence":
        return Question(family, _fill(rng, family, held_out), "yes" if cards else "no")
    if family == "presence_of":
        return Question(family, _fill(rng, family, held_out, kind), "yes" if kind in by_kind else "no")
    if family == "card_colour":
        answer = cards[0].colour if cards else "there is no card."
        return Question(family, _fill(rng, family, held_out), answer)
    if family == "card_colour_of":
        answer = by_kind[kind].colour if kind in by_kind else f"there is no {kind}."
        return Question(family, _fill(rng, family, held_out, kind), answer)
    if family == "text":
        return Question(family, _fill(rng, family, held_out), cards[0].text, spelled=True)
    kind = "shape" if family == "shape_colour" else family
    card = by_kind.get(kind)
    shape = card.text if card else str(rng.choice(SHAPES))
    text = _fill(rng, family, held_out, kind, shape)
    if card is None:
        return Question(family, text, f"there is no {kind}.")
    return Question(family, text, card.ink if family == "shape_colour" else card.text, spelled=kind != "shape")


def questions(rng: np.random.Generator, cards: Sequence[Card], count: int) -> list[Question]:
    """Return `count` questions about a video: all that its cards can answer, then absent things and presence."""
    kinds = {card.kind for card in cards}
    by_kind = {"word": ("word",), "number": ("number",), "shape": ("shape", "shape_colour")}
    certain = [family for kind in KINDS if kind in kinds for family in by_kind[kind]]
    if len(cards) == 1:
        certain += ["card_colour"] if "shape" in kinds else ["card_colour", "text"]
    asked = [ask(rng, family, cards) for family in certain]
    asked += [ask(rng, "card_colour_of", cards, kind) for kind in sorted(kinds)]
    rng.shuffle(asked)
    asked = asked[: count - 2]
    while len(asked) < count:
        family = str(rng.choice(["presence", "presence_of", "absent", "word", "number", "shape"]))
        if family == "absent":
            absent = ["shape_colour", "card_colour_of", "card_colour"]
            family = "presence" if len(cards) == 1 else str(rng.choice(absent))
        if family == "card_colour" and len(cards) > 1:
            continue  # "the card" would not say which
        asked.append(ask(rng, family, cards, str(rng.choice(KINDS))))
    return asked


def _words() -> Iterator[str]:
    texts = [CHAT_PROMPT.replace("<|im_start|>", " ").replace("<|im_end|>", " ").replace("<image>", " ")]
    texts += [text for groups in PHRASINGS.values() for text in itertools.chain(*groups)]
    texts += [text for texts_of_family in HELD_OUT.values() for text in texts_of_family]
    texts += [
        *COLOURS,
        *SHAPES,
        *KINDS,
        "colour color gray yes no there is this that which of video frame picture please",
    ]
    for text in texts:
        for mark in (*_MARKS, "{question}", "{c}", "{k}", "{s}"):
            text = text.replace(mark, " ")
        yield from text.lower().split()


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer: whole words for what the world speaks of, single characters for all else."""
    pieces = [character for base in LETTERS + "0123456789" for character in (base, f"##{base}")]
    vocabulary = dict.fromkeys((*_SPECIAL, *_MARKS, *pieces, *sorted(set(_words()))))
    ids = {token: index for index, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # An answer that begins inside a word, which only a question beyond the model brings about, shows no mark of that.
    tokenizer.decoder = decoders.Sequence([decoders.WordPiece(prefix="##", cleanup=True), decoders.Replace("##", "")])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token=END)


def answer_ids(tokenizer: PreTrainedTokenizerFast, question: Question) -> list[int]:
    """Return the tokens of an answer with the end marker; a spelled answer never uses a whole-word token."""
    if not question.spelled:
        return list(tokenizer(question.answer + END, add_special_tokens=False)["input_ids"])
    pieces = [question.answer[0], *(f"##{character}" for character in question.answer[1:]), END]
    vocabulary = tokenizer.get_vocab()
    return [vocabulary[piece] for piece in pieces]
