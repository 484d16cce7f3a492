"""The whole model: wires video, vision and condensing to answering, and holds no state of any video."""

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .answering import Answering
from .checkpoints.loading import load_checkpoint
from .checkpoints.parts import Checkpoint
from .engine.answer import Answer, Likelihood
from .engine.chat import Conversation
from .engine.condense import WindowObserver
from .engine.evidence import Evidence
from .engine.extend import known_part, video_record
from .engine.memory_builder import STAGES, MemoryBuilder, MemoryResult, Progress, build_memory
from .engine.text import encode_prefix
from .errors import MemoryFileError, VideoError
from .memory.value import VisualMemory
from .network.devices import free_slots, within_memory
from .network.preprocessing import preprocess
from .options import MemoryOptions, Ratio
from .planning.budget import DEFAULT_RESERVED_SLOTS, Budget
from .planning.memory_plan import CHUNK_FRAMES, MemoryPlan, plan_memory
from .planning.windows import RatioPolicy
from .version import MEMORY_REVISION
from .video.sources import FrameArray, FrameSource, FrameStream
from .video.video import Video

__all__ = ["Answer", "Conversation", "Evidence", "Likelihood", "MemoryResult", "Progress", "VideoXL"]

_CPU_BATCH = 16  # frames: what a larger batch computes between layers falls out of the caches

VideoInput = str | os.PathLike[str] | FrameSource | np.ndarray


class VideoXL(Answering):
    """A model that memorizes videos and answers questions about them; for the answers see `Answering`.

    Args:
        checkpoint: its parts; `from_pretrained` loads them by name.
        max_memory: bytes of its device that this process may use, weights included; None for what is free.
    """

    def __init__(self, checkpoint: Checkpoint, max_memory: int | None = None) -> None:
        super().__init__(checkpoint)
        self.vision = checkpoint.vision
        self.max_memory = max_memory

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "videoxl-nano",
        device: str = "auto",
        dtype: str | torch.dtype = "auto",
        max_memory: int | None = None,
    ) -> "VideoXL":
        """Return a model by its name.

        Args:
            name: a bundled name, a checkpoint folder, a short name such as "video-xl-7b", or a hub id.
            device: "auto", "cpu", "cuda", "cuda:1" …
            dtype: "auto", "float32", "bfloat16" or "float16". "auto" is float32 on the CPU and 16 bit on a GPU.
            max_memory: bytes of its device that this process may use, weights included; None for what is free. What
                does not fit is refused before it is read; on a GPU, torch refuses more than that besides.

        Raises:
            CheckpointError: it cannot be found, is damaged, is of a kind that is not supported, or does not fit.
        """
        return cls(load_checkpoint(name, device, dtype, max_memory), max_memory)

    def with_prompt(self, prompt: str) -> "VideoXL":
        """Return a model with the same weights that chats in another way; its memories are its own.

        Args:
            prompt: the chat around a question, with `<image>` where the video goes and `{question}` after it.

        Raises:
            CheckpointError: one of these is missing.
        """
        config = replace(self.config, prompt=prompt)
        own = hashlib.sha256(f"{self.fingerprint} {prompt}".encode()).hexdigest()[: len(self.fingerprint)]
        return VideoXL(Checkpoint(config, self.vision, self.language, self.tokenizer, own), self.max_memory)

    @torch.no_grad()
    def encode_frames(
        self,
        frames: np.ndarray | Tensor,
        batch: int | None = None,
        on_features: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Return the visual tokens of frames.

        Args:
            frames: uint8 RGB [t, h, w, 3] of any size.
            batch: frames that go through the vision tower at a time; None is what suits the device.
            on_features: called with what the tower sees in them, before it is projected, [t, grid * grid, width];
                these features hold more of the picture than the visual tokens do.

        Returns:
            [t, p, hidden] in the model's dtype.

        Raises:
            ValueError: the frames have another shape or dtype.
            BudgetError: the device's memory ran out.
        """
        device = self.vision.device
        batch = batch or (_CPU_BATCH if device.type == "cpu" else CHUNK_FRAMES)
        with within_memory(device):
            pieces = [
                self.vision(
                    preprocess(frames[start : start + batch], self.config.preprocessing, device),
                    on_features=on_features,
                )
                for start in range(0, len(frames), batch)
            ]
            if pieces:
                return torch.cat(pieces)
        size = (0, self.config.vision.tokens_per_frame, self.config.language.hidden_size)
        return torch.empty(size, device=device, dtype=self.dtype)

    def condense(
        self,
        tokens: Tensor,
        ratio: Ratio | RatioPolicy = "auto",
        prefix_ids: Sequence[int] | None = None,
        times: np.ndarray | None = None,
        window: int | None = None,
        reserved_slots: int = DEFAULT_RESERVED_SLOTS,
        on_window: WindowObserver | None = None,
    ) -> VisualMemory:
        """Return the memory of a video given as visual tokens.

        Args:
            tokens: [n, hidden] or [t, p, hidden].
            ratio: visual tokens per VST, one of `config.ratios`; "auto" is the smallest that fits; or a policy.
            prefix_ids: tokens before the video; None is the chat prompt's. May be empty.
            times: seconds of each frame or of each visual token, so that the memory has the times that its slots cover.
            window: visual tokens in a full window, if not the model's own.
            reserved_slots: slots to leave for a question and its answer.
            on_window: see `Condenser`.

        Raises:
            BudgetError: the model has no such ratio, the video does not fit, or the device's memory ran out.
            ValueError: the number of times is neither that of frames nor that of visual tokens.
        """
        num_tokens = tokens.shape[:-1].numel()
        if times is not None and len(times) not in (len(tokens), num_tokens):
            raise ValueError(f"{len(times)} times for {len(tokens)} frames or {num_tokens} visual tokens")
        prefix_ids = encode_prefix(self.tokenizer, self.config.prompt) if prefix_ids is None else prefix_ids
        window = window or self.config.window
        with within_memory(self.device):
            budget = Budget(self.config, len(prefix_ids), reserved_slots, self.free_slots())
            policy = ratio if isinstance(ratio, RatioPolicy) else budget.choose(num_tokens, ratio)
            capacity = budget.check(num_tokens, policy, window).positions
            builder = self._new_builder(policy, window, capacity, prefix_ids, on_window)
            builder.feed(tokens.to(self.device, self.dtype), times)
            memory = builder.finish()
        return replace(memory, num_frames=len(tokens)) if tokens.ndim == 3 else memory

    def plan(
        self,
        video: VideoInput,
        *,
        options: MemoryOptions | None = None,
        reserved_slots: int = DEFAULT_RESERVED_SLOTS,
        **changes: Any,
    ) -> MemoryPlan:
        """Return what memorizing a video would read and need, after checking that it fits; nothing is decoded.

        Args:
            video: a path, a `Video` or another source of frames, or frames uint8 RGB [t, h, w, 3].
            options: which frames, and how hard they are condensed; the defaults if None.
            reserved_slots: slots to leave for a question and its answer.
            **changes: options by name, in place of `options`.

        Raises:
            VideoError: the video cannot be read, or the options choose no frame.
            BudgetError: the model has no such ratio, or the video does not fit.
        """
        options = replace(options or MemoryOptions(), **changes)
        num_prefix = len(encode_prefix(self.tokenizer, self.config.prompt))
        plan = plan_memory(_source(video, options.video_stream), options, self.config, num_prefix, reserved_slots)
        return plan.within(self.free_slots())

    def memorize(
        self,
        video: VideoInput | MemoryPlan,
        *,
        memory: VisualMemory | None = None,
        options: MemoryOptions | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        **changes: Any,
    ) -> VisualMemory:
        """Return the memory of a video, read as a stream: decoding continues while chunks are condensed.

        Args:
            video: what `plan` takes, or a plan.
            memory: of the same file when it was shorter, such as a recording in progress; it saves the work that is
                done already, see `extend_memory`.
            options: see `plan`; those of `memory` if there is one and they are None.
            on_progress: called after every chunk.
            **changes: options by name: `max_frames`, `fps`, `ratio`, `start`, `end`, `mode`, `video_stream`; see
                `MemoryOptions`.

        Raises:
            VideoError: the video cannot be read.
            BudgetError: the model has no such ratio, or the video does not fit: raised before any decoding. Or the
                device's memory ran out.
            MemoryFileError: `memory` was made by another model, or of another file.
        """
        if memory is not None and not isinstance(video, MemoryPlan):
            options = options or memory.options
            if isinstance(video, str | os.PathLike) and memory.video is not None:
                asked = changes.get("video_stream", None if options is None else options.video_stream)
                video = Video(video, stream=memory.video.stream if asked is None else asked)
        if not isinstance(video, MemoryPlan):
            plan = self.plan(video, options=options, **changes)
        elif options is None and not changes:
            plan = video
        else:
            raise TypeError("a plan has its options already: make another plan")
        return (
            self.memorize_plan(plan, on_progress) if memory is None else self.extend_memory(plan, memory, on_progress)
        ).memory

    def memorize_plan(
        self,
        plan: MemoryPlan,
        on_progress: Callable[[Progress], None] | None = None,
        stream: FrameStream | None = None,
        on_features: Callable[[Tensor], None] | None = None,
    ) -> MemoryResult:
        """Make the planned memory, and return it with the seconds it took and what was damaged.

        Args:
            plan: from `plan`, or made without weights.
            on_progress: called after every chunk.
            stream: from `plan.open()`, if the reading has begun already; it is closed in any case.
            on_features: see `encode_frames`; called with all frames, in order.

        Raises:
            VideoError: the video cannot be read.
            BudgetError: the video does not fit the device's free memory, or that ran out.
        """
        try:
            record = video_record(plan)
            builder = self.memory_builder(plan)
        except BaseException:
            if stream is not None:
                stream.__exit__()
            raise
        return self._read(plan, builder, stream, on_progress, on_features).with_source(record, plan.options)

    def extend_memory(
        self, plan: MemoryPlan, memory: VisualMemory, on_progress: Callable[[Progress], None] | None = None
    ) -> MemoryResult:
        """Make the planned memory, as `memorize_plan` does, but reuse the windows that an earlier memory has.

        The result is that of reading the whole video, but for the rounding of frames that are encoded in other batches.
        Reused are the full windows of those first frames that are the same in the plan. With sampling "fixed-rate"
        these are nearly all, until the file is too long for its rate; with "uniform" the frames may be others when the
        file has grown, and then all are read, as they are where the memory is of another revision. Nothing is reused
        after a damaged frame that was left out. Warnings are about what is read now.

        Args:
            plan: of a video file, as it is now.
            memory: of the same file when it was shorter; it stays as it is.
            on_progress: called after every chunk of what is read.

        Raises:
            VideoError: the video cannot be read.
            BudgetError: the video does not fit the device's free memory, or that ran out.
            MemoryFileError: the memory was made by another model, or of another file, or the file no longer begins with
                what the memory is of.
        """
        self._check_memory(memory)
        plan = plan.within(self.free_slots())
        known = known_part(plan, memory)
        if known is None:
            return self.memorize_plan(plan, on_progress)
        rest, record = plan.after(known.num_frames), video_record(plan)
        if not len(rest):  # the file is the same
            return MemoryResult(known, dict.fromkeys(STAGES, 0.0), known.warnings).with_source(record, plan.options)
        return self._read(rest, self.memory_builder(rest, known), None, on_progress).with_source(record, plan.options)

    def _read(
        self,
        plan: MemoryPlan,
        builder: MemoryBuilder,
        stream: FrameStream | None,
        on_progress: Callable[[Progress], None] | None,
        on_features: Callable[[Tensor], None] | None = None,
    ) -> MemoryResult:
        with within_memory(self.device):
            stream = stream or plan.open()
            encode = functools.partial(self.encode_frames, on_features=on_features)
            return build_memory(stream, encode, builder, len(plan), self.device, on_progress)

    def memory_builder(self, plan: MemoryPlan, memory: VisualMemory | None = None) -> MemoryBuilder:
        """Return a builder that takes visual tokens as they come, and that can be forked.

        Args:
            plan: what it will be fed.
            memory: extend this one, which stays as it is; None begins with the chat's prompt.

        Raises:
            BudgetError: it does not fit the model's positions or the device's free memory.
            MemoryFileError: the memory was made by another model, or is of another revision.
            ValueError: the plan was made for another model.
        """
        if plan.budget.config != self.config:
            raise ValueError(f"this plan was made for another model than {self.config.name}")
        if memory is not None:
            self._check_memory(memory)
            if memory.revision != MEMORY_REVISION:
                raise MemoryFileError(
                    f"this memory is of revision {memory.revision}, those of this videoxl are of {MEMORY_REVISION}",
                    "Ask it as it is, or make the memory again.",
                )
        plan = plan.within(self.free_slots(), None if memory is None else memory.length)
        before = memory or encode_prefix(self.tokenizer, self.config.prompt)
        capacity = plan.requirement.positions
        with within_memory(self.device):
            return self._new_builder(plan.policy, self.config.window, capacity, before)

    def _new_builder(
        self,
        policy: RatioPolicy,
        window: int,
        capacity: int,
        before: Sequence[int] | VisualMemory,
        on_window: WindowObserver | None = None,
    ) -> MemoryBuilder:
        name = self.config.name
        return MemoryBuilder(self.language, policy, window, capacity, before, self.fingerprint, name, on_window)

    def free_slots(self) -> int | None:
        """Return how many slots of memory fit what may still be used of the device; None if unknown."""
        return free_slots(self.config, self.device, self.dtype, self.max_memory)


def _source(video: VideoInput, stream: int | None) -> FrameSource:
    if isinstance(video, str | os.PathLike):
        return Video(video, stream=stream)
    source = FrameArray(video) if isinstance(video, np.ndarray) else video
    if stream is not None and not (isinstance(source, Video) and source.stream == stream):
        raise VideoError(
            f"video stream {stream} is asked for, and these frames are not from it",
            "Open the file with Video(path, stream=N).",
        )
    return source
