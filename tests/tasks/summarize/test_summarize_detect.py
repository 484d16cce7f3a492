"""Which parts of a video are found, from answers that are made up."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from text_tokenizers import word_tokens
from tiny_models import EOS, checkpoint, language_config

from videoxl import VideoXL
from videoxl.checkpoints.tokenizer import TextTokenizer
from videoxl.options import AnswerOptions, SpanOptions
from videoxl.tasks.summarize.chapters import Span
from videoxl.tasks.summarize.describe import Describer
from videoxl.tasks.summarize.detect import divide, is_outlier, merge
from videoxl.tasks.summarize.prompts import Prompts

OPTIONS = SpanOptions()


def cut(*edges: float) -> list[Span]:
    return [Span(low, high) for low, high in itertools.pairwise(edges)]


def test_long_chapters_are_divided_and_short_ones_are_not() -> None:
    times = np.arange(100.0)
    parts = divide(cut(0, 12, 100), times, OPTIONS)
    assert parts[0] == Span(0, 12) and len(parts) == 1 + 6
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]] and parts[-1].end == 100
    assert all(part.end - part.start <= 15 for part in parts)


def test_a_part_has_several_frames_however_far_these_are_apart() -> None:
    times = np.arange(0, 3600, 60.0)
    parts = divide(cut(0, 3600), times, OPTIONS)
    assert [np.sum((times >= part.start) & (times < part.end)) for part in parts] == [4] * 15


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.0], [0.0, 0.5, 1.0, 70.0]])
def test_every_part_begins_with_a_frame(times: list[float]) -> None:
    parts = divide(cut(0, 139), np.array(times), OPTIONS)
    assert parts[0].start == 0 and parts[-1].end == 139 and all(part.start in times for part in parts)


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ([-6, -5, 3, -7, -6], [2]),  # a yes among noes
        ([-6, -5, -1, -7, -6], []),  # surest of all, but a no
        ([2, 1, 7, 2, 1.5, 6, 2], [2, 5]),  # a model that always says yes
        ([5, 4, 5, -6, -5], [0, 1, 2]),  # more than half
        ([5, 4.5, 5.5, 4.8], [0, 1, 2, 3]),  # all of it
        ([-3, -3.5, -2.9], []),
        ([4.0], [0]),
        ([-4.0], []),
    ],
)
def test_what_counts_as_yes(margins: list[float], expected: list[int]) -> None:
    assert np.flatnonzero(is_outlier(np.array(margins), OPTIONS)).tolist() == expected


def test_neighbours_are_one_span_with_the_surest_score() -> None:
    parts = cut(0, 10, 20, 30, 40, 50)
    first, last = merge(parts, np.array([-5, 2, 3, -5, 1.0]), OPTIONS)
    assert (first.span, last.span) == (Span(10, 30), Span(40, 50))
    assert (first.score, last.score) == (pytest.approx(0.9526, abs=1e-4), pytest.approx(0.7311, abs=1e-4))


def test_of_too_many_the_surest_are_kept_in_order_of_time() -> None:
    margins = np.array([3, -5, 1, -5, 4, -5, 2.0])
    found = merge(cut(*range(8)), margins, SpanOptions(max_spans=2))
    assert [each.span.start for each in found] == [0, 4]


def test_a_model_that_goes_on_after_yes_and_stops_after_no_has_said_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = TextTokenizer(word_tokens("Yes", "No"))
    (yes,), (no,) = tokenizer.encode("Yes"), tokenizer.encode("No")
    model = VideoXL(replace(checkpoint(language=language_config(vocab_size=400)), tokenizer=tokenizer))
    embed, last = model.language.embed, torch.zeros(1, 1)

    def read(ids: torch.Tensor) -> torch.Tensor:
        nonlocal last
        last = ids[:, -1:]
        return embed(ids)

    def say(hidden: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*hidden.shape[:-1], 400)
        logits[..., yes], logits[..., no] = 9, 8
        logits[..., EOS] = torch.where(last == no, 9.0, -9.0)  # "Yes, there is", "No."
        return logits

    monkeypatch.setattr(model.language, "embed", read)
    monkeypatch.setattr(model.language, "logits", say)
    memory = model.condense(torch.randn(20, 4, 32), ratio=4, times=range(20))
    asker = Describer(model, "anomalies", Prompts("What?", "Is it?", "What?"), AnswerOptions(2), OPTIONS)
    row, _ = asker.ask(memory, [Span(0, 10), Span(10, 20)], "What?")
    (span,) = row["spans"]
    assert (span["start"], span["end"]) == (0, 20)
    assert span["score"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-3)
