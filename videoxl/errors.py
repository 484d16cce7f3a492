"""The one family of errors that videoxl raises on purpose.

Every error carries two sentences: what is wrong (`str(error)`, naming the file or value) and what to do about it
(`error.advice`). The command line prints exactly those two lines.
"""


class VideoXLError(Exception):
    """Base of the errors that the command line shows without a traceback.

    Args:
        problem: one line that names the file or value and what is wrong with it.
        advice: one line with what the user can do about it.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.advice = advice

    def __reduce__(self) -> tuple[type["VideoXLError"], tuple[str, str]]:
        # Errors travel from the decoding process to ours: pickle must keep the advice.
        return type(self), (str(self), self.advice)


class VideoError(VideoXLError):
    """A video cannot be opened, has no pictures, is damaged beyond use, or may not be read (playlist, network)."""


class CheckpointError(VideoXLError):
    """A model checkpoint is missing, incomplete, or not of a layout that videoxl reads."""


class MemoryFileError(VideoXLError):
    """A saved visual memory is damaged, from a newer version, or made by another model."""


class DamagedMemoryError(MemoryFileError):
    """The bytes of a memory file are not those that were written: its header or its checksum says so."""


class CacheError(MemoryFileError):
    """The cache of memories cannot be used; what does not need it still works."""


class BudgetError(VideoXLError):
    """The request does not fit the model's positions, its trained ratios, or the device's memory."""


class OutOfMemoryError(BudgetError):
    """The device's memory, or the machine's, ran out during the work."""


class QuestionError(VideoXLError):
    """A question is empty, not valid text, or too long."""


class RunError(VideoXLError):
    """A run over many items cannot start or continue."""


def check_not_empty(question: str) -> None:
    """Raise QuestionError if a question is empty or not valid text; commands call it before they import torch."""
    if not question.strip():
        raise QuestionError("the question is empty", 'Ask something, for example "What word is written on the card?".')
    try:
        question.encode()
    except UnicodeEncodeError:  # from a terminal or a file in another encoding, or from JSON such as "\ud800"
        raise QuestionError("the question is not valid UTF-8 text", "Write it in UTF-8.") from None
