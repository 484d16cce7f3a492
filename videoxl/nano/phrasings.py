"""How questions are put: for every family many phrasings to train with, and some of another build that are held out.

A family has sentences of its own, and *clauses* that go into frames which all families share, so that a way of putting
a question is learnt for all of them. In the texts [a|b] stands for one of several; {c} is colour or color, {s} the name
of a shape or "shape", {k} a kind of card, {ks} what is counted, {x} and {y} things on cards, {t} anything at all that
is no card.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from videoxl.tasks.needle.cards import KINDS

_IN = "[| in the video| in this video| in the clip]"
_LEAD = "[In the video|In this video|In this clip], "
_OF_KIND = (
    "[What|Which] {k} [is|was] [DRAWN|shown|printed|displayed] on [the|that|this] card" + _IN + "?",
    "[What|Which] {k} [is|appears|can be seen|do you see|stands] on [the|a] card" + _IN + "?",
    "What is the {k} [|DRAWN |shown ]on the card" + _IN + "?",
    "[What|Which] {k} does the card [show|have|contain|display]" + _IN + "?",
    "[|Please ][tell me|name|give me|say] the {k} [|DRAWN |shown ]on the card" + _IN + ".",
    "[What|Which] {k} is [it|that|there]?",
    "What is the {k}?",
    _LEAD + "[what|which] {k} is [|DRAWN |shown ]on the card?",
    "The card [shows|has] [what|which] {k}?",
    "[DRAWN|Shown|Printed] on the card is [what|which] {k}?",
    "The card's {k} [is|was] [what|which]?",
    "The {k} [DRAWN|shown|printed] [is|was]?",
    "[The|A] card [shows|has] a {k}, [what|which] is it?",
    "[There is a card|A card is shown|I see a card|You saw a card]. [What|Which] {k} [is on it|does it show|has it]?",
    "[There is a card|A card is shown|I see a card|You saw a card]. [Name|Tell me|Give me] [its|the] {k}.",
)
_OF_TEXT = (  # what only words and numbers can be asked
    "[What|Which] {k} can be read on [the|a] card" + _IN + "?",
    "[What|Which] {k} does the card say" + _IN + "?",
    "[|Please ][read|spell] the {k} [|written |shown ]on the card" + _IN + ".",
)


def _of_kind(kind: str) -> tuple[str, ...]:
    templates = _OF_KIND if kind == "shape" else _OF_KIND + _OF_TEXT
    drawn = "drawn" if kind == "shape" else "written"
    return tuple(text.replace("DRAWN", drawn).replace("{k}", kind) for text in templates)


_SENTENCES: dict[str, tuple[str, ...]] = {
    **{kind: _of_kind(kind) for kind in KINDS},
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
        "[There is a card|A card is shown|I see a card|You saw a card]. What [is written on it|does it say]?",
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
        "[There is a {s}|A {s} is shown|I see a {s}|You saw a {s}]. [What|Which] {c} [is it|does it have|has it]?",
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
        "[There is a card|A card is shown|I see a card|You saw a card]. [What|Which] {c} [is it|does it have|has it]?",
    ),
    "card_colour_of": (
        "What {c} [is|was|has] the card with [the|a] {k}?",
        "Which {c} is the card with the {k}?",
        "What is the {c} of the card with [the|a] {k}" + _IN + "?",
        "What {c} does the card with the {k} have?",
        "[|Please ]tell me the {c} of the card with the {k}" + _IN + ".",
        "[What|Which] {c} is the card that [shows|has] the {k}?",
        "[What|Which] {c} is the {k} card?",
        "[There is a card|A card is shown|I see a card|You saw a card] with a {k}. [What|Which] {c} [is it|has it]?",
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
        "[Look|Search] for a card. [Is it there|Is there one|Do you see it]?",
        "Have you seen [a|any] card" + _IN + "?",
        "Are there [cards|any cards]" + _IN + "?",
        "[Any card|A card|Any cards]" + _IN + "?",
        "[Somewhere|Anywhere] in the [video|clip], is there [a|any] card?",
        "I look for a card. [Is it there|Is there one|Do you see it]?",
        "Could there be a card" + _IN + "?",
        "Does [it|the video] have [a|any] card in it?",
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
        "[Look|Search] for a {k}. [Is it there|Is there one|Do you see it]?",
        "Have you seen a [{k}|card with a {k}]" + _IN + "?",
        "[Any card with a {k}|A {k}|Any {k}]" + _IN + "?",
        "[Somewhere|Anywhere] in the [video|clip], is there a {k}?",
        "I look for a {k}. [Is it there|Is there one|Do you see it]?",
    ),
    "certain": (
        "Is there {x}" + _IN + "?",
        "[Does|Did] {x} appear" + _IN + "?",
        "[Is|Was] {x} [shown|visible]" + _IN + "?",
        "[Does|Did] [a|any] card [show|have] {x}" + _IN + "?",
        "Can [you see {x}|{x} be seen]" + _IN + "?",
        "Does the [video|clip] [show|contain|have] {x}?",
        "[Do|Did] you see {x}" + _IN + "?",
        _LEAD + "[is there|does there appear|can you see] {x}?",
        "[Look|Search] for {x}. [Is it there|Do you see it|Does it appear]?",
        "Is [one|any] of the cards {x}?",
        "Have you seen {x}" + _IN + "?",
        "{x}[, yes or no|: is it there|: is that shown]?",
        "[Somewhere|Anywhere] in the [video|clip], is there {x}?",
        "I look for {x}. [Is it there|Do you see it]?",
        "Could there be {x}" + _IN + "?",
    ),
    "describe": (
        "What [is|was] [shown|to be seen|in it|there to see]" + _IN + "?",
        "What is shown in this video?",
        "What [is|was] in [the|this] [video|clip]?",
        "[|Please ]describe [the|this] [video|clip].",
        "[|Please ]describe [what you see|what is shown|all cards|the cards]" + _IN + ".",
        "[|Please ][list|name|give me|tell me] [all|all the|the] cards[| in order| one after the other]" + _IN + ".",
        "What [do|did|can] you see" + _IN + "?",
        "What does [the|this] [video|clip] [show|contain]?",
        "What is [the|this] [video|clip] about?",
        "[|Give me a ][summary|list|description] of [the|this] [video|clip][|, please].",
        "[Which|What] cards [are there|are shown|can be seen|appear|do you see]" + _IN + "?",
        _LEAD + "[what is shown|which cards are there|what can be seen]?",
        "[Summarise|Summarize] [the|this] [video|clip].",
    ),
    "count": (
        "How many {ks} are [there|shown|visible]" + _IN + "?",
        "How many {ks} [do|did|can] you see" + _IN + "?",
        "How many {ks} [can be seen|appear|were there|were shown]" + _IN + "?",
        "How many {ks} does [the|this] [video|clip] [show|contain|have]?",
        "[|Please ]count [the|all] {ks}" + _IN + ".",
        "What is the number of {ks}" + _IN + "?",
        "[Give me|Tell me|Say] the number of {ks}" + _IN + ".",
        _LEAD + "how many {ks} [are there|are shown|do you see]?",
        "There are how many {ks}" + _IN + "?",
        "[Look for|Search for|Count] [the|all] {ks}. How many are there?",
        "The number of {ks} is?",
    ),
    "after": (
        "What [comes|came|is shown|was shown|appears|is seen] [after|right after|next after] {x}" + _IN + "?",
        "[What|Which card] [follows|followed] {x}" + _IN + "?",
        "Which card [comes|came|is shown|was shown] [after|next after] {x}?",
        "After {x}, [what|which card] [comes|is shown|appears|is next]?",
        "{x} is shown. What [comes|is shown|appears] [next|after it]?",
        "[|Please ][name|tell me|give me] [what|the card that] [comes|came|is shown] after {x}.",
        "{x} comes, and then?",
        "{x} is followed by [what|which card]?",
        "Look for {x}. [What|Which card] [comes|is] next?",
        "When {x} is over, what comes next?",
        "What [is|was] [next|the next card] after {x}?",
    ),
    "order": (
        "[Which|What] [comes|came|is shown|appears] first, {x} or {y}?",
        "Which of the two [comes|came|is shown] first, {x} or {y}?",
        "[Is|Was] {x} or {y} shown first?",
        "{x} or {y}: which [comes|came|is shown] first?",
        "Did {x} or {y} [come|appear] first?",
        "Of {x} and {y}, which [comes|is shown] first?",
        "[Name|Tell me] the first of the two: {x} or {y}.",
        "{x} and {y} are shown. Which is first?",
        "First comes {x} or {y}?",
        "[Look for|Think of] {x} and {y}. Which comes first?",
        "[What|Which] is first, {x} or {y}?",
    ),
    "refusal": (
        "[Who|Where|What] [is|was] the {t}" + _IN + "?",
        "What [does|did] the {t} do" + _IN + "?",
        "[Is|Was] there [a|any] {t}" + _IN + "?",
        "[Can|Do|Did] you [see|hear] [a|the] {t}" + _IN + "?",
        "How many {t}s are there" + _IN + "?",
        "What {c} is the {t}" + _IN + "?",
        "[Why|When|Where|How] [is|does|did] the {t} [go|come|speak|end|happen]" + _IN + "?",
        "[|Please ][describe|name] the {t}" + _IN + ".",
        "[Who|What] [speaks|is speaking|is heard|happens]" + _IN + "?",
        "What [is|are] the [people|person|man|woman] doing" + _IN + "?",
        "What [sound|music|noise] [is there|can be heard|do you hear]" + _IN + "?",
        "[What|How] is the [story|weather|music|mood]" + _IN + "?",
        "Tell me [about the {t}|a story|who speaks|what happens].",
        "[I see a {t}|There is a {t}]. What [is it|does it do]?",
    ),
}


@dataclass(frozen=True)
class _Clauses:
    """What of a family goes into the shared frames: the first of each also into those that are held out.

    Args:
        direct: as a question of its own, "what is the word".
        indirect: after "tell me", "what the word is".
        noun: what is asked for, "the word".
        statement: what "yes" would say, "there is a card".
    """

    direct: tuple[str, ...]
    indirect: tuple[str, ...]
    noun: tuple[str, ...] = ()
    statement: tuple[str, ...] = ()


def _of_colour(owner: str) -> _Clauses:
    return _Clauses(
        (f"what {{c}} is {owner}", f"which {{c}} has {owner}", f"what is the {{c}} of {owner}"),
        (f"what {{c}} {owner} is", f"which {{c}} {owner} has", f"what the {{c}} of {owner} is"),
        (f"the {{c}} of {owner}", f"the {{c}} that {owner} has"),
    )


_CLAUSES: dict[str, _Clauses] = {
    **{
        kind: _Clauses(
            (f"what is the {kind} on the card", f"[what|which] {kind} is on the card", f"what {kind} has the card"),
            (f"what the {kind} on the card is", f"[what|which] {kind} is on the card", f"what {kind} the card has"),
            (f"the {kind} on the card", f"the {kind} that is [|shown ]on the card", f"the card's {kind}"),
        )
        for kind in KINDS
    },
    "text": _Clauses(
        ("what does the card say", "what is written on the card", "what can be read on the card"),
        ("what the card says", "what is written on the card", "what can be read on the card"),
        ("the text on the card", "what is on the card"),
    ),
    "shape_colour": _of_colour("the {s}"),
    "card_colour": _of_colour("the card"),
    "card_colour_of": _of_colour("the card with the {k}"),
    "presence": _Clauses(
        ("is there a card", "does [a|any] card appear", "is a card shown"),
        ("whether there is a card", "[if|whether] there is [a|any] card", "[if|whether] a card [appears|is shown]"),
        statement=("there is a card", "a card is shown", "a card appears"),
    ),
    "presence_of": _Clauses(
        ("is there a card with a {k}", "does a {k} appear", "is a {k} shown"),
        ("whether there is a card with a {k}", "[if|whether] a {k} [appears|is shown]"),
        statement=("there is a card with a {k}", "a {k} is shown", "a {k} appears on a card"),
    ),
    "certain": _Clauses(
        ("is there {x}", "does {x} appear", "is {x} shown"),
        ("whether there is {x}", "[if|whether] there is {x}", "[if|whether] {x} [appears|is shown]"),
        statement=("there is {x}", "{x} is shown", "{x} appears"),
    ),
    "describe": _Clauses(
        ("what is shown in the video", "what can be seen", "which cards are there", "what does the video show"),
        ("what is shown in the video", "what can be seen", "which cards there are", "what the video shows"),
        ("all cards", "all that is shown", "all that can be seen", "the cards in order"),
    ),
    "count": _Clauses(
        ("how many {ks} are there", "how many {ks} are shown", "how many {ks} do you see"),
        ("how many {ks} there are", "how many {ks} are shown", "how many {ks} you see"),
        ("the number of {ks}",),
    ),
    "after": _Clauses(
        ("what comes after {x}", "which card comes after {x}", "what follows {x}"),
        ("what comes after {x}", "which card comes after {x}", "what follows {x}"),
        ("the card after {x}", "what is shown after {x}"),
    ),
    "order": _Clauses(
        ("which comes first, {x} or {y}", "is {x} or {y} first"),
        ("which comes first, {x} or {y}", "whether {x} or {y} is first"),
        ("the first of {x} and {y}",),
    ),
    "refusal": _Clauses(
        ("what does the {t} do", "is there a {t}", "who is the {t}", "where is the {t}", "what is the {t} like"),
        ("what the {t} does", "[if|whether] there is a {t}", "who the {t} is", "where the {t} is", "what happens"),
        ("the {t}",),
    ),
}
# {q} is a direct clause, {i} an indirect one, {n} a noun, {a} a statement.
_FRAMES = (
    "{q}?",
    "[Look at|Watch] [the|this] [video|clip][.|:] {q}?",
    "You have [seen|watched] [the|this|a] [video|clip]. {q}?",
    "[I have a|I have one|This is my] question: {q}?",
    "[|Please ]tell me[,|:] {q}?",
    "[|Please ]answer [this|me]: {q}?",
    "{q}? [Tell me|Please tell me|Please answer|Say it].",
    "[In|From] [the|this] [video|clip], {q}?",
    "If you [look at|watch] the video, {q}?",
    "[So|Now|And|Please], {q}?",
    "Here is a [video|clip]. {q}?",
    "Think of the [video|clip]. {q}?",
    "{q}, if [you know it|you can say it|I may ask]?",
    "[|Please ][tell me|say] {i}.",
    "I [want|would like|need] to know {i}.",
    "[Can|Could|Will] you [tell me|say] {i}?",
    "Do you know {i}?",
    "I [do not know|ask you] {i}.",
    "[Look at|Watch] [the|this] video and [tell me|say] {i}.",
    "[Look at|Watch] [the|this] video. [Tell me|Say|Now tell me] {i}.",
    "My question is {i}.",
    "Let me know {i}.",
    "I have seen the video, but I do not know {i}.",
    "I wonder {i}.",
    "[Find out|Check|See] {i}.",
    "[Can|Could] you [check|find out] {i}?",
    "Just [tell me|say] {i}, [nothing else|no more].",
    "[Hello|Hi|Well|Okay][.|,] {q}?",
    "Someone asks [me|you]: {q}?",
    "Nobody knows {i}. [Do you|Can you say it]?",
    "{q}? I [cannot|could not] see it.",
    "Before we go on: {q}?",
    "There is one thing left to ask: {q}?",
    "A [short|simple] answer, please: {q}?",
    "Only the pictures matter: {q}?",
    "You tell me {i}.",
)
_NOUN_FRAMES = (
    "{n}[.|, please.]",
    "[|Please ][tell me|name|give me|say] {n}.",
    "I [want|would like|need] to [know|have] {n}.",
    "[Can|Could|Will] you [tell me|name|give me|say] {n}?",
    "{n} [is|was] what?",
    "{n}: what is it?",
    "[Look at|Watch] [the|this] [video|clip] and [name|give me|tell me|say] {n}.",
    "You have seen [the|this] [video|clip]. [Name|Give me|Tell me|Say] {n}.",
)
_STATEMENT_FRAMES = (
    "{a}[:|,] yes or no?",
    "{a}. Is [that|this] [right|true|so]?",
    "Is it [true|right|so] that {a}?",
    "Yes or no: {q}?",
    "Do you [think|say] that {a}?",
    "[Say|Answer] yes if {a}.",
    "{a}, [or not|is that so|right]?",
    "{q} or not?",
)
_HELD_OUT_FRAMES = (
    "Here is the video and here is what I ask you: {q}?",
    "{i} is what I want to know.",
    "From what you have seen, say to me {i}.",
    "Now that you know the video, {q}, please?",
)
# Sentences that are built otherwise than those of training, not only in other words.
_HELD_OUT_SENTENCES: dict[str, tuple[str, ...]] = {
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


def _framed(frame: str, clauses: _Clauses) -> tuple[str, ...]:
    """Return every phrasing of a family in one frame."""
    slots = {"{q}": clauses.direct, "{i}": clauses.indirect, "{n}": clauses.noun, "{a}": clauses.statement}
    fitting = [frame.replace(slot, clause) for slot, options in slots.items() if slot in frame for clause in options]
    return tuple(itertools.chain(*map(_expand, fitting)))


def _frames(clauses: _Clauses) -> tuple[str, ...]:
    more = (*(_NOUN_FRAMES if clauses.noun else ()), *(_STATEMENT_FRAMES if clauses.statement else ()))
    return _FRAMES + more


# By family and template: a template is drawn first, so that those with many phrasings do not drown the others.
SENTENCES: dict[str, tuple[tuple[str, ...], ...]] = {
    family: tuple(tuple(_expand(template)) for template in templates) for family, templates in _SENTENCES.items()
}
FRAMED: dict[str, tuple[tuple[str, ...], ...]] = {
    family: tuple(_framed(frame, clauses) for frame in _frames(clauses)) for family, clauses in _CLAUSES.items()
}
HELD_OUT: dict[str, tuple[str, ...]] = {
    family: (
        *_HELD_OUT_SENTENCES.get(family, ()),
        *(
            frame.replace("{q}", next(_expand(clauses.direct[0]))).replace("{i}", next(_expand(clauses.indirect[0])))
            for frame in _HELD_OUT_FRAMES
        ),
    )
    for family, clauses in _CLAUSES.items()
}
