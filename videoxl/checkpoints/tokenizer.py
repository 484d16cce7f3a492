"""The tokenizer of a checkpoint, read from its files: no class is looked up by a name that stands in them."""

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

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of some tokens, without chat markers."""
        return self.backend.decode(list(token_ids), skip_special_tokens=True)

    def save(self, folder: Path) -> None:
        """Write it to `folder / "tokenizer.json"`."""
        with atomic_write(folder / _JSON) as file:
            file.write(self.backend.to_str(pretty=True).encode())


def load_tokenizer(folder: Path) -> TextTokenizer | None:
    """Return the tokenizer of a checkpoint folder, or None if it has none.

    It is read from `tokenizer.json`, or from the `vocab.json` and `merges.txt` of Qwen2. `tokenizer_config.json` adds
    markers that those lack; what else it says, such as code to run, is not looked at.

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
    except Exception as error:  # of the Rust library, and of whatever the files' contents set off
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


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:160]
    return CheckpointError(f"{path}: the tokenizer cannot be read ({reason})", "Download it again.")
