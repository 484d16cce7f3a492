"""videoxl: ask questions about hour-long videos through a condensed visual memory.

Importing the package loads nothing heavy: each public name brings in its module when it is first used.

Shape letters in the docstrings: b batch, t frames, p visual tokens per frame, n tokens, h hidden size, d head size.
"""

import importlib
from typing import TYPE_CHECKING

from .version import __version__

_MODULE_OF = {
    "VideoXL": "model",
    "Answer": "model",
    "AnswerOptions": "options",
    "MemoryOptions": "options",
    "MemoryBuilder": "engine.memory_builder",
    "Video": "video.video",
    "VisualMemory": "memory.value",
    "VideoXLError": "errors",
    "VideoError": "errors",
    "CheckpointError": "errors",
    "MemoryFileError": "errors",
    "BudgetError": "errors",
    "QuestionError": "errors",
    "RunError": "errors",
}

if TYPE_CHECKING:
    from .engine.memory_builder import MemoryBuilder
    from .errors import (
        BudgetError,
        CheckpointError,
        MemoryFileError,
        QuestionError,
        RunError,
        VideoError,
        VideoXLError,
    )
    from .memory.value import VisualMemory
    from .model import Answer, VideoXL
    from .options import AnswerOptions, MemoryOptions
    from .video.video import Video

__all__ = [
    "Answer",
    "AnswerOptions",
    "BudgetError",
    "CheckpointError",
    "MemoryBuilder",
    "MemoryFileError",
    "MemoryOptions",
    "QuestionError",
    "RunError",
    "Video",
    "VideoError",
    "VideoXL",
    "VideoXLError",
    "VisualMemory",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
