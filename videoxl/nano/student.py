"""The language model as it is trained: condense a batch of videos, answer the packed questions from memory alone."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videoxl.engine.condense import condense_batch
from videoxl.nano.trainer import Metrics
from videoxl.nano.training_videos import IGNORE, SYMBOLS, VideoBatch
from videoxl.network.interleave import take_vsts
from videoxl.network.qwen2 import VSTQwen2
from videoxl.planning.windows import WindowPlan

_TALLY_WEIGHT = 0.2


class Tally(nn.Module):
    """Reads from every VST how many cards there were so far and which was the latest; thrown away after training.

    Counting and order form much earlier with it. It reads what the last layer but one puts out: that is what the last
    layer's keys and values are made of, and what comes after it is in no memory.

    Args:
        language: whose VSTs are read.
        most: cards of a video.
    """

    def __init__(self, language: VSTQwen2, most: int = 6) -> None:
        super().__init__()
        self.count_head = nn.Linear(language.config.hidden_size, most + 1)
        self.latest_head = nn.Linear(language.config.hidden_size, SYMBOLS)
        self._output = torch.empty(0)
        self._windows: list[Tensor] = []
        language.layers[-2].register_forward_hook(self._on_layer)

    def _on_layer(self, layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        self._output = output

    def on_window(self, plan: WindowPlan | None, hidden: Tensor) -> None:
        """Note the VSTs of a window (see `Condenser`)."""
        if plan is not None and plan.layout is not None:
            self._windows.append(take_vsts(self._output, plan.layout))

    def forward(self, so_far: Tensor) -> Tensor:
        """Return the loss of the windows since the last call, given `VideoBatch.so_far`."""
        states = torch.cat(self._windows, dim=1).flatten(0, 1).float()
        self._windows.clear()
        states = F.layer_norm(states, states.shape[1:])  # as they are, some numbers in them are in the hundreds
        counts, latest = so_far.flatten(0, 1).unbind(-1)
        return F.cross_entropy(self.count_head(states).float(), counts) + F.cross_entropy(
            self.latest_head(states).float(), latest
        )


class Student(nn.Module):
    """A language model in training.

    Args:
        language: is trained in place.
        prefix_ids: the prompt's tokens before the video.
    """

    def __init__(self, language: VSTQwen2, prefix_ids: Sequence[int]) -> None:
        super().__init__()
        self.language = language
        self.tally = Tally(language)
        self._prefix_ids = torch.tensor([list(prefix_ids)])

    def forward(self, batch: VideoBatch) -> tuple[Tensor, Metrics]:
        """Return the loss, and the share of fully right answers by family.

        The loss is the mean cross-entropy of the answers' tokens, a token of an answer with n weighing 1 / sqrt(n):
        with equal weights, descriptions drown the answers of one word.
        """
        prefix = self._prefix_ids.to(batch.tokens.device)
        store = condense_batch(
            self.language, batch.tokens, prefix, batch.ratio, batch.window, on_window=self.tally.on_window
        )
        mask = question_mask(batch.segments, batch.parts, prefix.shape[1], store.length)
        positions = prefix.shape[1] + batch.parts[..., 1] + batch.offsets
        hidden = self.language(self.language.embed(batch.text_ids), positions, store, mask=mask, keep=False)
        wanted = batch.targets != IGNORE
        logits = self.language.logits(hidden[wanted])
        targets = batch.targets[wanted]
        weights = _answer_lengths(batch.segments, wanted)[wanted].rsqrt()
        answers = (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()
        tally = self.tally(batch.so_far)
        right = torch.zeros_like(batch.targets, dtype=torch.bool).masked_scatter(wanted, logits.argmax(-1) == targets)
        metrics = {"loss": answers.item(), "tally": tally.item(), **_accuracies(batch, right | ~wanted)}
        return answers + _TALLY_WEIGHT * tally, metrics


def question_mask(segments: Tensor, parts: Tensor, num_prefix: int, memory_length: int) -> Tensor:
    """Return bool [b, 1, q, memory + q]: every token sees its part of the memory and its own question before it.

    Args:
        segments: int64 [b, q], see `VideoBatch`.
        parts: int64 [b, q, 2], likewise.
        num_prefix: slots before the first VST, which everyone sees.
        memory_length: slots of prefix and VSTs.
    """
    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    slots = torch.arange(memory_length, device=segments.device) - num_prefix
    memory = (slots < 0) | ((slots >= parts[..., :1]) & (slots < parts[..., 1:]))
    return torch.cat([memory, same & causal], dim=2)[:, None]


def _answer_lengths(segments: Tensor, wanted: Tensor) -> Tensor:
    """Return float [b, q]: how many answer tokens the question has that a token belongs to."""
    same = segments[:, :, None] == segments[:, None, :]
    return (same & wanted[:, None, :]).sum(-1).float()


def _accuracies(batch: VideoBatch, right: Tensor) -> Metrics:
    """Return the share of questions whose every answer token is right: by family, and of all as "accuracy"."""
    most = max(map(len, batch.families))
    wrong = torch.zeros(len(right), most + 1, device=right.device)
    wrong.scatter_add_(1, batch.segments + 1, (~right).float())  # padding counts in the first column
    all_right = (wrong[:, 1:] == 0).tolist()
    found: dict[str, list[bool]] = {"accuracy": []}
    for row, families in zip(all_right, batch.families, strict=True):
        for is_right, family in zip(row, families, strict=False):
            found.setdefault(family, []).append(is_right)
            found["accuracy"].append(is_right)
    return {family: sum(values) / len(values) for family, values in found.items()}
