"""The decoding process: crashes, hangs, interruption, early ends, memory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from video_clips import read_numbers, write_clip, write_numbered

from videoxl.errors import VideoError
from videoxl.video import decode_process, reader
from videoxl.video.video import Video

# Runs before the worker's main function in the child: this decoder gives ten frames and then fails in some way.
BREAK = """
import os, signal, time
import videoxl.video.{module} as module
def break_down(pictures, alive):
    for number, picture in enumerate(pictures):
        if number == 10:
            {failure}
        yield picture
original = module.{name}
module.{name} = lambda request, alive: break_down(original(request, alive), alive)
"""
BREAK_DECORD = {"module": "decord_reader", "name": "read_with_decord"}
BREAK_PYAV = {"module": "pyav_reader", "name": "PyAVReader"}
CRASH = "os.kill(os.getpid(), signal.SIGSEGV)"
HANG = "time.sleep(60)"
NO_FRAMES = "[(alive(0), time.sleep(0.05)) for _ in range(1200)]"
OTHER_FRAMES = "[(alive(1), time.sleep(0.05)) for _ in range(100)]"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("clips") / "clip.mp4", 100, g="24")


def sabotage(monkeypatch: pytest.MonkeyPatch, *codes: str) -> None:
    marker = "from videoxl.video.decode_worker import main;"
    assert marker in decode_process._BOOT
    code = "".join(f"exec({code!r}); " for code in codes)
    monkeypatch.setattr(decode_process, "_BOOT", decode_process._BOOT.replace(marker, f"{marker} {code}"))


@pytest.mark.parametrize("failure, reason", [(CRASH, "SIGSEGV"), (HANG, "no sign of life"), ("1 / 0", "ZeroDivision")])
def test_other_decoder_goes_on(clip: Path, monkeypatch: pytest.MonkeyPatch, failure: str, reason: str) -> None:
    video = Video(clip)
    sabotage(monkeypatch, BREAK.format(failure=failure, **BREAK_DECORD))
    monkeypatch.setattr(reader, "_MIN_LIMIT_SECONDS", 2.0)
    pieces = video.read(video.sample(), chunk=4)
    numbers = [number for piece in pieces for number in read_numbers(piece.frames)]
    assert numbers == list(range(100))
    assert pieces.report.decoder == "pyav"
    assert reason in pieces.report.reason
    assert pieces.report.frames_lost == 0


def test_a_decoder_that_reads_on_without_a_frame_is_ended(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = Video(clip)
    monkeypatch.setattr(reader, "_MIN_LIMIT_SECONDS", 2.5)
    monkeypatch.setattr(reader, "_FRAME_LIMIT_SECONDS", 2.5)
    sabotage(monkeypatch, BREAK.format(failure=NO_FRAMES, **BREAK_DECORD))
    pieces = video.read(video.sample(), chunk=4)
    assert [number for piece in pieces for number in read_numbers(piece.frames)] == list(range(100))
    assert "no frame for 2.5 s" in pieces.report.reason


def test_frames_that_are_passed_over_are_frames(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = Video(clip)
    monkeypatch.setattr(reader, "_MIN_LIMIT_SECONDS", 2.5)
    monkeypatch.setattr(reader, "_FRAME_LIMIT_SECONDS", 2.5)
    sabotage(monkeypatch, BREAK.format(failure=OTHER_FRAMES, **BREAK_DECORD))
    pieces = video.read(video.sample(), chunk=4)
    assert sum(len(piece.times) for piece in pieces) == 100 and pieces.report.decoder == "decord"


def test_both_decoders_crash(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = Video(clip)
    sabotage(monkeypatch, *(BREAK.format(failure=CRASH, **which) for which in (BREAK_DECORD, BREAK_PYAV)))
    with pytest.raises(VideoError, match=r"clip.mp4: decoding failed \(the decoding process was ended by SIGSEGV\)"):
        list(video.read(video.sample(), chunk=4))


def test_probe_that_hangs_or_crashes(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoxl.video.video._PROBE_LIMIT_SECONDS", 0.5)
    monkeypatch.setattr(decode_process, "_START_SECONDS", 0.5)
    monkeypatch.setattr(decode_process, "_BOOT", "import time; time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(VideoError, match=r"cannot be opened \(no sign of life for 0.5 s\)"):
        Video(clip)
    assert time.monotonic() - began < 5
    monkeypatch.setattr(decode_process, "_BOOT", "import os; os.abort()")
    with pytest.raises(VideoError, match=r"cannot be opened \(the decoding process was ended by SIGABRT\)"):
        Video(clip)


def test_a_slow_start_is_no_hang(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoxl.video.video._PROBE_LIMIT_SECONDS", 3.0)
    boot = decode_process._BOOT
    monkeypatch.setattr(decode_process, "_BOOT", f"import time; time.sleep(4); {boot}")
    assert Video(clip).num_frames == 100
    hang = "import videoxl.video.probe as module; module.probe = lambda *arguments: time.sleep(60)"
    monkeypatch.setattr(decode_process, "_BOOT", f"import time; {boot.replace('main()', f'exec({hang!r}); main()')}")
    with pytest.raises(VideoError, match="no sign of life for 3 s"):
        Video(clip)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_early_end_stops_the_child(clip: Path) -> None:
    video = Video(clip)
    for end in ("close", "drop", "with"):
        pieces = video.read(video.sample(), chunk=2)
        child = pieces._process._process
        next(pieces)
        if end == "close":
            pieces.close()
            assert next(pieces, None) is None
        elif end == "with":
            with pieces:
                next(pieces)
        del pieces
        assert child.poll() is not None


# A program started in the background of a script ignores Ctrl-C; the suite may run there.
SCRIPT = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from videoxl.video import decode_process
from videoxl.video.video import Video
video = Video(sys.argv[1])
decode_process._BOOT = decode_process._BOOT.replace("; main()", "; exec(" + repr({before!r}) + "); main()")
pieces = video.read(video.sample(), chunk=1)
child = pieces._process._process.pid
print(child, flush=True)
{then}
"""
STUCK = "import time, videoxl.video.decode_worker as worker; worker._decode = lambda *arguments: time.sleep(60)"
ENDS = {
    "killed while the child is stuck": (STUCK, "time.sleep(60)", -signal.SIGKILL),
    "killed while the child waits": ("", "next(pieces); time.sleep(60)", -signal.SIGKILL),
    "interrupted": (STUCK, "next(pieces)", -signal.SIGINT),
    "exits while the child is stuck": (STUCK, "time.sleep(1)", 0),
    "exits while the child waits": ("", "next(pieces)", 0),
}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("before, then, code", ENDS.values(), ids=ENDS)
def test_no_child_survives_the_parent(clip: Path, before: str, then: str, code: int) -> None:
    script = SCRIPT.format(before=before, then=then)
    parent = subprocess.Popen([sys.executable, "-c", script, str(clip)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(1)
    if code:
        parent.send_signal(-code)
    _, errors = parent.communicate(timeout=20)
    deadline = time.monotonic() + 5
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)
    assert parent.returncode == code
    if code == -signal.SIGINT:
        assert errors.decode().splitlines()[-1] == "KeyboardInterrupt"
    else:
        assert errors == b""


def test_child_ignores_interrupts(clip: Path) -> None:
    video = Video(clip, decoder="pyav")  # on which no retry follows
    pieces = video.read(video.sample(), chunk=10)
    count = len(next(pieces).times)
    os.kill(pieces._process._process.pid, signal.SIGINT)
    assert count + sum(len(piece.times) for piece in pieces) == 100


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_slow_consumer_does_not_fill_memory(tmp_path: Path, decoder: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), dtype=np.uint8)
    pictures = (np.roll(noise, number * 7, axis=1) for number in range(480))  # 330 MB as RGB
    path = write_clip(tmp_path / "clip.mp4", pictures, g="12", preset="ultrafast", crf="40")
    video = Video(path, decoder=decoder)
    before = resident_bytes(os.getpid())
    pieces = video.read(video.sample(), chunk=16)  # 11 MB each
    child, ours = [], []
    for _ in range(3):
        next(pieces)
        time.sleep(1)
        child.append(resident_bytes(pieces._process._process.pid))
        ours.append(resident_bytes(os.getpid()))
    pieces.close()
    assert max(child) < 220e6
    assert max(ours) - before < 80e6


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
