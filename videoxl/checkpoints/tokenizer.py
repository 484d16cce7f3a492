"""The tokenizer of a checkpoint, read from its files: no class is looked up by a name that stands in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    listed: dict[str, Any] = read_json(folder / _SETTINGS, required=False).get("added_tokens_decoder") or {}
    for token_id, about in sorted(listed.items(), key=lambda item: int(item[0])):
        text = about["content"]
        known = backend.token_to_id(text)
        if known is None:
            backend.add_special_tokens([AddedToken(text, special=True, normalized=False)])
            known = backend.token_to_id(text)
        if known != int(token_id):
            raise CheckpointError(
                f"{folder / _SETTINGS}: token {text} is number {token_id} there and {known} in the vocabulary",
                "Download the tokenizer's files again, all of them.",
            )


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:160]
    return CheckpointError(f"{path}: the tokenizer cannot be read ({reason})", "Download it again.")
