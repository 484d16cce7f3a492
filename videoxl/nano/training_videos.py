"""Training videos: haystacks with cards put in, and questions packed behind them.

A haystack is a sequence of frames without any card. The batch of a step is a function of the step number and the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from videoxl.config import CHAT_PROMPT
from videoxl.nano.pictures import CHARACTERS
from videoxl.nano.questions import Question, ask, questions
from videoxl.nano.token_bank import Bank
from videoxl.nano.tokenizer import answer_ids, text_ids
from videoxl.planning.windows import RatioPolicy, plan_windows
from videoxl.tasks.needle.cards import KINDS, LETTERS, SHAPES, Card

IGNORE = -100
SYMBOLS = 1 + len(SHAPES) + len(CHARACTERS)
_LONG = (512, 1024)  # frames of a long video
_TEXT_TOKENS = 140  # of a video's questions, about eight; a long video has room for more
_MAX_CARDS = 6
_COUNTS = (0.20, 0.20, 0.15, 0.14, 0.12, 0.10, 0.09)  # how often a video has so many cards
_STAYS = (1, 1, 1, 1, 2, 2, 3, 4, 6)  # frames; at a low sampling rate most cards are seen once
_MISREAD = 0.04  # of the characters that an answer goes on from; what the model writes itself is not always right
_SUFFIX = CHAT_PROMPT.partition("<image>")[2]


@dataclass(frozen=True)
class Phase:
    """A part of the curriculum: which videos are seen.

    Args:
        share: of the stage's steps.
        frames: smallest and largest number of frames of a video.
        ratios: one is drawn for every step.
        windows: visual tokens in a window, one is drawn for every step.
        tokens: visual and text tokens in a batch; the number of videos follows.
        long: share of the phase's steps that have long videos.
    """

    share: float
    frames: tuple[int, int]
    ratios: tuple[int, ...]
    windows: tuple[int, ...] = (16, 32, 64)
    tokens: int = 4096
    long: float = 0.0


@dataclass(frozen=True)
class VideoBatch:
    """Videos of equal length with packed questions.

    Args:
        tokens: float [b, n, hidden] visual tokens.
        text_ids: int64 [b, q] all questions of a video, one after another, padded.
        targets: int64 [b, q] the token that follows, `IGNORE` outside answers.
        segments: int64 [b, q] number of the question that a token belongs to, -1 for padding.
        offsets: int64 [b, q] place of a token in its question.
        parts: int64 [b, q, 2] half-open range of the VSTs that a token may see.
        families: the family of every question.
        so_far: int64 [b, v, 2] for every VST, how many cards began before its end, and `symbol` of the latest.
        ratio: visual tokens per VST.
        window: visual tokens in a window.
    """

    tokens: Tensor
    text_ids: Tensor
    targets: Tensor
    segments: Tensor
    offsets: Tensor
    parts: Tensor
    families: list[list[str]]
    so_far: Tensor
    ratio: int
    window: int

    def to(self, device: torch.device) -> "VideoBatch":
        """Return the batch with its tensors on a device."""
        names = ("tokens", "text_ids", "targets", "segments", "offsets", "parts", "so_far")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


@dataclass(frozen=True)
class Shown:
    """A card in a video, and the half-open range of frames that show it."""

    card: Card
    start: int
    stop: int


def haystack(rng: np.random.Generator, bank: Bank, frames: int) -> np.ndarray:
    """Return [frames, p, hidden]: scenes cut together, each played forward or backward at some speed.

    Half of them, where there is footage, are as videos mostly are: real, and without cuts for as long as a clip lasts.
    """
    real = bool(bank.footage) and rng.random() < 0.5
    scenes = bank.footage if real else [*bank.scenes, *bank.footage]
    pieces: list[np.ndarray] = []
    missing = frames
    while missing:
        scene = scenes[int(rng.integers(len(scenes)))]
        step = int(rng.integers(1, 4))
        start = int(rng.integers(len(scene)))
        longest = missing if real else int(rng.integers(2, 40))
        piece = scene[start::step][: min(missing, longest)]
        pieces.append(piece[:: int(rng.choice([-1, 1]))])
        missing -= len(piece)
    return np.concatenate(pieces)


def random_video(
    rng: np.random.Generator, bank: Bank, by_kind: dict[str, np.ndarray], frames: int, most: int = _MAX_CARDS
) -> tuple[np.ndarray, list[Shown]]:
    """Return visual tokens [frames, p, hidden] and the cards in the video, at most `most` of them, in order of time.

    Half of the videos with two or three cards have several kinds; the others, and those with more, any.
    """
    count = min(int(rng.choice(len(_COUNTS), p=_COUNTS)), most, frames)
    different = count <= len(KINDS) and rng.random() < 0.5
    kinds = rng.choice(KINDS, count, replace=not different, p=[0.5, 0.25, 0.25])
    tokens = haystack(rng, bank, frames)
    shown = []
    # The first and the last frame are rare in long videos, and as worth knowing as any other.
    odds = np.ones(frames)
    odds[[0, -1]] += 0.05 * frames
    places = np.sort(rng.choice(frames, count, replace=False, p=odds / odds.sum()))
    limits = [*places[1:], frames][:count]
    for kind, place, limit in zip(kinds, places, limits, strict=True):
        index = int(rng.choice(by_kind[str(kind)]))
        stop = min(place + int(rng.choice(_STAYS)), limit)
        tokens[place:stop] = bank.cards[index]
        shown.append(Shown(bank.labels[index], int(place), int(stop)))
    return tokens, shown


def random_part(
    rng: np.random.Generator, shown: Sequence[Shown], spans: np.ndarray, margin: float
) -> tuple[int, int] | None:
    """Return a half-open range of VSTs whose borders stand clear of every card, or None if a few tries find none.

    Args:
        rng: draws it.
        shown: the video's cards.
        spans: float [v, 2], the half-open range of frames that each VST covers.
        margin: frames between a border and a card.
    """
    for _ in range(8):
        first, last = sorted(int(place) for place in rng.choice(len(spans) + 1, 2, replace=False))
        borders = [place for place in (spans[first, 0], spans[last - 1, 1]) if 0 < place < spans[-1, 1]]
        clear = all(item.stop + margin <= at or item.start >= at + margin for at in borders for item in shown)
        if clear and borders:
            return first, last
    return None


class VideoSource(Dataset[VideoBatch]):
    """Makes the batch of any step.

    Args:
        bank: visual tokens to draw from.
        tokenizer: of the model.
        steps: of the whole stage; the curriculum's shares refer to it.
        curriculum: its phases.
        seed: of everything.
    """

    def __init__(
        self,
        bank: Bank,
        tokenizer: PreTrainedTokenizerFast,
        steps: int,
        curriculum: Sequence[Phase],
        seed: int = 0,
    ) -> None:
        self._bank, self._tokenizer, self._steps = bank, tokenizer, steps
        self._by_kind = bank.by_kind()
        self._curriculum, self._seed = curriculum, seed
        vocabulary = tokenizer.get_vocab()
        self._characters = [  # a first letter is another token than one that follows, and letters are no digits
            torch.tensor([vocabulary[before + character] for character in characters])
            for characters in (LETTERS, "0123456789")
            for before in ("", "##")
        ]

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> VideoBatch:
        return self.batch(step)

    def phase(self, step: int) -> Phase:
        """Return the part of the curriculum that a step belongs to."""
        progress, end = step / self._steps, 0.0
        for phase in self._curriculum:
            end += phase.share
            if progress < end:
                return phase
        return self._curriculum[-1]

    def batch(self, step: int) -> VideoBatch:
        """Return the training batch of one step."""
        rng = np.random.default_rng((self._seed, step))
        phase = self.phase(step)
        low, high = _LONG if rng.random() < phase.long else phase.frames
        frames = int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))
        per_frame = self._bank.cards.shape[1]
        ratio = int(rng.choice([ratio for ratio in phase.ratios if ratio <= frames * per_frame]))
        window = int(rng.choice(phase.windows))
        plans = plan_windows(frames * per_frame, window, RatioPolicy((ratio,)))
        spans = np.concatenate([plan.covered() for plan in plans]) / per_frame
        room = _TEXT_TOKENS + frames * per_frame // 16
        count = max(1, phase.tokens // (frames * per_frame + len(spans) + room))
        # A memory with less than two slots a card teaches nothing but to guess.
        most = max(1, len(spans) // 2)
        videos = [random_video(rng, self._bank, self._by_kind, frames, most) for _ in range(count)]
        asked = [self._questions(rng, shown, spans, ratio / per_frame, room) for _, shown in videos]
        text, targets, segments, offsets, parts = pack(self._tokenizer, asked, len(spans))
        return VideoBatch(
            torch.from_numpy(np.stack([tokens for tokens, _ in videos])).float().flatten(1, 2),
            self._misread(rng, text, targets),
            targets,
            segments,
            offsets,
            parts,
            families=[[question.family for question in video] for video in asked],
            so_far=torch.tensor([[so_far(shown, end) for end in spans[:, 1]] for _, shown in videos]),
            ratio=ratio,
            window=window,
        )

    def _misread(self, rng: np.random.Generator, text: Tensor, targets: Tensor) -> Tensor:
        """Return the tokens with some of the answers' characters changed; what should follow them stays the same."""
        answered = functional.pad(targets[:, :-1] == text[:, 1:], (1, 0)) & (targets != IGNORE)
        for characters in self._characters:
            drawn = torch.from_numpy(rng.choice(characters.numpy(), tuple(text.shape)))
            changed = answered & torch.isin(text, characters) & torch.from_numpy(rng.random(text.shape) < _MISREAD)
            text = torch.where(changed, drawn, text)
        return text

    def _questions(
        self, rng: np.random.Generator, shown: Sequence[Shown], spans: np.ndarray, span: float, room: int
    ) -> list[Question]:
        """Return as many questions as have room, so that the rows of a batch are about equally long."""
        cards = [item.card for item in shown]
        asked = [*questions(rng, cards)]
        part = random_part(rng, shown, spans, max(1.0, span)) if rng.random() < 0.6 and len(spans) > 1 else None
        if part:
            start, stop = spans[part[0], 0], spans[part[1] - 1, 1]
            inside = [item.card for item in shown if start <= item.start < stop]
            asked.insert(0, replace(ask(rng, "describe", inside), family="describe_part", part=part))
        chosen = []
        for question in asked:
            length = len(_tokens(self._tokenizer, question))
            if length <= room:
                chosen.append(question)
                room -= length
        return chosen


def so_far(shown: Sequence[Shown], end: float) -> tuple[int, int]:
    """Return how many cards begin before frame `end`, and `symbol` of the last of them (0 if there is none)."""
    begun = [item.card for item in shown if item.start < end]
    return len(begun), symbol(begun[-1]) if begun else 0


def symbol(card: Card) -> int:
    """Return a number for the first thing that is read of a card: its shape, or its first letter or digit."""
    return 1 + (SHAPES.index(card.text) if card.kind == "shape" else len(SHAPES) + CHARACTERS.index(card.text[0]))


def _tokens(tokenizer: PreTrainedTokenizerFast, question: Question) -> list[tuple[int, int]]:
    """Return the tokens of a question and its answer, each with the target that follows it."""
    text = text_ids(tokenizer, _SUFFIX.replace("{question}", question.text))
    ids = [*text, *answer_ids(tokenizer, question)]
    targets = [IGNORE] * (len(text) - 1) + ids[len(text) :]
    return list(zip(ids[:-1], targets, strict=True))


def pack(
    tokenizer: PreTrainedTokenizerFast, asked: Sequence[Sequence[Question]], num_vst: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return text_ids, targets, segments, offsets and parts (see `VideoBatch`) for the questions of each video."""
    rows = []
    for video in asked:
        row: list[tuple[int, ...]] = []
        for number, question in enumerate(video):
            part = question.part or (0, num_vst)
            pairs = enumerate(_tokens(tokenizer, question))
            row += [(token, target, number, place, *part) for place, (token, target) in pairs]
        rows.append(row)
    longest = max(len(row) for row in rows)
    padded = [row + [(0, IGNORE, -1, 0, 0, 0)] * (longest - len(row)) for row in rows]
    table = torch.tensor(padded)
    text, following, segments, offsets = table[..., :4].unbind(-1)
    return text, following, segments, offsets, table[..., 4:]
