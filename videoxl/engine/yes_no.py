"""The tokens that an answer of yes or no can begin with.

Chat models continue after the word ("Yes, there is ..."), so what is compared is how likely an answer is to begin with
it, not how likely it is to be nothing else: that would measure whether the model stops there.
"""

from ..errors import CheckpointError
from .text import Tokenizer, encode_words

_SPACES = ("", " ")


def yes_no_ids(tokenizer: Tokenizer | None) -> tuple[list[list[int]], list[list[int]]]:
    """Return the tokens of every way to write yes, and of every way to write no.

    In small and capital letters, with and without a space before them; each sequence once. Of a word that takes
    several tokens all count: the first may be that of other words, or of the space before any of them.

    Raises:
        CheckpointError: there is no tokenizer, or it writes yes and no as the same.
    """
    yes, no = (
        {
            tuple(encode_words(tokenizer, f"{space}{form}"))
            for space in _SPACES
            for form in (word, word.title(), word.upper())
        }
        for word in ("yes", "no")
    )
    if yes & no:
        raise CheckpointError(
            "this checkpoint's tokenizer writes yes and no as the same tokens", "Ask it questions in words instead."
        )
    return [list(ids) for ids in sorted(yes)], [list(ids) for ids in sorted(no)]
