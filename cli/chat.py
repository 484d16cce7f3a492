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

MEMORY, ANSWER = MemoryOptions(), AnswerOptions()
MODE = SamplingMode(MEMORY.mode)
COMMANDS = (
    "/evidence: where in the video the last answer comes from. /save FILE: write the conversation, as JSON lines. "
    "/clear: forget the conversation, not the video. /quit: end, like Ctrl-D."
)


def chat(
    video: options.VideoFile,
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
    quiet: options.Quiet = False,
    no_cache: options.NoCache = False,
    debug: options.DebugRun = False,
) -> None:
    """Have a conversation about VIDEO.

    Questions may refer to earlier ones and their answers. Each line of stdin is a question or a command: /evidence,
    /save FILE, /clear, /quit. In a pipe it works the same.
    """
    with render.error_boundary(debug):
        memory_options = MemoryOptions(
            max_frames, fps, options.parse_ratio(ratio), start, end, sampling.value, video_stream
        )
        answer_options = AnswerOptions(max_new_tokens, temperature, seed=seed)
        loaded, loaded_memory = load_memory(
            video,
            memory_options,
            (),
            answer_options,
            model=model,
            device=device,
            dtype=dtype,
            no_cache=no_cache,
            quiet=quiet,
        )
        conversation, failed = loaded.chat(loaded_memory.memory), False
        for line in _lines():
            try:
                if line == "/quit":
                    break
                if line.startswith("/"):
                    _run_command(line, conversation)
                else:
                    _answer(line, conversation, answer_options)
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
            line = input("> " if is_terminal else "").strip()
        except EOFError:
            return
        if line:
            yield line


def _answer(question: str, conversation: "Conversation", answer_options: AnswerOptions) -> None:
    """Show an answer as it comes; Ctrl-C ends it, and takes the question back."""
    line = render.AnswerLine()
    try:
        conversation.ask(question, answer_options, line.push)
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
    line.end()


def _run_command(command: str, conversation: "Conversation") -> None:
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
