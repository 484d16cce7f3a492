"""What commands show, and how the real program ends: streams, progress, signals, pipes."""

import io
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
import torch
from tiny_models import checkpoint
from video_clips import write_numbered

from videoxl.checkpoints.loading import save_checkpoint
from videoxl.cli.render import AnswerLine, StatusLine, count_detail, printable, size
from videoxl.model import Progress

PROGRAM = "from videoxl.cli.main import app; app()"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "pieces, text",
    [
        (["red"], "red"),
        ([" ", "\n a", " b", " ", "", "c \n", " "], "a b c"),
        ([], ""),
        (["", " "], ""),
    ],
)
def test_answers_are_shown_as_they_come(pieces: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    line, shown = AnswerLine(), ""
    for index, piece in enumerate(pieces):
        line.push(piece)
        shown += capsys.readouterr().out
        assert shown == "".join(pieces[: index + 1]).strip()
    line.end()
    assert shown + capsys.readouterr().out == text + "\n"


def test_printable_keeps_text_and_drops_control() -> None:
    kept = "Größe: 漢字, فا\u200cرسی, 👩\u200d🚀, a\u00a0b\n\t"
    assert printable(kept) == kept
    assert printable("\x1b]0;x\x07\x9b1m\udcff") == "\\x1b]0;x\\x07\\x9b1m\\udcff"


def test_progress_is_shown_and_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with StatusLine(enabled=True) as status:
        status.stage("watching")
        status.frames(Progress(32, 64, {}))
        assert status._bar is not None
        status._bar.refresh()
        assert "watching" in terminal.getvalue() and "32/64 frames" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")  # the line is erased


def test_the_line_is_away_while_something_else_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with StatusLine(enabled=True) as status:
        status.stage("watching")
        with status.paused():
            terminal.write("result\n")
        status.stage("another")
    before, after = terminal.getvalue().split("result\n")
    assert "watching" in before and before.endswith("\x1b[2K") and "another" in after


@pytest.mark.parametrize("enabled, stderr", [(False, Terminal()), (True, io.StringIO())])
def test_no_progress_elsewhere(monkeypatch: pytest.MonkeyPatch, enabled: bool, stderr: io.StringIO) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    with StatusLine(enabled) as status:
        status.stage("watching")
        status.frames(Progress(32, 64, {}))
    assert stderr.getvalue() == ""


def test_details() -> None:
    assert count_detail(256, 1024, "frames", 4.0) == "256/1024 frames, 64.0 frames/s, 0:12 left"
    assert count_detail(0, 1024, "frames", 4.0) == "0/1024 frames"
    assert count_detail(1, 101, "frames", 1.5) == "1/101 frames, 0.7 frames/s, 2:30 left"
    assert (size(16_800_000_000), size(23_400_000), size(None)) == ("16.8 GB", "23.4 MB", "-")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("program")
    save_checkpoint(checkpoint(), folder / "tiny", torch.float32)
    clip = write_numbered(folder / "clip.mp4", 20, fps=10)
    return ["ask", str(clip), "What?", "--model", str(folder / "tiny"), "--device", "cpu", "--max-new-tokens", "5"]


def start(
    program: str, arguments: list[str], tmp_path: Path, output: int | IO[bytes] = subprocess.PIPE
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, cwd=tmp_path)


def test_the_program_keeps_streams_apart(arguments: list[str], tmp_path: Path) -> None:
    output, errors = start(PROGRAM, arguments, tmp_path).communicate(timeout=120)
    assert output.endswith(b"\n") and len(output) > 1
    assert all(line.startswith(b"at 00:00:0") for line in errors.splitlines())


def test_ctrl_c_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    # A program started in the background of a script ignores Ctrl-C; the suite may run there.
    stuck = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import time, videoxl.model as m; m.VideoXL.memorize_plan = lambda *a, **k: (print('ready'), time.sleep(99));"
    )
    process = start("import sys; sys.stdout.reconfigure(line_buffering=True);" + stuck + PROGRAM, arguments, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, b"", b"interrupted\n")


def test_a_closed_pipe_is_no_crash(arguments: list[str], tmp_path: Path) -> None:
    process = start(PROGRAM, arguments, tmp_path)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_no_bug_of_ours(arguments: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = start(PROGRAM, arguments, tmp_path, full)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith(b"error: the output: No space left on device\nCheck the disk's free space")


@pytest.mark.parametrize(
    "arguments, code, text",
    [
        (["--help"], 0, b"Ask questions about long videos."),
        (["ask", "--help"], 0, b"--max-frames"),
        (["--version"], 0, b"videoxl "),
        ([], 2, b"Ask questions about long videos."),
        (["models", "list"], 0, b"video-xl-7b"),
        (["ask", "missing.mp4", "Why?"], 1, b"error: missing.mp4: no such file\nCheck the path.\n"),
    ],
)
def test_nothing_heavy_is_imported(arguments: list[str], code: int, text: bytes, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom videoxl.cli.main import app\ntry:\n    app()\nfinally:\n"
        "    assert not {'torch', 'transformers', 'open_clip', 'decord', 'av'} & set(sys.modules)\n"
    )
    process = start(program, arguments, tmp_path)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert text in (output if code != 1 else errors)  # help goes to stdout, also without a command
    assert (errors.strip() if code != 1 else output) == b""
