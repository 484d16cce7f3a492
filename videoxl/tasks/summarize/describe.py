"""The questions that a task asks about a memory: about chapters or parts, then about the whole."""

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
from .prompts import JUDGED, SUMMARY, Prompts, max_list_length, with_list

if TYPE_CHECKING:
    from ...engine.evidence import Evidence
    from ...memory.value import VisualMemory
    from ...model import VideoXL

OnProgress = Callable[[int, int, str], None]
"""Called with the number of units done, the number of all, and the name of the units."""


class Describer:
    """Asks the questions of a task about one memory after the other.

    Args:
        model: that made the memories.
        task: from `prompts.read_task`.
        prompts: of the task.
        answer: generation of texts.
        options: thresholds of detection.
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
        on_progress: OnProgress = lambda done, total, what: None,
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """Return the fields of a row that describe a video, and the seconds that they took.

        Args:
            memory: of the whole video, with times.
            chapters: of the video.
            prompt: about the whole video; the question, if that is the task.
            on_progress: called before every question about a part.
        """
        times = [time.perf_counter()]
        described = self._describe_chapters(memory, chapters, on_progress)
        times.append(time.perf_counter())
        spans = self._detect(memory, chapters, on_progress) if self._task in JUDGED else []
        times.append(time.perf_counter())
        whole = self._model.ask(memory, self._with_list(prompt, described, spans), options=self._answer)
        times.append(time.perf_counter())
        if self._task not in (SUMMARY, *JUDGED):
            spans = self._explain(memory, whole.evidence, prompt)
        times.append(time.perf_counter())
        fields = {
            "summary": whole.text,
            "evidence": _evidence(whole.evidence),
            "chapters": described,
            "spans": spans,
        }
        describing, detecting, answering, explaining = (after - before for before, after in itertools.pairwise(times))
        return fields, {"chapters": describing, "spans": detecting + explaining, "summary": answering}

    def _describe_chapters(
        self, memory: "VisualMemory", spans: Sequence[Span], on_progress: OnProgress
    ) -> list[dict[str, Any]]:
        """Return the chapters of a row; for a summary, with descriptions."""
        chapters = []
        for number, span in enumerate(spans, 1):
            text, evidence = "", []
            if self._task == SUMMARY:
                assert self._prompts.chapter is not None
                on_progress(number - 1, len(spans), "chapters")
                part = self._model.slice(memory, span.start, span.end)
                answer = self._model.ask(part, self._prompts.chapter, options=self._answer)
                text, evidence = answer.text, _evidence(answer.evidence, span)
            description = {"title": title_of(text) or f"Chapter {number}", "text": text, "evidence": evidence}
            chapters.append({"start": round(span.start, 3), "end": round(span.end, 3), **description})
        return chapters

    def _detect(
        self, memory: "VisualMemory", chapters: Sequence[Span], on_progress: OnProgress
    ) -> list[dict[str, Any]]:
        """Return the spans found by a yes/no question about every part, in order of time, with descriptions."""
        import numpy as np

        assert memory.frame_times is not None and self._prompts.chapter is not None and self._prompts.span is not None
        parts = divide(chapters, memory.frame_times, self._options)
        margins: list[float] = []
        for part in parts:
            on_progress(len(margins), len(parts), "parts")
            part_memory = self._model.slice(memory, part.start, part.end)
            margins.append(self._model.yes_margin(part_memory, self._prompts.chapter))
        detections = merge(parts, np.array(margins), self._options)
        return [self._span(memory, each.span, each.score, self._prompts.span) for each in detections]

    def _explain(self, memory: "VisualMemory", evidence: "Sequence[Evidence]", question: str) -> list[dict[str, Any]]:
        """Return the spans of the evidence, in order of time, each with the answer from its part of the memory."""
        spans = []
        for each in sorted(evidence, key=lambda each: each.start):
            span = Span(each.start, math.nextafter(each.end, math.inf))  # includes its last frame
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
        return with_list(prompt, lines, max_list_length(prompt, self._model.config.max_positions))


def _evidence(evidence: "Sequence[Evidence]", within: Span | None = None) -> list[dict[str, float]]:
    """Return evidence for a row, clipped to a chapter if one is given."""
    spans = []
    for each in evidence:
        start, end = each.start, each.end
        if within is not None:  # a VST at the edge covers frames of both sides
            start, end = max(start, within.start), min(end, within.end)
        if start <= end:
            spans.append({"start": round(start, 3), "end": round(end, 3), "score": round(each.score, 4)})
    return spans
