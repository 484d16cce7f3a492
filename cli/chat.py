"""`videoxl chat`: a conversation about one video."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from videoxl.errors import VideoXLError
from videoxl.options import AnswerOptions, MemoryOptions
from videoxl.timestamps import format_span

from . import options, render
from .memory_request import load_memory
from .options import Dtype, SamplingMode

if TYPE_CHECKING:
    from videoxl.engine.chat import Conversation

WATCH, ANSWER = MemoryOptions(), AnswerOptions()
MODE = SamplingMode(WATCH.mode)
COMMANDS = (
    "/evidence: where in the video the last answer comes from. /save FILE: write the conversation, as JSON lines. "
    "/clear: forget what was said, not the video. /quit: end, like Ctrl-D."
)


def chat(
    video: options.VideoFile,
    model: options.ModelName = "videoxl-nano",
    max_frames: options.MaxFrames = WATCH.max_frames,
    fps: options.Fps = WATCH.fps,
    ratio: options.Ratio = str(WATCH.ratio),
    start: options.Start = WATCH.start,
    end: options.End = WATCH.end,
    sampling: options.Sampling = MODE,
    video_stream: options.VideoStream = WATCH.video_stream,
    device: options.Device = "auto",
    dtype: options.DtypeOption = Dtype.auto,
    max_new_tokens: options.MaxNewTokens = ANSWER.max_new_tokens,
    temperature: options.Temperature = ANSWER.temperature,
    seed: options.Seed = ANSWER.seed,
    no_cache: options.NoCache = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Talk about VIDEO.

    Questions may refer to earlier ones and their answers. Lines of stdin are questions, or commands: /evidence, /save
    FILE, /clear, /quit. Works in a pipe too.
    """
    with render.error_boundary(debug):
        watching = MemoryOptions(max_frames, fps, options.parse_ratio(ratio), start, end, sampling.value, video_stream)
        answering = AnswerOptions(max_new_tokens, temperature, seed=seed)
        loaded, loaded_memory = load_memory(
            video, watching, (), answering, model=model, device=device, dtype=dtype, no_cache=no_cache, quiet=quiet
        )
        conversation, failed = loaded.chat(loaded_memory.memory), False
        for said in _lines():
            try:
                if said == "/quit":
                    break
                if said.startswith("/"):
                    _obey(said, conversation)
                else:
                    _answer(said, conversation, answering)
            except VideoXLError as error:
                failed = True
                render.message(f"error: {error}")
                render.message(error.advice)
        if failed and not sys.stdin.isatty():  # who types sees it; a script looks at the exit status
            raise typer.Exit(1)


def _lines() -> Iterator[str]:
    """Yield what is typed, with a prompt and a history on a terminal."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a line in another encoding is refused, and ends nothing
    if is_terminal:
        with contextlib.suppress(ImportError):  # not on every system
            import readline  # noqa: F401  (importing it gives input() its history)
        render.message("Ask about the video. /help shows the commands, Ctrl-D ends.")
    while True:
        try:
            said = input("> " if is_terminal else "").strip()
        except EOFError:
            return
        if said:
            yield said


def _answer(question: str, conversation: "Conversation", answering: AnswerOptions) -> None:
    """Show an answer as it comes; Ctrl-C ends it, and takes the question back."""
    line = render.AnswerLine()
    try:
        conversation.ask(question, answering, line.push)
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
    line.end()


def _obey(command: str, conversation: "Conversation") -> None:
    """Do what a line that begins with a slash says."""
    name, _, argument = command.partition(" ")
    if name == "/clear":
        conversation.clear()
    elif name == "/evidence":
        spans = conversation.turns[-1][1].evidence if conversation.turns else ()
        for span in spans:
            render.line(f"at {format_span(span.start, span.end)}")
        if not spans:
            render.message("no evidence")
    elif name == "/save" and argument.strip():
        # An unknown user's home stays as it is written, and is a folder that does not exist.
        _save(Path(os.path.expanduser(argument.strip())), conversation)
    else:
        render.message(COMMANDS)


def _save(path: Path, conversation: "Conversation") -> None:
    from videoxl.tasks.questions import Question, answer_record, write_answers

    write_answers(path, [answer_record(Question(question), answer) for question, answer in conversation.turns])
    render.message(f"{len(conversation.turns)} answers in {path}")
