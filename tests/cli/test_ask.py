"""`videoxl ask` on real small videos with a tiny random model, through the real command."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import QUESTION, STREAM, Ask, notes
from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
from typer.testing import Result
from video_clips import write_numbered

import videoxl.checkpoints.loading
import videoxl.model
from videoxl.cli import options as cli_options
from videoxl.cli.model_hint import HINT
from videoxl.cli.options import parse_ratio, parse_seconds
from videoxl.cli.render import printable
from videoxl.model import VideoXL

DOCUMENTED = Path(__file__).parents[1] / "data" / "media_results.tsv"
BAD = [row[0] for row in csv.reader(DOCUMENTED.open(newline=""), delimiter="\t") if row[1] == "error"]


def expected(model_folder: Path, clip: Path, **options: object) -> tuple[VideoXL, object, str]:
    model = VideoXL.from_pretrained(model_folder, device="cpu")
    memory = model.memorize(clip, **options)
    return model, memory, model.ask(memory, QUESTION, max_new_tokens=12).text


def check_error(result: Result, problem: str, advice: str) -> None:
    """One line says what is wrong, one what to do, and standard output stays empty."""
    lines = result.stderr.splitlines()
    assert (result.exit_code, result.stdout, len(lines)) == (1, "", 2), result.output
    assert lines[0].startswith("error: ") and problem in lines[0]
    assert advice in lines[1]


def test_answer_is_the_library_s(ask: Ask, model_folder: Path, clip: Path) -> None:
    result = ask()
    text = json.loads(ask("--json").stdout)["answer"]
    assert text == expected(model_folder, clip)[2]
    assert result.stdout == printable(text) + "\n"
    assert (result.exit_code, notes(result)) == (0, [])


@pytest.mark.usefixtures("always_evidence")
def test_json_says_what_was_done(ask: Ask, model_folder: Path, clip: Path) -> None:
    result = ask("--json", "--ratio", 4, "--max-frames", 6)
    model, memory, text = expected(model_folder, clip, ratio=4, max_frames=6)
    evidence = model.ask(memory, QUESTION, max_new_tokens=12).evidence
    said = json.loads(result.stdout)
    timings = said.pop("timings")
    assert said == {
        "answer": text,
        "evidence": [
            {"start": round(e.start, 3), "end": round(e.end, 3), "score": round(e.score, 4)} for e in evidence
        ],
        "video": {"path": str(clip), "duration": 8.0, "fps": 10.0, "width": 160, "height": 64, "streams": [STREAM]},
        "frames": 6,
        "visual_tokens": 6 * 4,
        "ratio": 4,
        # with room for a question; 2 layers of keys and values, 2 heads, 8 numbers each, 4 bytes a number
        "memory": {"from": "video", "slots": memory.length, "bytes": (memory.length + 512) * 2 * 2 * 2 * 8 * 4},
        "model": str(model_folder),
    }  # fmt: skip
    assert list(timings) == ["decode", "encode", "condense", "load", "answer", "total"]
    assert all((seconds > 0) == (stage != "load") for stage, seconds in timings.items())
    assert evidence
    assert timings["total"] >= sum(timings.values()) - timings["total"] - 0.001


@pytest.mark.parametrize(
    "options, frames",
    [((), 8), (("--fps", 2), 16), (("--fps", 5, "--max-frames", 9), 9), (("--start", "0:02", "--end", 5.0), 3)],
)
def test_options_choose_frames(ask: Ask, options: tuple[object, ...], frames: int) -> None:
    assert json.loads(ask("--json", *options).stdout)["frames"] == frames


def test_key_frames_only(ask: Ask, tmp_path: Path) -> None:
    sparse = write_numbered(tmp_path / "sparse.mp4", 80, fps=10, g="40", sc_threshold="0")
    assert json.loads(ask("--json", "--sampling", "keyframes", video=sparse).stdout)["frames"] == 2


def test_sampling_follows_the_seed(ask: Ask) -> None:
    def drawn(seed: int) -> str:
        return ask("--temperature", 5, "--seed", seed).stdout

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(3)}) > 1


@pytest.mark.parametrize(
    "options, changes, problem, advice",
    [
        ((), {"video": "missing.mp4"}, "missing.mp4: no such file", "Check the path."),
        ((), {"video": "."}, ".: is a directory", "Give one of the files in it."),
        ((), {"question": "  \n"}, "the question is empty", "Ask something"),
        (("--ratio", 3), {}, "ratio 3 is not among those of tiny", "Use auto, 2, 4, 8 or 16."),
        (("--start", 4, "--end", "0:03"), {}, "end (3 s) is not after start (4 s)", "later than the start"),
        (("--start", 60), {}, "is beyond the end of the video (8.00 s)", "Give an earlier start."),
        (("--max-new-tokens", 4000), {}, "an answer of up to 4000 do not fit", "allow a shorter answer"),
        (("--device", "abacus"), {}, "device 'abacus' is not known", "Use auto, cpu, or cuda."),
        ((), {"model": "no-such-model"}, "no-such-model: no model of that name", "videoxl-nano, video-xl-7b"),
    ],
)
def test_errors_come_before_any_work(
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...],
    changes: dict[str, object],
    problem: str,
    advice: str,
) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr(VideoXL, "memorize_plan", never)
    monkeypatch.setattr(videoxl.model, "load_checkpoint", load_only_if(options))
    check_error(ask(*options, **changes), problem, advice)


def load_only_if(options: tuple[object, ...]) -> Callable[..., object]:
    """Only a device is known to be wrong no sooner than when weights go there."""

    def load(*args: object, **kwargs: object) -> object:
        assert "--device" in options, "weights were loaded"
        return videoxl.checkpoints.loading.load_checkpoint(*args, **kwargs)

    return load


@pytest.mark.parametrize("content", [b"", b"not a video\n" * 50])
def test_what_is_no_video(ask: Ask, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    check_error(ask(video=path), "bad.mp4: ", "")


@pytest.mark.parametrize("name", BAD)
def test_bad_files(ask: Ask, media: Path, name: str) -> None:
    began = time.monotonic()
    check_error(ask(video=media / name), f"{Path(name).name}: ", "")
    assert time.monotonic() - began < 15


def test_a_strange_name_stays_on_its_line(ask: Ask) -> None:
    result = ask(video="a\nb\x1b[31m.mp4")
    check_error(result, "no such file", "")
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--ratio", "many"),
        ("--start", "noon"),
        ("--start", -3),
        ("--fps", 0),
        ("--fps", "nan"),
        ("--max-frames", 0),
        ("--dtype", "int4"),
        ("--nonsense",),
    ],
)
def test_wrong_usage_exits_2(ask: Ask, options: tuple[object, ...]) -> None:
    result = ask(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert str(options[0]) in result.stderr


def test_mistakes_about_files_exit_2_before_any_work(ask: Ask, clip: Path) -> None:
    for result, reason in (
        (ask(video="What is it?", question=str(clip)), "VIDEO comes first, then QUESTION"),
        (ask("--evidence", clip), "is a file"),
    ):
        assert (result.exit_code, result.stdout) == (2, "")
        assert reason in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--json",)])
def test_damage_is_a_warning(ask: Ask, media: Path, options: tuple[str, ...]) -> None:
    result = ask("--fps", 30, *options, video=media / "bad" / "corrupt_middle_zeros.mp4")
    assert result.exit_code == 0 and result.stdout.strip()
    assert [line.partition(": ")[0] for line in notes(result)] == ["warning"]
    assert "frames lost" in result.stderr


def test_the_bundled_model_says_what_it_can(ask: Ask, monkeypatch: pytest.MonkeyPatch, model_folder: Path) -> None:
    monkeypatch.setattr(cli_options, "checkpoint_folder", lambda name: model_folder)
    assert notes(ask(model="videoxl-nano")) == [HINT]
    assert ask("--quiet", model="videoxl-nano").stderr == ""


def test_a_download_shows_nothing_where_stderr_is_no_terminal(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, model_folder: Path
) -> None:
    hidden = []
    monkeypatch.setattr(cli_options, "checkpoint_folder", lambda name: hidden.append(are_progress_bars_disabled()))
    enable_progress_bars()
    ask(model="owner/name")
    assert hidden == [True]
    enable_progress_bars()


def test_an_unexpected_error_is_two_lines(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("boom\nand more")

    monkeypatch.setattr(VideoXL, "memorize_plan", fail)
    check_error(ask(), "RuntimeError: boom and more", "run again with --debug")
    shown = ask("--debug")
    assert shown.exit_code == 1 and "Traceback" in shown.stderr and "in fail" in shown.stderr


@pytest.mark.parametrize(
    "text, seconds", [("90", 90), ("1:30", 90), ("01:02:03.5", 3723.5), ("0:00", 0), ("100:00", 6000)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


def test_ratios() -> None:
    assert (parse_ratio("auto"), parse_ratio("16")) == ("auto", 16)
