"""`videoxl ask`: questions about one video."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoxl.errors import check_not_empty
from videoxl.options import AnswerOptions, MemoryOptions
from videoxl.timestamps import format_span

from . import options, render
from .memory_request import load_memory
from .options import Dtype, SamplingMode

if TYPE_CHECKING:
    from videoxl.model import Answer
    from videoxl.tasks.memory_request import LoadedMemory
    from videoxl.tasks.questions import Question

MEMORY, ANSWER = MemoryOptions(), AnswerOptions()
MODE = SamplingMode(MEMORY.mode)


def ask(
    video: options.VideoFile,
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="The question, in words.", show_default=False)
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option(
            "--question",
            "-q",
            metavar="QUESTION",
            help="Ask this too; give it again for each further question.",
            show_default=False,
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help='Ask the questions of a file: one a line, as text or as a JSON object with "question" and "id".',
            show_default=False,
        ),
    ] = None,
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = MEMORY.max_frames,
    fps: options.Fps = MEMORY.fps,
    start: options.Start = MEMORY.start,
    end: options.End = MEMORY.end,
    sampling: options.Sampling = MODE,
    video_stream: options.VideoStream = MEMORY.video_stream,
    ratio: options.Ratio = str(MEMORY.ratio),
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    max_new_tokens: options.MaxNewTokens = ANSWER.max_new_tokens,
    temperature: options.Temperature = ANSWER.temperature,
    seed: options.Seed = ANSWER.seed,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            metavar="DIR",
            file_okay=False,
            help="Write pictures of the evidence, where in the video the answer comes from, into this folder.",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    json: options.JsonOutput = False,
    quiet: options.Quiet = False,
    no_cache: options.NoCache = False,
    debug: options.DebugRun = False,
) -> None:
    """Answer QUESTION about VIDEO.

    VIDEO is a video file, or a memory of one from `videoxl index`. The answer goes to stdout; its evidence (where in
    the video it comes from), progress, hints and warnings go to stderr. Several questions are answered independently
    of each other, and so are those of a file: one JSON object per line.
    """
    with render.error_boundary(debug):
        started = time.perf_counter()
        memory_options = MemoryOptions(
            max_frames, fps, options.parse_ratio(ratio), start, end, sampling.value, video_stream
        )
        answer_options = AnswerOptions(max_new_tokens, temperature, seed=seed)
        all_questions = _questions(question, more, questions)
        if question is not None and os.path.isfile(question) and not os.path.exists(video):
            raise typer.BadParameter(f"{video!r} is not a file, but {question!r} is: VIDEO comes first, then QUESTION.")
        texts = [each.text for each in all_questions]
        loaded, loaded_memory = load_memory(
            video,
            memory_options,
            texts,
            answer_options,
            model=model,
            device=device,
            dtype=dtype,
            no_cache=no_cache,
            quiet=quiet,
        )
        from videoxl.tasks.questions import answer_record

        if evidence is not None:
            from videoxl.tasks.evidence_pictures import source_of, write_evidence

            source = source_of(loaded_memory, video)

        answers: list[Answer] = []
        as_lines = len(all_questions) > 1 or questions is not None
        # Lines of answers on a terminal say by themselves how far it is.
        with render.StatusLine(enabled=not quiet and as_lines and not sys.stdout.isatty()) as status:
            status.stage("answering")
            neutral = loaded.neutral_attention(loaded_memory.memory) if len(all_questions) > 1 else None
            for each in all_questions:
                line = None if as_lines or json else render.AnswerLine()
                on_piece = None if line is None else line.push
                answer = loaded.ask(
                    loaded_memory.memory, each.text, options=answer_options, on_piece=on_piece, neutral=neutral
                )
                answers.append(answer)
                status.count(len(answers), len(all_questions), "questions")
                if line is not None:
                    line.end()
                    _show_evidence(answer, quiet)
                elif as_lines:
                    render.print_json_line(answer_record(each, answer))
                else:
                    total = time.perf_counter() - started
                    timings = loaded_memory.timings | {"answer": answer.timings["answer"], "total": total}
                    render.print_json(_result(answer, video, loaded_memory, timings, model))
        if evidence is not None:
            written = write_evidence(evidence, source, list(zip(texts, answers, strict=True)))
            if not quiet:
                render.message(f"{len(written)} pictures in {evidence}")


def _questions(question: str | None, more: list[str] | None, file: Path | None) -> "list[Question]":
    """Return all questions, in the order of the help."""
    from videoxl.tasks.questions import Question, read_questions

    texts = [*([] if question is None else [question]), *(more or [])]
    for text in texts:
        check_not_empty(text)
    found = [Question(text) for text in texts] + ([] if file is None else read_questions(file))
    if not found:
        raise typer.BadParameter("Give a QUESTION, --question or --questions.")
    return found


def _show_evidence(answer: "Answer", quiet: bool) -> None:
    if not quiet:
        for span in answer.evidence:
            render.message(f"at {format_span(span.start, span.end)}")


def _result(
    answer: "Answer", path: str, loaded_memory: "LoadedMemory", timings: dict[str, float], model: str
) -> dict[str, Any]:
    """Return what `--json` prints."""
    from videoxl.tasks.questions import evidence_record
    from videoxl.video.messages import stream_records

    memory, video = loaded_memory.memory, loaded_memory.memory.video
    return {
        "answer": answer.text,
        "evidence": evidence_record(answer),
        "video": video
        and {
            "path": video.path if loaded_memory.origin == "file" else path,
            "duration": round(video.duration, 3),
            "fps": round(video.fps, 3),
            "width": video.width,
            "height": video.height,
            "streams": stream_records(video.streams),
        },
        "frames": memory.num_frames,
        "visual_tokens": memory.num_visual_tokens,
        "ratio": max(memory.ratios, default=None),  # of every window: a policy of one ratio
        "memory": {"from": loaded_memory.origin, "slots": memory.length, "bytes": memory.num_bytes},
        "timings": {stage: round(seconds, 4) for stage, seconds in timings.items()},
        "model": model,
    }
