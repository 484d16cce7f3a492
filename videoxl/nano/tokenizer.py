"""The tokenizer of videoxl-nano: whole words for what questions speak of, single characters for all else."""

import itertools
import re
from collections.abc import Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from videoxl.nano.phrasings import FRAMED, HELD_OUT, SENTENCES
from videoxl.nano.questions import LAST, NOTHING, REFUSAL, Question
from videoxl.tasks.needle.cards import COLOURS, KINDS, LETTERS, SHAPES

END = "<|im_end|>"
_SPECIAL = ("<|endoftext|>", "<|im_start|>", END, "[UNK]")
_MARKS = ".,?!:;'\"()-"
# The words of the first weights, in the order of their ids. Weights go on with later words, so these keep their place.
_FIRST_WORDS = """
    all any appear appears are assistant at background be black blue brown can card circle clip color colour contain
    cross diamond did display displayed do does drawn frame give gray green grey has have heart helpful hexagon in is it
    me name no number of on orange pentagon picture pink please printed purple read red say see seen shape show shown
    shows spell square stands star system tell text that the there this to triangle user video visible was what which
    white with word written yellow yes you
"""
# A text that was read off a card: the whole answer, or what follows its kind in a description.
_SPELLED = re.compile(r"(^|\bthe word |\bthe number )([a-z0-9]+)(?=,|$)")


def _later_words() -> Iterator[str]:
    """Yield the words of all phrasings and answers."""
    texts = itertools.chain(
        *(itertools.chain(*groups) for groups in (*SENTENCES.values(), *FRAMED.values())),
        *HELD_OUT.values(),
        (LAST, NOTHING, REFUSAL, "a an"),
        (*COLOURS, *SHAPES, *KINDS, "cards", *(f"{kind}s" for kind in KINDS)),
    )
    for text in texts:
        yield from re.findall("[a-z]+", re.sub(r"\{t\}s?|\{\w+\}", " ", text).lower())


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer."""
    pieces = [character for base in LETTERS + "0123456789" for character in (base, f"##{base}")]
    words = (*_FIRST_WORDS.split(), *sorted(set(_later_words())))
    vocabulary = dict.fromkeys((*_SPECIAL, *_MARKS, *pieces, *words))
    ids = {token: index for index, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # An answer that begins inside a word, which only a question beyond the model brings about, shows no mark of that.
    tokenizer.decoder = decoders.Sequence([decoders.WordPiece(prefix="##", cleanup=True), decoders.Replace("##", "")])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token=END)


def text_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Return the tokens of a text, special ones included where it writes them; much faster than calling it."""
    return list(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


def answer_ids(tokenizer: PreTrainedTokenizerFast, question: Question) -> list[int]:
    """Return the tokens of an answer with the end marker; what is read off a card is never a whole-word token."""
    if not question.spelled:
        return text_ids(tokenizer, question.answer + END)
    ids: list[int] = []
    end = 0
    for match in _SPELLED.finditer(question.answer):
        ids += text_ids(tokenizer, question.answer[end : match.start(2)])
        vocabulary = tokenizer.get_vocab()
        ids += [vocabulary[f"##{character}" if place else character] for place, character in enumerate(match[2])]
        end = match.end()
    return ids + text_ids(tokenizer, question.answer[end:] + END)
