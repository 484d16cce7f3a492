"""The whole model: wires video, vision, condensing and answering together, and holds no state of any video."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .checkpoints.loading import Checkpoint, load_checkpoint
from .engine.condense import Condenser, WindowObserver
from .engine.generate import Sampling, generate, next_logits
from .engine.text import TextStream, check_length, encode, encode_question
from .engine.watching import Session
from .errors import MemoryFileError
from .memory.stores import BufferStore
from .memory.value import VisualMemory
from .network.devices import cpu_threads, free_slots, within_memory
from .network.preprocessing import preprocess
from .planning.budget import DEFAULT_ROOM, Budget
from .planning.windows import RatioPolicy
from .video.video import Video

# Frames are decoded at twice the size that the model wants: small enough to be cheap, large enough that the model's
# own exact resize, not the decoder's fast one, makes the final picture.
_DECODE_SCALE = 2
_CHUNK_FRAMES = 32


@dataclass(frozen=True)
class Progress:
    """How far `watch` is.

    Args:
        frames_done: frames read, encoded and fed to the language model.
        frames_total: frames planned.
        timings: seconds spent so far waiting for "decode", in "encode" and in "condense".
    """

    frames_done: int
    frames_total: int
    timings: dict[str, float]


@dataclass(frozen=True)
class Answer:
    """An answer and what it took.

    Args:
        text: the answer, without white space around it.
        num_question_tokens: tokens read after the memory, chat markers included.
        num_answer_tokens: tokens generated, the end marker included.
        finished: whether the model ended the answer itself, rather than the limit on tokens.
        timings: seconds; "first_token" and "answer" (all of it).
    """

    text: str
    num_question_tokens: int
    num_answer_tokens: int
    finished: bool
    timings: dict[str, float] = field(default_factory=dict)


class VideoXL:
    """A model that watches videos and answers questions about them.

    Args:
        checkpoint: its parts; `from_pretrained` loads them by name.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checkpoint.config
        self.vision = checkpoint.vision
        self.language = checkpoint.language
        self.tokenizer = checkpoint.tokenizer
        self.fingerprint = checkpoint.fingerprint

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "videoxl-nano", device: str = "auto", dtype: str | torch.dtype = "auto"
    ) -> "VideoXL":
        """Return a model by its name.

        Args:
            name: a bundled name, a checkpoint folder, a short name such as "video-xl-7b", or a hub id.
            device: "auto", "cpu", "cuda", "cuda:1" …
            dtype: "auto", "float32", "bfloat16" or "float16". "auto" is float32 on the CPU and 16 bit on a GPU.

        Raises:
            CheckpointError: it cannot be found, is damaged, or is of a kind that is not supported.
        """
        return cls(load_checkpoint(name, device, dtype))

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self.language.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.language.dtype

    @torch.no_grad()
    def encode_frames(self, frames: np.ndarray | Tensor, batch: int = _CHUNK_FRAMES) -> Tensor:
        """Return the visual tokens of frames.

        Args:
            frames: uint8 RGB [t, h, w, 3] of any size.
            batch: frames that go through the vision tower at a time.

        Returns:
            [t, p, hidden] in the model's dtype.

        Raises:
            ValueError: the frames have another shape or dtype.
            BudgetError: the device's memory ran out.
        """
        device = self.vision.device
        with within_memory(device):
            pieces = [
                self.vision(preprocess(frames[start : start + batch], self.config.preprocessing, device))
                for start in range(0, len(frames), batch)
            ]
            if pieces:
                return torch.cat(pieces)
        size = (0, self.config.vision.tokens_per_frame, self.config.language.hidden_size)
        return torch.empty(size, device=device, dtype=self.dtype)

    def condense(
        self,
        tokens: Tensor,
        ratio: int | Literal["auto"] | RatioPolicy = "auto",
        prefix_ids: Sequence[int] | None = None,
        times: np.ndarray | None = None,
        window: int | None = None,
        room: int = DEFAULT_ROOM,
        on_window: WindowObserver | None = None,
    ) -> VisualMemory:
        """Return the memory of a video given as visual tokens.

        Args:
            tokens: [n, hidden] or [t, p, hidden].
            ratio: visual tokens per VST, one of `config.ratios`; "auto" is the smallest that fits; or a policy.
            prefix_ids: tokens before the video; None is the chat prompt's. May be empty.
            times: seconds of each frame or of each visual token, so that the memory knows what its slots cover.
            window: visual tokens in a full window, if not the model's own.
            room: slots to leave for a question and its answer.
            on_window: see `Condenser`.

        Raises:
            BudgetError: the model has no such ratio, the video does not fit, or the device's memory ran out.
            ValueError: there are neither as many times as frames nor as many as visual tokens.
        """
        with within_memory(self.device):
            flat = tokens.flatten(0, -2).to(self.device, self.dtype)
            if times is not None and len(times) not in (len(tokens), len(flat)):
                raise ValueError(f"{len(times)} times for {len(tokens)} frames or {len(flat)} visual tokens")
            session = self._session(len(flat), ratio, prefix_ids, window, room, on_window)
            session.feed(flat, None if times is None else np.repeat(times, len(flat) // max(1, len(times))))
            memory = session.finish()
        return replace(memory, num_frames=len(tokens) if tokens.ndim == 3 else 0)

    def watch(
        self,
        video: Video | str | os.PathLike[str],
        max_frames: int = 1024,
        fps: float | None = 1.0,
        ratio: int | Literal["auto"] | RatioPolicy = "auto",
        start: float | None = None,
        end: float | None = None,
        mode: Literal["uniform", "keyframes"] = "uniform",
        room: int = DEFAULT_ROOM,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> VisualMemory:
        """Return the memory of a video file, read as a stream: decoding goes on while chunks are condensed.

        Args:
            video: a video or its path.
            max_frames: at most so many frames are read.
            fps: at most so many frames per second of video; None for no limit.
            ratio: see `condense`.
            start: seconds; the part before is left out.
            end: seconds; the part from there on is left out.
            mode: "uniform", or "keyframes", which is many times faster on long files.
            room: slots to leave for a question and its answer.
            on_progress: called after every chunk.

        Raises:
            VideoError: the video cannot be read.
            BudgetError: the model has no such ratio, or the video does not fit: raised before any decoding. Or the
                device's memory ran out.
        """
        video = video if isinstance(video, Video) else Video(video)
        plan = video.sample(max_frames, fps, start, end, mode)
        per_frame = self.config.vision.tokens_per_frame
        num_frames = 0
        timings = {"decode": 0.0, "encode": 0.0, "condense": 0.0}
        with cpu_threads(self.device, reserve=1), within_memory(self.device):
            session = self._session(len(plan) * per_frame, ratio, room=room)
            size = _DECODE_SCALE * self.config.preprocessing.image_size
            with video.read(plan, _CHUNK_FRAMES, size) as reader:
                while True:
                    with _timed(timings, "decode"):
                        chunk = next(reader, None)
                    if chunk is None:
                        break
                    with _timed(timings, "encode", self.device):
                        tokens = self.encode_frames(chunk.frames)
                    with _timed(timings, "condense", self.device):
                        session.feed(tokens.flatten(0, 1).to(self.device), np.repeat(chunk.times, per_frame))
                    num_frames += len(chunk.times)
                    if on_progress is not None:
                        on_progress(Progress(num_frames, len(plan), dict(timings)))
                warnings = reader.report.warnings
            with _timed(timings, "condense", self.device):
                memory = session.finish()
        return replace(memory, num_frames=num_frames, timings=timings, warnings=warnings)

    @torch.no_grad()
    def next_logits(self, memory: VisualMemory, token_ids: Sequence[int] | Tensor) -> Tensor:
        """Return the logits after each of the k tokens that follow the memory, float32 [k, vocab].

        Raises:
            MemoryFileError: the memory was made by another model.
            BudgetError: the device's memory ran out.
        """
        self._check_memory(memory)
        with within_memory(self.device):
            return next_logits(self.language, memory, torch.as_tensor(token_ids, device=self.device))

    def answer(
        self,
        memory: VisualMemory,
        question: str,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Return an iterator over the pieces of an answer, as they are generated. The memory stays as it is.

        Args:
            memory: from `watch` or `condense`.
            question: in words.
            max_new_tokens: at most so many.
            temperature: 0 gives the likeliest answer; see `Sampling` for this and the next four.
            top_k: draw from the k likeliest tokens only; 0 is all.
            top_p: draw from the likeliest tokens that together have this probability.
            repetition_penalty: None is the checkpoint's own.
            seed: of the draw.

        Raises:
            QuestionError: the question is empty or too long. Raised at once, not by the iterator.
            MemoryFileError: the memory was made by another model.
            BudgetError: the device's memory ran out. Raised by the iterator.
        """
        sampling = Sampling(temperature, top_k, top_p, self._penalty(repetition_penalty), seed)
        question_ids = self._question_ids(memory, question, max_new_tokens)
        return (piece for piece, _ in self._stream(memory, question_ids, max_new_tokens, sampling))

    def ask(self, memory: VisualMemory, question: str, max_new_tokens: int = 128, **sampling: Any) -> Answer:
        """Return the whole answer; the arguments and errors are those of `answer`."""
        sampling["repetition_penalty"] = self._penalty(sampling.get("repetition_penalty"))
        question_ids = self._question_ids(memory, question, max_new_tokens)
        started = time.perf_counter()
        first = 0.0
        pieces, tokens = [], []
        for piece, token_id in self._stream(memory, question_ids, max_new_tokens, Sampling(**sampling)):
            first = first or time.perf_counter() - started
            pieces.append(piece)
            tokens += [] if token_id is None else [token_id]
        timings = {"first_token": first, "answer": time.perf_counter() - started}
        finished = bool(tokens) and tokens[-1] in self.config.eos_token_ids
        return Answer("".join(pieces).strip(), len(question_ids), len(tokens), finished, timings)

    def _penalty(self, asked: float | None) -> float:
        return self.config.repetition_penalty if asked is None else asked

    def _question_ids(self, memory: VisualMemory, question: str, max_new_tokens: int) -> list[int]:
        self._check_memory(memory)
        question_ids = encode_question(self.tokenizer, self.config.prompt, question)
        check_length(len(question_ids), max_new_tokens, memory.length, self.config.max_positions)
        return question_ids

    def _stream(
        self, memory: VisualMemory, question_ids: list[int], max_new_tokens: int, sampling: Sampling
    ) -> Iterator[tuple[str, int | None]]:
        """Yield pieces of text with the token that completed them; the end marker has no text, the rest no token."""
        assert self.tokenizer is not None  # encoding the question needed it
        stream = TextStream(self.tokenizer)
        token_ids = torch.tensor(question_ids, device=self.device)
        context_ids = torch.tensor([*memory.prefix_ids, *question_ids], device=self.device)
        steps = generate(
            self.language, memory, token_ids, max_new_tokens, self.config.eos_token_ids, sampling, context_ids
        )
        while True:
            # Grad mode is thread state: a generator that held it between pieces would change its caller's.
            with torch.no_grad(), cpu_threads(self.device), within_memory(self.device):
                step = next(steps, None)
            if step is None:
                break
            is_end = step.token_id in self.config.eos_token_ids
            yield "" if is_end else stream.push(step.token_id), step.token_id
        yield stream.finish(), None

    def _check_memory(self, memory: VisualMemory) -> None:
        if memory.fingerprint != self.fingerprint:
            raise MemoryFileError(
                f"this memory was made by another model than {self.config.name}",
                "Watch the video again with this model.",
            )
        if memory.layers and memory.layers[0][0].dtype != self.dtype:
            raise MemoryFileError(
                f"this memory is in {memory.layers[0][0].dtype}, the model in {self.dtype}",
                "Load the model with that dtype, or watch the video again.",
            )

    def _session(
        self,
        num_tokens: int,
        ratio: int | str | RatioPolicy,
        prefix_ids: Sequence[int] | None = None,
        window: int | None = None,
        room: int = DEFAULT_ROOM,
        on_window: WindowObserver | None = None,
    ) -> Session:
        """Return a session for a video of at most so many visual tokens, after checking that it fits."""
        if prefix_ids is None:
            prefix_ids = encode(self.tokenizer, self.config.prompt.partition("<image>")[0])
        window = window or self.config.window
        budget = Budget(self.config, len(prefix_ids), room, free_slots(self.config, self.device, self.dtype))
        policy = ratio if isinstance(ratio, RatioPolicy) else budget.choose(num_tokens, ratio)
        need = budget.check(num_tokens, policy, window)
        condenser = Condenser(self.language, BufferStore(need.slots + need.longest_window), policy, window, on_window)
        return Session(condenser, prefix_ids, self.device, self.fingerprint)


@contextlib.contextmanager
def _timed(timings: dict[str, float], stage: str, device: torch.device | None = None) -> Iterator[None]:
    started = time.perf_counter()
    yield
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)  # a GPU works behind our back; once per chunk costs nothing
    timings[stage] += time.perf_counter() - started
