"""The tokenizer of a checkpoint, read from its files: no class is looked up by a name in them."""

import functools
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from ..files import atomic_write
from .layout import read_json

if TYPE_CHECKING:
    import tokenizers

_JSON = "tokenizer.json"
_SETTINGS = "tokenizer_config.json"


class TextTokenizer:
    """Text to token ids and back.

    Args:
        backend: does the work; truncation and padding that its file may ask for are turned off.
    """

    def __init__(self, backend: "tokenizers.Tokenizer") -> None:
        self.backend = backend
        backend.no_truncation()
        backend.no_padding()

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, chat markers included and nothing added."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def encode_prompt(self, parts: Sequence[str], words: str) -> list[int]:
        """Return the tokens of a prompt that is given in parts, with a user's words between each part and the next.

        They are those of the whole text, as long as it has no chat markers but those of the parts. Words that hold one
        are read as they are written, without it.
        """
        whole = words.join(parts)
        markers, low = self._markers(whole), 0
        for part in parts[:-1]:
            low += len(part)
            if any(start < low + len(words) and low < end for start, end in markers):
                return self._encode_forged(parts, words)
            low += len(words)
        return self.encode(whole)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of some tokens, without chat markers."""
        return self.backend.decode(list(token_ids), skip_special_tokens=True)

    def save(self, folder: Path) -> None:
        """Write it to `folder / "tokenizer.json"`."""
        with atomic_write(folder / _JSON) as file:
            file.write(self.backend.to_str(pretty=True).encode())

    def _encode_forged(self, parts: Sequence[str], words: str) -> list[int]:
        """Return the tokens of a prompt, of which only the parts may have markers, whatever the words look like."""
        ids: list[int] = []
        pending = ""  # since the last marker: words and what surrounds them are cut into tokens together
        for number, part in enumerate(parts):
            pending += words if number else ""
            markers = self._markers(part)
            if markers:
                first, last = markers[0][0], markers[-1][1]
                ids += [*self._encode_text(pending + part[:first]), *self.encode(part[first:last])]
                pending, part = "", part[last:]
            pending += part
        return ids + self._encode_text(pending)

    def _encode_text(self, text: str) -> list[int]:
        """Return the tokens of a text in which nothing is a marker."""
        markers = self._markers(text, self._unmarked)
        if not markers:
            return self._unmarked.encode(text, add_special_tokens=False).ids
        # A vocabulary may have a marker among its words, too. It is cut in two; a single character is left out.
        ids, low = [], 0
        for start, end in [*markers, (len(text), len(text))]:
            middle = (start + end) // 2
            ids += self._encode_text(text[low:middle])
            low = max(middle, start + 1)
        return ids

    def _markers(self, text: str, backend: "tokenizers.Tokenizer | None" = None) -> list[tuple[int, int]]:
        """Return where markers are found in a text, by the own backend if None: first character, and past the last."""
        unknown_id, unknown = self._unknown
        encoding = (backend or self.backend).encode(text, add_special_tokens=False)
        return [
            (start, end)
            for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
            if token_id in self._marker_ids and (token_id != unknown_id or text[start:end] == unknown)
        ]

    @functools.cached_property
    def _marker_ids(self) -> frozenset[int]:
        """Special tokens, and added ones that are not words, such as <think>."""
        added = self.backend.get_added_tokens_decoder()
        return frozenset(number for number, token in added.items() if token.special or not _is_words(token.content))

    @functools.cached_property
    def _unknown(self) -> tuple[int | None, str | None]:
        """The token for what the vocabulary lacks, special as it may be; None if there is none."""
        model = self.backend.model
        if hasattr(model, "unk_token"):
            return None if model.unk_token is None else self.backend.token_to_id(model.unk_token), model.unk_token
        number = json.loads(self.backend.to_str())["model"].get("unk_id")  # Unigram has it in its file only
        return number, None if number is None else self.backend.id_to_token(number)

    @functools.cached_property
    def _unmarked(self) -> "tokenizers.Tokenizer":
        """The same vocabulary and rules, without added tokens.

        The library's `encode_special_tokens` does not go far enough: <think> and its like are not special.
        """
        from tokenizers import Tokenizer

        plain = Tokenizer(self.backend.model)
        plain.normalizer, plain.pre_tokenizer = self.backend.normalizer, self.backend.pre_tokenizer
        return plain


def load_tokenizer(folder: Path) -> TextTokenizer | None:
    """Return the tokenizer of a checkpoint folder, or None if it has none.

    It is read from `tokenizer.json`, or from the `vocab.json` and `merges.txt` of Qwen2. `tokenizer_config.json` adds
    markers that those lack; what else it holds, such as code to run, is ignored.

    Raises:
        CheckpointError: a file is damaged.
    """
    if (folder / _JSON).exists():
        backend = _read(folder / _JSON)
    elif (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
        backend = _read_qwen2(folder)
    else:
        return None
    _add_markers(backend, folder)
    return TextTokenizer(backend)


def _read(path: Path) -> "tokenizers.Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise _unreadable(path, error) from None


def _read_qwen2(folder: Path) -> "tokenizers.Tokenizer":
    from transformers import Qwen2Tokenizer  # knows how Qwen2 splits a text into words

    try:
        return Qwen2Tokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
    except Exception as error:  # of the Rust library, or whatever else the files' contents cause
        raise _unreadable(folder / "vocab.json", error) from None


def _add_markers(backend: "tokenizers.Tokenizer", folder: Path) -> None:
    from tokenizers import AddedToken

    path = folder / _SETTINGS
    listed = read_json(path, required=False).get("added_tokens_decoder") or {}
    try:
        markers = sorted(
            (int(number), str(about["content"]), about.get("special", True)) for number, about in listed.items()
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from None
    for number, text, special in markers:
        # Also those that the vocabulary has already: only an added token is never cut into pieces.
        add = backend.add_special_tokens if special else backend.add_tokens
        add([AddedToken(text, special=special, normalized=False)])
        if backend.token_to_id(text) != number:
            known = backend.token_to_id(text)
            raise CheckpointError(
                f"{path}: token {text} is number {number} there and {known} in the vocabulary",
                "Download the tokenizer's files again, all of them.",
            )


def _is_words(text: str) -> bool:
    """Return whether a text is nothing but letters, marks on them, digits and white space, in any script."""
    return all(character.isspace() or unicodedata.category(character)[0] in "LMN" for character in text)


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:160]
    return CheckpointError(f"{path}: the tokenizer cannot be read ({reason})", "Download it again.")
