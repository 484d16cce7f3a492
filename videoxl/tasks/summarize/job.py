"""The work on one video: it is memorized once, and all questions of the task are answered from its memory."""

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...checkpoints.hub import checkpoint_folder
from ...checkpoints.layout import folder_digest
from ...errors import CheckpointError
from ...options import AnswerOptions, ChapterOptions, MemoryOptions, SpanOptions
from ...planning.budget import check_ratio
from ...planning.memory_plan import MemoryPlan
from ...preview import Preview
from ...runs.context import ItemContext
from ...runs.job import Item, ItemResult, Worker
from ...video.messages import stream_records
from ...video.sources import FrameStream
from ...video.video import Video
from ..time_limits import timeout_seconds
from .changes import file_marks
from .chapters import Span, find_chapters
from .contact_sheet import Thumbnails
from .describe import Describer
from .inputs import Source
from .prompts import SUMMARY, Prompts, check_lists, max_list_length

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ...memory.value import VisualMemory
    from ...model import VideoXL

_FORMAT = 2  # of keys and rows: see `RunFolder`
_GRID = 4  # cells on each side that a frame's features are pooled to


@dataclass(frozen=True)
class SummaryJob:
    """Makes workers that summarise videos.

    Args:
        folder: of the model's checkpoint.
        model: its name as requested.
        prompts: of the task.
        dtype: see `VideoXL.from_pretrained`.
        watch: how memories are made; a source may override some of it.
        answer: generation of texts.
        chapters: lengths and thresholds of chapters.
        spans: thresholds of detection.
        task: see `prompts.read_task`.
        max_memory: see `VideoXL.from_pretrained`. It is not a setting of the run: each row has its ratio.
        weights: digest of the folder; computed if it is not given, and checked when a worker is set up.
    """

    folder: Path
    model: str
    prompts: Prompts
    dtype: str = "auto"
    watch: MemoryOptions = field(default_factory=MemoryOptions)
    answer: AnswerOptions = field(default_factory=AnswerOptions)
    chapters: ChapterOptions = field(default_factory=ChapterOptions)
    spans: SpanOptions = field(default_factory=SpanOptions)
    task: str = SUMMARY
    max_memory: int | None = None
    weights: str = ""

    def __post_init__(self) -> None:
        if not self.weights:
            object.__setattr__(self, "weights", folder_digest(self.folder))

    @property
    def settings(self) -> dict[str, Any]:
        """All that a row depends on besides its source, for the folder of a run."""
        fields = {name: value for name, value in asdict(self).items() if name not in ("folder", "max_memory")}
        return {"format": _FORMAT} | fields

    def check(self, prompts: list[str]) -> None:
        """Check what does not depend on a video: the job's prompts, further prompts about the whole, and the ratio.

        Raises:
            QuestionError: a prompt is empty or too long.
            BudgetError: the model has no such ratio.
        """
        preview = Preview(self.folder)
        check_ratio(preview.config, self.watch.ratio)
        for prompt in prompts:
            check_lists(self.task, prompt)
        for prompt in {*self.prompts.texts, *prompts}:
            _reserved_slots(preview, prompt, self.answer)

    def setup(self, device: str) -> Worker:
        """Load the model, and return the function that summarises a video with it.

        Raises:
            CheckpointError: it cannot be loaded, or this machine has other files under its name.
        """
        from ...model import VideoXL

        folder = self.folder if self.folder.is_dir() else checkpoint_folder(self.model)  # on another machine
        if folder_digest(folder) != self.weights:
            raise CheckpointError(
                f"{folder}: has other files on this machine than where the run was started",
                "Install the same model on all machines.",
            )
        return _Summarizer(self, VideoXL.from_pretrained(folder, device, self.dtype, self.max_memory), Preview(folder))


@dataclass(frozen=True)
class _OpenVideo:
    """A video whose first frames are being decoded."""

    video: Video
    watch: MemoryOptions
    plan: MemoryPlan
    stream: FrameStream
    file: dict[str, Any]
    began: float
    seconds: float


class _Summarizer:
    """A worker: turns an item into its row. While one video is described, the next one is opened."""

    def __init__(self, job: SummaryJob, model: "VideoXL", preview: Preview) -> None:
        self._job, self._model, self._preview = job, model, preview
        self._describer = Describer(model, job.task, job.prompts, job.answer, job.spans)

    def __call__(self, item: Item, context: ItemContext) -> ItemResult:
        source = Source(**item.data)
        opened: _OpenVideo = context.prepared() or self._open(item)
        video, watch = opened.video, opened.watch
        context.set_timeout(timeout_seconds(self._model, len(opened.plan), video.duration))
        features: list[np.ndarray] = []
        thumbnails = Thumbnails(opened.stream, len(opened.plan))
        context.report(0, len(opened.plan), "frames")
        result = self._model.memorize_plan(
            opened.plan,
            lambda progress: context.report(progress.frames_done, progress.frames_total, "frames"),
            thumbnails,
            lambda encoded: features.append(_pool(encoded)),
        )
        context.prefetch_next(self._open)
        memory = result.memory
        chapters_began = time.perf_counter()
        chapters = self._chapters(features, memory, video, watch)
        chapter_seconds = time.perf_counter() - chapters_began
        prompt = source.prompt or self._job.prompts.summary
        described, seconds = self._describer.ask(memory, chapters, prompt, context.report)
        seconds["chapters"] += chapter_seconds
        timings = {"ahead": max(0.0, context.began - opened.began), "open": opened.seconds}
        timings |= result.timings | seconds | {"total": time.perf_counter() - context.began}
        span_times = [(span["start"] + span["end"]) / 2 for span in (*described["evidence"], *described["spans"])]
        sheet, layout = thumbnails.sheet(span_times, [(span.start + span.end) / 2 for span in chapters])
        name = f"sheets/{item.key}.webp"
        row = {
            "id": source.id,
            "video": {
                "path": source.path,
                "duration": round(video.duration, 3),
                "fps": round(video.fps, 3),
                "width": video.width,
                "height": video.height,
                "streams": stream_records(video.streams),
                **opened.file,
            },
            "start": source.start,
            "end": source.end,
            "task": self._job.task,
            "prompt": prompt,
            **described,
            "frames": memory.num_frames,
            "ratio": max(memory.ratios, default=None),
            "warnings": list(result.warnings),
            "timings": {stage: round(value, 4) for stage, value in timings.items()},
            "model": self._job.model,
            "sheet": {"file": name, **layout},
        }
        return ItemResult(row, {name: sheet})

    def _open(self, item: Item) -> _OpenVideo:
        """Start decoding a video, a few chunks of frames ahead at most. This does not use the device."""
        began = time.perf_counter()
        source = Source(**item.data)
        file = file_marks(source.path)  # before it is read: if it is replaced meanwhile, the row counts as outdated
        overrides = {name: getattr(source, name) for name in ("start", "end", "ratio", "max_frames", "video_stream")}
        watch = replace(self._job.watch, **{name: value for name, value in overrides.items() if value is not None})
        video = Video(source.path, stream=watch.video_stream)
        prompts = (source.prompt or self._job.prompts.summary, *self._job.prompts.texts)
        reserved_slots = max(_reserved_slots(self._preview, text, self._job.answer) for text in prompts)
        plan = self._preview.plan(video, watch, reserved_slots)
        return _OpenVideo(video, watch, plan, plan.open(), file, began, time.perf_counter() - began)

    def _chapters(
        self, features: "list[np.ndarray]", memory: "VisualMemory", video: Video, watch: MemoryOptions
    ) -> list[Span]:
        import numpy as np

        assert memory.frame_times is not None  # frames of a file have times
        end = video.duration if watch.end is None else min(watch.end, video.duration)
        return find_chapters(np.concatenate(features), memory.frame_times, watch.start or 0.0, end, self._job.chapters)


def _reserved_slots(preview: Preview, prompt: str, answer: AnswerOptions) -> int:
    """Return the slots to reserve for a prompt and its answer."""
    return preview.reserved_slots([prompt], answer) + max_list_length(prompt, preview.config.max_positions)


def _pool(features: "Tensor") -> "np.ndarray":
    """Return float16 [t, 16 * width] of features [t, grid * grid, width]: averaged over the cells of a coarse grid."""
    from torch.nn import functional as F

    side = round(features.shape[1] ** 0.5)
    grid = features.float().transpose(1, 2).unflatten(2, (side, side))
    return F.adaptive_avg_pool2d(grid, min(_GRID, side)).flatten(1).half().cpu().numpy()
