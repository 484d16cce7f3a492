"""Whether a request can be answered at all, found out before weights are loaded."""

from pathlib import Path

from .checkpoints.layout import read_config
from .checkpoints.tokenizer import load_tokenizer
from .engine.text import check_length, encode, encode_question
from .planning.budget import DEFAULT_ROOM, Budget


def check_request(folder: Path, num_frames: int, ratio: int | str, question: str, max_new_tokens: int) -> int:
    """Return slots enough for question and answer: the `room` of `VideoXL.watch`, which looks at the device too.

    Args:
        folder: of the checkpoint; only its configuration and tokenizer are read.
        num_frames: frames that will be read.
        ratio: visual tokens per VST, or "auto".
        question: in words.
        max_new_tokens: of the answer.

    Raises:
        CheckpointError: configuration or tokenizer cannot be read.
        BudgetError: the model lacks the ratio, or the video does not fit.
        QuestionError: the question is empty, or question and answer do not fit.
    """
    config, tokenizer = read_config(folder), load_tokenizer(folder)
    num_prefix = len(encode(tokenizer, config.prompt.partition("<image>")[0]))
    num_question = len(encode_question(tokenizer, config.prompt, question))
    check_length(num_question, max_new_tokens, num_prefix, config.max_positions)
    room = max(DEFAULT_ROOM, num_question + max_new_tokens)
    Budget(config, num_prefix, room).choose(num_frames * config.vision.tokens_per_frame, ratio)
    return room
