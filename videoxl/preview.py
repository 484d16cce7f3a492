"""A checkpoint without its weights: enough to check whether a request can be answered. Nothing here needs torch."""

from collections.abc import Sequence
from pathlib import Path

from .checkpoints.layout import read_config
from .checkpoints.tokenizer import load_tokenizer
from .engine.text import check_length, encode_prefix, encode_question
from .options import AnswerOptions, MemoryOptions
from .planning.budget import DEFAULT_RESERVED_SLOTS
from .planning.memory_plan import MemoryPlan, plan_memory
from .video.sources import FrameSource


class Preview:
    """The configuration and the tokenizer of a checkpoint folder.

    Raises:
        CheckpointError: one of them cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.config = read_config(folder)
        self.tokenizer = load_tokenizer(folder)

    def reserved_slots(self, questions: Sequence[str], answer: AnswerOptions, num_before: int | None = None) -> int:
        """Return the slots to reserve after a memory, so that each of the questions can be answered.

        Args:
            questions: in words.
            answer: how they are answered.
            num_before: slots of the memory; the prompt's, which every memory has, if None.

        Raises:
            QuestionError: a question is empty, or it and its answer do not fit after the memory.
        """
        num_before, reserved_slots = self.num_prefix if num_before is None else num_before, DEFAULT_RESERVED_SLOTS
        for question in questions:
            num_question = len(encode_question(self.tokenizer, self.config.prompt, question))
            check_length(num_question, answer.max_new_tokens, num_before, self.config.max_positions)
            reserved_slots = max(reserved_slots, num_question + answer.max_new_tokens)
        return reserved_slots

    @property
    def num_prefix(self) -> int:
        """Tokens of the prompt before the video."""
        return len(encode_prefix(self.tokenizer, self.config.prompt))

    def plan(self, source: FrameSource, options: MemoryOptions, reserved_slots: int) -> MemoryPlan:
        """Return the plan of a video's memory, which `VideoXL.memorize_plan` takes.

        Raises:
            VideoError: the options choose no frame.
            BudgetError: the model lacks the ratio, or the video does not fit its positions.
        """
        return plan_memory(source, options, self.config, self.num_prefix, reserved_slots)
