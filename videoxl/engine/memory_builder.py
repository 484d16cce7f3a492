"""A video on its way into memory: frames or visual tokens in, a `VisualMemory` out."""

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..memory.stores import BufferStore
from ..memory.value import VisualMemory
from ..network.devices import cpu_threads
from ..network.qwen2 import VSTQwen2
from ..options import MemoryOptions
from ..planning.windows import RatioPolicy, spans
from ..video.identity import VideoRecord
from ..video.sources import FrameStream
from .condense import Condenser, WindowObserver

STAGES = ("decode", "encode", "condense")


@dataclass(frozen=True)
class Progress:
    """How much of a video has been read.

    Args:
        frames_done: frames read, encoded and fed to the language model.
        frames_total: frames planned.
        timings: seconds spent so far waiting for "decode", in "encode" and in "condense".
    """

    frames_done: int
    frames_total: int
    timings: dict[str, float]


@dataclass(frozen=True)
class MemoryResult:
    """A memory, and what making it took.

    Args:
        memory: of the video.
        timings: seconds that it took: waiting for "decode", in "encode" and in "condense".
        warnings: sentences about damage in the video.
    """

    memory: VisualMemory
    timings: dict[str, float]
    warnings: tuple[str, ...]

    def with_source(self, video: VideoRecord | None, options: MemoryOptions) -> "MemoryResult":
        """Return it with a memory that records which file it is of, and how that was read."""
        return replace(self, memory=replace(self.memory, video=video, options=options, warnings=self.warnings))


class MemoryBuilder:
    """Takes frames as they come. It can be forked, and it can extend a memory; all of it without gradients.

    Args:
        language: the language model.
        policy: ratios.
        window: visual tokens in a full window.
        capacity: slots to make buffers for: of the memory, and of the longest window or question on top of it.
        before: what is in memory already: tokens of the prompt, which are read at once, or a memory to extend, which
            stays as it is. A memory whose last window was not full is extended by a new window all the same.
        fingerprint: of the model, for the memory to carry.
        model: its name, likewise.
        on_window: see `Condenser`.
    """

    def __init__(
        self,
        language: VSTQwen2,
        policy: RatioPolicy,
        window: int,
        capacity: int,
        before: Sequence[int] | VisualMemory,
        fingerprint: str = "",
        model: str = "",
        on_window: WindowObserver | None = None,
    ) -> None:
        if isinstance(before, VisualMemory):
            self._before, store = before, BufferStore.from_layers(before.layers, capacity)
        else:
            prefix_ids, store = tuple(int(token) for token in before), BufferStore(capacity)
            self._before = VisualMemory((), prefix_ids, fingerprint=fingerprint, model=model)
        self._condenser = Condenser(language, store, policy, window, on_window)
        self._token_times: list[np.ndarray] | None = []
        self._frame_times: list[np.ndarray] | None = []
        self._num_frames = 0
        self._is_finished = False
        if not isinstance(before, VisualMemory):
            with torch.no_grad():
                self._condenser.read_prefix(
                    torch.tensor([self._before.prefix_ids], dtype=torch.long, device=language.device)
                )

    @torch.no_grad()
    def feed(self, tokens: Tensor, times: np.ndarray | None = None) -> None:
        """Take visual tokens in order, and run every window that they complete.

        Args:
            tokens: [t, p, hidden] of frames, or [n, hidden].
            times: seconds of each frame, [t], or of each token, [n]; once None, the memory will have no times.
        """
        self._check_open()
        of_frames = tokens.ndim == 3 and (times is None or len(times) == len(tokens))
        if of_frames:
            self._num_frames += len(tokens)
        if self._frame_times is not None and of_frames and times is not None:
            self._frame_times.append(np.asarray(times, np.float64))
        else:
            self._frame_times = None
        if self._token_times is not None and times is not None:
            num_tokens = tokens.shape[:-1].numel()
            self._token_times.append(np.repeat(np.asarray(times, np.float64), num_tokens // max(1, len(times))))
        else:
            self._token_times = None
        self._condenser.feed(tokens.flatten(0, -2)[None])

    def fork(self) -> "MemoryBuilder":
        """Return an independent builder that continues from here; the keys and values so far are copied."""
        other = copy.copy(self)
        other._condenser = self._condenser.fork(self._store.copy())
        other._token_times = None if self._token_times is None else list(self._token_times)
        other._frame_times = None if self._frame_times is None else list(self._frame_times)
        return other

    @torch.no_grad()
    def finish(self) -> VisualMemory:
        """Run the last window, which may be shorter, and return the memory.

        Raises:
            RuntimeError: it is finished already; nothing can be fed after this either.
        """
        self._check_open()
        self._is_finished = True  # the memory has the buffers now
        self._condenser.finish()
        plans, before = self._condenser.plans, self._before
        is_start = before.num_visual_tokens == 0
        new_spans = None if self._token_times is None else spans(plans, _joined(self._token_times))
        frame_times = None if self._frame_times is None else _joined(self._frame_times)
        return replace(
            before,
            layers=tuple((keys[0], values[0]) for keys, values in self._store.layers()),
            ratios=(*before.ratios, *(plan.ratio for plan in plans)),
            window_vsts=(*before.window_vsts, *(plan.num_vst for plan in plans)),
            spans=_after(before.spans, new_spans, is_start),
            frame_times=_after(before.frame_times, frame_times, is_start),
            num_visual_tokens=before.num_visual_tokens + sum(plan.num_tokens for plan in plans),
            num_frames=before.num_frames + self._num_frames,
            video=None,  # that of an extended memory describes only its beginning
            options=None,
            sections=(),
            buffers=self._store,
        )

    def _check_open(self) -> None:
        if self._is_finished:
            raise RuntimeError("this memory builder is finished: fork it before, or extend its memory")

    @property
    def _store(self) -> BufferStore:
        store = self._condenser.store
        assert isinstance(store, BufferStore)
        return store


def build_memory(
    stream: FrameStream,
    encode: Callable[[np.ndarray], Tensor],
    builder: MemoryBuilder,
    num_frames: int,
    device: torch.device,
    on_progress: Callable[[Progress], None] | None = None,
) -> MemoryResult:
    """Read a stream to its end, and return the memory and what it took.

    Args:
        stream: frames; it is closed in any case.
        encode: frames uint8 [t, h, w, 3] to visual tokens [t, p, hidden].
        builder: takes the tokens.
        num_frames: frames planned.
        device: of the model.
        on_progress: called after every chunk.
    """
    timings = dict.fromkeys(STAGES, 0.0)
    done = 0
    with stream:
        while True:
            with _timed(timings, "decode"):
                chunk = next(stream, None)
            if chunk is None:
                break
            # A decoder that is ahead will wait for us soon, if it does not already.
            with cpu_threads(device, reserve=0 if stream.is_ahead else 1):
                with _timed(timings, "encode", device):
                    tokens = encode(chunk.frames)
                with _timed(timings, "condense", device):
                    builder.feed(tokens.to(device), chunk.times)
            done += len(chunk.times)
            if on_progress is not None:
                on_progress(Progress(done, num_frames, dict(timings)))
        warnings = stream.warnings
    with cpu_threads(device), _timed(timings, "condense", device):
        memory = builder.finish()
    return MemoryResult(memory, timings, warnings)


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([*pieces, np.empty(0)])


def _after(before: np.ndarray | None, new: np.ndarray | None, is_start: bool) -> np.ndarray | None:
    """Return both, one after the other; None if one of them is unknown."""
    if is_start:
        return new
    return None if before is None or new is None else np.concatenate([before, new])


@contextlib.contextmanager
def _timed(timings: dict[str, float], stage: str, device: torch.device | None = None) -> Iterator[None]:
    started = time.perf_counter()
    yield
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)  # a GPU works asynchronously; waiting once per chunk costs nothing
    timings[stage] += time.perf_counter() - started
