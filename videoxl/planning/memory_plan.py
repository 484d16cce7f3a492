"""What memorizing a video will read and need, as a value: made before weights are loaded, and then carried out."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..config import ModelConfig
from ..options import MemoryOptions
from ..video.sampling import SamplingPlan
from ..video.sources import FrameSource, FrameStream
from .budget import DEFAULT_RESERVED_SLOTS, Budget, Requirement
from .windows import RatioPolicy

# Frames are decoded at twice the size that the model wants: small enough to be cheap, large enough that the model's
# own exact resize, not the decoder's fast one, makes the final picture.
_DECODE_SCALE = 2
CHUNK_FRAMES = 32


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """Which frames are read, at which ratio, and what that takes.

    Two plans are equal if they read the same frames of the same source object in the same way.

    Args:
        source: where the frames come from.
        frames: which ones.
        options: what was asked for.
        budget: what the model can take.
        policy: the ratio of every window.
        requirement: slots and positions.
    """

    source: FrameSource
    frames: SamplingPlan
    options: MemoryOptions
    budget: Budget
    policy: RatioPolicy
    requirement: Requirement

    def __len__(self) -> int:
        return len(self.frames)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryPlan) and self.source == other.source and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> str:
        """A digest of all that the memory depends on but the video's content and the model's weights."""
        settings: dict[str, Any] = {
            "policy": asdict(self.policy),
            "window": self.budget.config.window,
            "prefix": self.budget.num_prefix,
            "mode": self.frames.mode,
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        digest.update(self.frames.indices.astype("<i8").tobytes())
        digest.update(self.frames.times.astype("<f8").tobytes())
        return digest.hexdigest()[:32]

    def open(self) -> FrameStream:
        """Begin to read the frames; decoding starts at once, in a process of its own.

        Raises:
            VideoError: the file cannot be read any more.
        """
        return self.source.read(self.frames, CHUNK_FRAMES, decode_size(self.budget.config))

    def after(self, num_frames: int) -> "MemoryPlan":
        """Return the plan of the rest after some frames, at the ratio of the whole plan; see `within`."""
        rest = slice(num_frames, None)
        frames = replace(self.frames, indices=self.frames.indices[rest], times=self.frames.times[rest])
        options = replace(self.options, ratio=self.policy.ratios[0])
        return replace(self, frames=frames, options=options)

    def within(self, free_slots: int | None, num_before: int | None = None) -> "MemoryPlan":
        """Return the plan for a device with so much free memory: itself, or with a larger ratio where that is "auto".

        Args:
            free_slots: of the device; None if unknown.
            num_before: slots of a memory that is extended, in place of the prompt's.

        Raises:
            BudgetError: it does not fit; the advice names what would.
        """
        num_prefix = self.budget.num_prefix if num_before is None else num_before
        budget = replace(self.budget, free_slots=free_slots, num_prefix=num_prefix)
        return _plan(self.source, self.frames, self.options, budget, self.policy)


def decode_size(config: ModelConfig) -> int:
    """Return the shorter edge, in pixels, that frames are decoded at for a model."""
    return _DECODE_SCALE * config.preprocessing.image_size


def plan_memory(
    source: FrameSource,
    options: MemoryOptions,
    config: ModelConfig,
    num_prefix: int,
    reserved_slots: int = DEFAULT_RESERVED_SLOTS,
) -> MemoryPlan:
    """Return the plan of a video's memory.

    Args:
        source: where the frames come from.
        options: which frames, and how hard they are condensed.
        config: of the model.
        num_prefix: slots before the video: of the prompt.
        reserved_slots: slots to leave for a question and its answer.

    Raises:
        VideoError: the options choose no frame.
        BudgetError: the model has no such ratio, or the video does not fit its positions.
    """
    frames = source.sample(options.max_frames, options.fps, options.start, options.end, options.mode)
    return _plan(source, frames, options, Budget(config, num_prefix, reserved_slots), None)


def _plan(
    source: FrameSource, frames: SamplingPlan, options: MemoryOptions, budget: Budget, before: RatioPolicy | None
) -> MemoryPlan:
    """Return a plan with the policy that it had before, if that fits or was asked for."""
    num_tokens = len(frames) * budget.config.vision.tokens_per_frame
    still_fits = before is not None and budget.fits(budget.requirement(num_tokens, before))
    policy = before if before is not None and still_fits else budget.choose(num_tokens, options.ratio)
    return MemoryPlan(source, frames, options, budget, policy, budget.check(num_tokens, policy, budget.config.window))
