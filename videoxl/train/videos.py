"""Second stage: the language model learns to condense videos and to answer from the memory alone.

The vision tower stays as it is after the first stage, so its visual tokens are computed once: a *bank* of cards, and
*haystacks*, which are sequences of frames without any card. A training video is a haystack with cards put in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from videoxl.config import CHAT_PROMPT
from videoxl.engine.condense import condense_batch
from videoxl.network.qwen2 import VSTQwen2
from videoxl.train.questions import Question, answer_ids, questions
from videoxl.train.trainer import Metrics
from videoxl.world.cards import KINDS, Card

IGNORE = -100
_TEXT_TOKENS = 100  # of a video's questions, about


@dataclass(frozen=True)
class Bank:
    """Visual tokens of rendered frames, float16 [n, p, hidden] each.

    Args:
        cards: frames with a card; `labels` says what is on each.
        haystacks: frames without a card, one array per scene, in order of time.
    """

    cards: np.ndarray
    labels: Sequence[Card]
    haystacks: Sequence[np.ndarray]

    def by_kind(self) -> dict[str, np.ndarray]:
        """Return the indices of the cards of each kind."""
        kinds = np.array([card.kind for card in self.labels])
        return {kind: np.flatnonzero(kinds == kind) for kind in KINDS}


@dataclass(frozen=True)
class Phase:
    """A part of the curriculum: which videos are seen.

    Args:
        share: of the stage's steps.
        frames: smallest and largest number of frames of a video.
        ratios: one is drawn for every step.
        windows: visual tokens in a window, one is drawn for every step.
        tokens: visual and text tokens in a batch; the number of videos follows.
    """

    share: float
    frames: tuple[int, int]
    ratios: tuple[int, ...]
    windows: tuple[int, ...] = (16, 32, 64)
    tokens: int = 4096


CURRICULUM = (
    Phase(0.16, (4, 8), (2, 4)),
    Phase(0.10, (6, 16), (2, 4, 8)),
    Phase(0.27, (6, 32), (2, 4, 8, 16)),
    Phase(0.11, (16, 128), (2, 4, 8, 16, 16)),
    Phase(0.36, (8, 256), (2, 4, 8, 16, 16), (16, 32, 64, 64)),
)


@dataclass(frozen=True)
class VideoBatch:
    """Videos of equal length with packed questions.

    Args:
        tokens: float [b, n, hidden] visual tokens.
        text_ids: int64 [b, q] all questions of a video, one after another, padded.
        targets: int64 [b, q] the token that follows, `IGNORE` outside answers.
        segments: int64 [b, q] number of the question that a token belongs to, -1 for padding.
        offsets: int64 [b, q] place of a token in its question.
        families: the family of every question.
        ratio: visual tokens per VST.
        window: visual tokens in a window.
    """

    tokens: Tensor
    text_ids: Tensor
    targets: Tensor
    segments: Tensor
    offsets: Tensor
    families: list[list[str]]
    ratio: int
    window: int

    def to(self, device: torch.device) -> "VideoBatch":
        """Return the batch with its tensors on a device."""
        names = ("tokens", "text_ids", "targets", "segments", "offsets")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def haystack(rng: np.random.Generator, bank: Bank, frames: int) -> np.ndarray:
    """Return [frames, p, hidden]: scenes cut together, each played forward or backward at some speed."""
    pieces: list[np.ndarray] = []
    missing = frames
    while missing:
        scene = bank.haystacks[int(rng.integers(len(bank.haystacks)))]
        step = int(rng.integers(1, 4))
        start = int(rng.integers(len(scene)))
        piece = scene[start::step][: min(missing, int(rng.integers(2, 40)))]
        pieces.append(piece[:: int(rng.choice([-1, 1]))])
        missing -= len(piece)
    return np.concatenate(pieces)


def random_video(
    rng: np.random.Generator, bank: Bank, by_kind: dict[str, np.ndarray], frames: int
) -> tuple[np.ndarray, list[Card]]:
    """Return visual tokens [frames, p, hidden] and the cards in the video: none to three, at most one of each kind.

    A card stays for one to three frames.
    """
    count = int(rng.choice([0, 1, 2, 3], p=[0.25, 0.43, 0.19, 0.13]))
    kinds = rng.choice(KINDS, count, replace=False, p=[0.6, 0.2, 0.2])
    tokens = haystack(rng, bank, frames)
    cards = []
    # The first and the last frame are rare in long videos, and as worth knowing as any other.
    odds = np.ones(frames)
    odds[[0, -1]] += 0.05 * frames
    places = np.sort(rng.choice(frames, count, replace=False, p=odds / odds.sum()))
    limits = [*places[1:], frames][:count]
    for kind, place, limit in zip(kinds, places, limits, strict=True):
        index = int(rng.choice(by_kind[str(kind)]))
        stay = int(rng.choice([1, 1, 1, 2, 3]))  # frames; at a low sampling rate most cards are seen once
        tokens[place : min(place + stay, limit)] = bank.cards[index]
        cards.append(bank.labels[index])
    return tokens, cards


class VideoSource:
    """Makes the batch of any step: a function of the step number and the seed.

    Args:
        bank: visual tokens to draw from.
        tokenizer: of the model.
        steps: of the whole stage; the curriculum's shares refer to it.
        num_questions: questions a video.
    """

    def __init__(
        self, bank: Bank, tokenizer: PreTrainedTokenizerFast, steps: int, num_questions: int = 6, seed: int = 0
    ) -> None:
        self._bank, self._tokenizer, self._steps = bank, tokenizer, steps
        self._by_kind = bank.by_kind()
        self._num_questions, self._seed = num_questions, seed

    def phase(self, step: int) -> Phase:
        """Return the part of the curriculum that a step belongs to."""
        progress, end = step / self._steps, 0.0
        for phase in CURRICULUM:
            end += phase.share
            if progress < end:
                return phase
        return CURRICULUM[-1]

    def batch(self, step: int) -> VideoBatch:
        """Return the training batch of one step."""
        rng = np.random.default_rng((self._seed, step))
        phase = self.phase(step)
        low, high = phase.frames
        frames = int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))
        per_frame = self._bank.cards.shape[1]
        videos = [
            random_video(rng, self._bank, self._by_kind, frames)
            for _ in range(max(4, phase.tokens // (frames * per_frame + _TEXT_TOKENS)))
        ]
        asked = [questions(rng, cards, self._num_questions) for _, cards in videos]
        tokens = torch.from_numpy(np.stack([tokens for tokens, _ in videos])).float().flatten(1, 2)
        ratio = int(rng.choice([ratio for ratio in phase.ratios if ratio <= tokens.shape[1]]))
        families = [[question.family for question in video] for video in asked]
        return VideoBatch(tokens, *pack(self._tokenizer, asked), families, ratio, int(rng.choice(phase.windows)))


def pack(
    tokenizer: PreTrainedTokenizerFast, asked: Sequence[Sequence[Question]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return text_ids, targets, segments and offsets (see `VideoBatch`) for the questions of each video."""
    rows = []
    suffix = CHAT_PROMPT.partition("<image>")[2]
    for video in asked:
        row: list[tuple[int, int, int, int]] = []
        for number, question in enumerate(video):
            text = tokenizer(suffix.replace("{question}", question.text), add_special_tokens=False)["input_ids"]
            ids = [*text, *answer_ids(tokenizer, question)]
            targets = [IGNORE] * (len(text) - 1) + ids[len(text) :]
            row += [(ids[i], targets[i], number, i) for i in range(len(ids) - 1)]
        rows.append(row)
    longest = max(len(row) for row in rows)
    padded = [row + [(0, IGNORE, -1, 0)] * (longest - len(row)) for row in rows]
    text_ids, following, segments, offsets = torch.tensor(padded).unbind(-1)
    return text_ids, following, segments, offsets


class Student(nn.Module):
    """The language model as it is trained: condense a batch of videos, answer the packed questions from memory."""

    def __init__(self, language: VSTQwen2, prefix_ids: Sequence[int]) -> None:
        super().__init__()
        self.language = language
        self._prefix_ids = torch.tensor([list(prefix_ids)])

    def forward(self, batch: VideoBatch) -> tuple[Tensor, Metrics]:
        """Return the mean cross-entropy of the answers' tokens, and the share of fully right answers by family."""
        device = batch.tokens.device
        store = condense_batch(self.language, batch.tokens, self._prefix_ids.to(device), batch.ratio, batch.window)
        mask = question_mask(batch.segments, store.length)
        hidden = self.language(
            self.language.embed(batch.text_ids), store.length + batch.offsets, store, mask=mask, keep=False
        )
        wanted = batch.targets != IGNORE
        logits = self.language.logits(hidden[wanted])
        targets = batch.targets[wanted]
        loss = F.cross_entropy(logits, targets)
        right = torch.zeros_like(batch.targets, dtype=torch.bool).masked_scatter(wanted, logits.argmax(-1) == targets)
        return loss, {"loss": loss.item(), "accuracy": 0.0, **_accuracies(batch, right | ~wanted)}


def question_mask(segments: Tensor, memory_length: int) -> Tensor:
    """Return bool [b, 1, q, memory + q]: every token sees the memory and what stands before it in its own question."""
    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    memory = torch.ones(len(segments), length, memory_length, dtype=torch.bool, device=segments.device)
    return torch.cat([memory, same & causal], dim=2)[:, None]


def _accuracies(batch: VideoBatch, right: Tensor) -> Metrics:
    """Return the share of questions whose every answer token is right: by family, and of all as "accuracy"."""
    found: dict[str, list[bool]] = {"accuracy": []}
    for row, families in enumerate(batch.families):
        for number, family in enumerate(families):
            all_right = bool(right[row][batch.segments[row] == number].all())
            found.setdefault(family, []).append(all_right)
            found["accuracy"].append(all_right)
    return {family: sum(values) / len(values) for family, values in found.items()}
