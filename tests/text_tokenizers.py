"""Tokenizers like those of published models, small: how they split texts is the same, their vocabularies are not."""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

# How Qwen2 splits a text: a space goes with the word after it, line breaks with the marks before them.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MARKERS = {"<|endoftext|>": True, "<|im_start|>": True, "<|im_end|>": True, "<think>": False, "</think>": False}
"""Those of Qwen3, and whether they are special."""
_TEXTS = [
    "What is shown on the card?\nWho speaks first, and who is in the room? it's what they're saying.",
    "user\nWhat is the word? assistant\nYes, there is a card. No, there is no card. system You are helpful.",
    "\n\n  \n  def f(x):\n    return x\n\n??\n!!\n ...\n\t\tWhat\n What   is  this   \n\n\nthink im_start im_end",
    "Was ist das? Größe, Übung. 会议记录 這是什麼 встреча на экране यह क्या है 👋🏽 ½ ⅓",
]


def qwen2_tokenizer() -> Tokenizer:
    """Return a byte-level BPE as Qwen2's, with the markers of Qwen3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Cut into words in advance, so that each is learned however rare it is.
    trainer = trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, show_progress=False, min_frequency=1)
    tokenizer.train_from_iterator(_TEXTS * 3, trainer)
    for text, special in MARKERS.items():
        add = tokenizer.add_special_tokens if special else tokenizer.add_tokens
        add([AddedToken(text, special=special, normalized=False)])
    return tokenizer


def word_tokens(*words: str) -> Tokenizer:
    """Return a byte-level BPE that knows some words, each as one token, and no others. A space is part of a word."""
    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []
    for word in words:
        bare = word.strip()
        pairs = [(bare[:end], bare[end]) for end in range(1, len(bare))]
        for pair in [*pairs, *([("Ġ", bare)] if word != bare else [])]:
            if "".join(pair) not in vocabulary:
                vocabulary["".join(pair)] = len(vocabulary)
                merges.append(pair)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def save_qwen2_files(folder: Path) -> None:
    """Write the same tokenizer as Qwen2 is published: `vocab.json`, `merges.txt`, and the markers apart."""
    tokenizer = qwen2_tokenizer()
    tokenizer.model.save(str(folder))
    markers = {str(tokenizer.token_to_id(text)): {"content": text, "special": kind} for text, kind in MARKERS.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": markers}))


def sentence_tokenizer() -> Tokenizer:
    """Return one as SentencePiece makes them: the markers are words of the vocabulary, too."""
    pieces = ["<unk>", "<s>", "</s>", "▁", "▁What", "▁is", "▁it", *"abcdefghijklmnopqrstuvwxyzWI</>|_?\n"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(number)) for number, piece in enumerate(pieces)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def word_tokenizer() -> Tokenizer:
    """Return one that knows a few whole words, written in full width or not, and the marker `[END]`."""
    words = ["[UNK]", "[END]", "what", "is", "it", "?", "x"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=True) for word in ("[UNK]", "[END]")])
    return tokenizer
