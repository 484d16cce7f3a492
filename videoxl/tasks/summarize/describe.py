"""What a task asks about a video that was watched: its chapters or what is looked for, then the whole."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...options import AnswerOptions, SpanOptions
from ...timestamps import format_span, format_timestamp
from .chapters import Span
from .detect import divide, merge
from .exports import title_of
from .prompts import JUDGED, SUMMARY, Prompts, list_room, with_list

if TYPE_CHECKING:
    from ...engine.evidence import Evidence
    from ...memory.value import VisualMemory
    from ...model import VideoXL

Tell = Callable[[int, int, str], None]
"""Told how many are done, of how many, of what."""


class Describer:
    """Asks about one video after the other.

    Args:
        model: that watched them.
        task: from `prompts.read_task`.
        prompts: of the task.
        answer: how texts are generated.
        options: what counts as found.
    """

    def __init__(
        self, model: "VideoXL", task: str, prompts: Prompts, answer: AnswerOptions, options: SpanOptions
    ) -> None:
        self._model, self._task, self._prompts = model, task, prompts
        self._answer, self._options = answer, options

    def ask(
        self,
        memory: "VisualMemory",
        chapters: Sequence[Span],
        prompt: str,
        tell: Tell = lambda done, total, what: None,
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """Return the fields of a row that say what there is in a video, and the seconds that they took.

        Args:
            memory: of the whole video, with times.
            chapters: where it is cut.
            prompt: about the whole; the question, if that is the task.
            tell: told how far it is.
        """
        times = [time.perf_counter()]
        cut = self._chapters(memory, chapters, tell)
        times.append(time.perf_counter())
        spans = self._judged(memory, chapters, tell) if self._task in JUDGED else []
        times.append(time.perf_counter())
        whole = self._model.ask(memory, self._with_list(prompt, cut, spans), options=self._answer)
        times.append(time.perf_counter())
        if self._task not in (SUMMARY, *JUDGED):
            spans = self._explained(memory, whole.evidence, prompt)
        times.append(time.perf_counter())
        found = {"summary": whole.text, "evidence": _evidence(whole.evidence), "chapters": cut, "spans": spans}
        described, judged, answered, explained = (after - before for before, after in itertools.pairwise(times))
        return found, {"chapters": described, "spans": judged + explained, "summary": answered}

    def _chapters(self, memory: "VisualMemory", spans: Sequence[Span], tell: Tell) -> list[dict[str, Any]]:
        """Return the chapters of a row; those of a summary are described."""
        chapters = []
        for number, span in enumerate(spans, 1):
            text, evidence = "", []
            if self._task == SUMMARY:
                assert self._prompts.chapter is not None
                tell(number - 1, len(spans), "chapters")
                part = self._model.slice(memory, span.start, span.end)
                answer = self._model.ask(part, self._prompts.chapter, options=self._answer)
                text, evidence = answer.text, _evidence(answer.evidence, span)
            own = {"title": title_of(text) or f"Chapter {number}", "text": text, "evidence": evidence}
            chapters.append({"start": round(span.start, 3), "end": round(span.end, 3), **own})
        return chapters

    def _judged(self, memory: "VisualMemory", chapters: Sequence[Span], tell: Tell) -> list[dict[str, Any]]:
        """Return what is found by a question about every part, in order of time, with what there is to see."""
        import numpy as np

        assert memory.frame_times is not None and self._prompts.chapter is not None and self._prompts.span is not None
        parts = divide(chapters, memory.frame_times, self._options)
        margins: list[float] = []
        for part in parts:
            tell(len(margins), len(parts), "parts")
            own = self._model.slice(memory, part.start, part.end)
            margins.append(self._model.yes_margin(own, self._prompts.chapter))
        found = merge(parts, np.array(margins), self._options)
        return [self._span(memory, each.span, each.score, self._prompts.span) for each in found]

    def _explained(self, memory: "VisualMemory", evidence: "Sequence[Evidence]", question: str) -> list[dict[str, Any]]:
        """Return the evidence in order of time, each with what its part of the memory answers."""
        spans = []
        for each in sorted(evidence, key=lambda each: each.start):
            span = Span(each.start, math.nextafter(each.end, math.inf))  # its last frame is in it
            spans.append(self._span(memory, span, each.score, self._prompts.span or question))
        return spans

    def _span(self, memory: "VisualMemory", span: Span, score: float, prompt: str) -> dict[str, Any]:
        part = self._model.slice(memory, span.start, span.end)
        text = "".join(self._model.answer(part, prompt, options=self._answer)).strip()
        return {"start": round(span.start, 3), "end": round(span.end, 3), "score": round(score, 4), "text": text}

    def _with_list(self, prompt: str, chapters: list[dict[str, Any]], spans: list[dict[str, Any]]) -> str:
        lines = [f"{format_timestamp(chapter['start'])} {chapter['title']}" for chapter in chapters]
        if self._task in JUDGED:
            lines = [f"{format_span(span['start'], span['end'])} {title_of(span['text'])}" for span in spans]
        return with_list(prompt, lines, list_room(prompt, self._model.config.max_positions))


def _evidence(found: "Sequence[Evidence]", within: Span | None = None) -> list[dict[str, float]]:
    """Return evidence for a row; of what reaches beyond a chapter, what is in it."""
    spans = []
    for each in found:
        start, end = each.start, each.end
        if within is not None:  # a VST at the edge sums up frames of both sides
            start, end = max(start, within.start), min(end, within.end)
        if start <= end:
            spans.append({"start": round(start, 3), "end": round(end, 3), "score": round(each.score, 4)})
    return spans
