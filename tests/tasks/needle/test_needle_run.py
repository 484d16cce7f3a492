"""Whole runs: equal to watching every video by itself, complete after whatever ends them, refused where wrong."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import checkpoint
from typer.testing import CliRunner
from worker_threads import Threads

from videoxl import VideoXL
from videoxl.cli.main import app
from videoxl.errors import RunError
from videoxl.planning.memory_plan import decode_size
from videoxl.runs.engine import load_results
from videoxl.tasks.needle.haystack_memories import HaystackMemories, Work
from videoxl.tasks.needle.haystacks import open_haystacks
from videoxl.tasks.needle.needles import load_needles
from videoxl.tasks.needle.run import run_needles
from videoxl.tasks.needle.settings import NeedleSettings
from videoxl.tasks.needle.synthetic import Synthetic
from videoxl.video.sources import SourceWithInsertions

# A program that is started in the background of a script ignores Ctrl-C; the suite may run there.
HEEDFUL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from videoxl.cli.main import app
app()
"""
COLOURS = ["red", "blue", "green", "black", "white"]
FIVE = [
    {"card": {"kind": "shape", "text": shape, "colour": colour, "ink": "orange"}, "question": f"What is {shape}?",
     "answer": colour, "options": COLOURS}
    for shape, colour in zip(["circle", "square", "star", "heart", "cross"], COLOURS, strict=True)
]  # fmt: skip


@pytest.fixture(autouse=True)
def workers_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoxl.runs.engine.ProcessBackend", Threads)


@pytest.fixture
def five(tmp_path: Path) -> Path:
    (tmp_path / "five.jsonl").write_text("\n".join(map(json.dumps, FIVE)))
    return tmp_path / "five.jsonl"


@pytest.fixture
def settings(model_folder: Path, five: Path) -> NeedleSettings:
    return NeedleSettings(
        model=str(model_folder), needles=str(five), lengths=(6, 11), depths=(0.0, 50.0, 100.0), ratio=4, dtype="float32"
    )


def plain(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run without what differs between two runs: the time, and what was shared with neighbours."""
    varying = ("seconds", "encoded", "condensed")
    return [{name: value for name, value in row.items() if name not in varying} for row in load_results(folder)]


def test_shared_work_gives_the_memories_of_watching_each_video_by_itself() -> None:
    model = VideoXL(checkpoint())
    needles = load_needles("bundled")[:2]
    (haystack,) = open_haystacks("synthetic:3", one_a_second=False)
    memories, work = HaystackMemories(model, 4, 32, max_needles=2), Work()
    for length in (9, 40):
        for places in ([0, 0], [3, 7], [length, length], [2, 5]):  # the last begins again: it is before the others
            memory = memories.memorize(haystack, length, needles, places, work)
            pictures = [needle.picture() for needle in needles]
            source = SourceWithInsertions(Synthetic(3), pictures, places)
            naive = model.memorize(source, max_frames=length, fps=None, ratio=4)
            assert memory.num_visual_tokens == naive.num_visual_tokens and memory.ratios == naive.ratios
            for (keys, values), (naive_keys, naive_values) in zip(memory.layers, naive.layers, strict=True):
                torch.testing.assert_close(keys, naive_keys, atol=1e-5, rtol=1e-5)
                torch.testing.assert_close(values, naive_values, atol=1e-5, rtol=1e-5)
    assert work.encoded == 40 + 2  # the first 9 are among the 40
    # By hand, for 9 and then 40 frames: all; up to the needle and what follows; what is new and follows; all again.
    assert work.condensed == (11 + 3 + 8 + 6 + 2 + 2 + 9) + (42 + 3 + 39 + 37 + 2 + 2 + 40)


def test_a_fork_is_the_same_to_the_bit_as_feeding_all_frames_in_one_go() -> None:
    model = VideoXL(checkpoint())
    needles = load_needles("bundled")[:1]
    (haystack,) = open_haystacks("synthetic:0", one_a_second=False)
    shared = HaystackMemories(model, 4, 32)
    for place in (0, 5, 17, 20):
        memory = shared.memorize(haystack, 20, needles, [place], Work())
        alone = HaystackMemories(model, 4, 32).memorize(haystack, 20, needles, [place], Work())
        for pair, other in zip(memory.layers, alone.layers, strict=True):
            assert torch.equal(pair[0], other[0]) and torch.equal(pair[1], other[1])


@pytest.mark.slow
@pytest.mark.parametrize("one_a_second", [False, True], ids=["evenly", "one a second"])
def test_each_frame_of_a_film_is_encoded_once_whatever_the_lengths(clip: Path, one_a_second: bool) -> None:
    model, (needle,) = VideoXL(checkpoint()), load_needles("bundled")[:1]
    (haystack,) = open_haystacks(str(clip), one_a_second)
    memories, work = HaystackMemories(model, 4, 32), Work()
    lengths = (2, 3, 5, 8) if one_a_second else (3, 5, 9, 40, 79, 80)
    for length in (*lengths, *lengths):
        memory = memories.memorize(haystack, length, [needle], [length // 2], work)
        picture, plan = needle.picture(), haystack.frames(length)
        (chunk,) = haystack.source.read(plan, len(plan), decode_size(model.config))
        frames = [*chunk.frames]
        encoded = [
            model.encode_frames(frame[None]) for frame in (*frames[: length // 2], picture, *frames[length // 2 :])
        ]
        naive = model.condense(torch.cat(encoded), ratio=4)
        for pair, naive_pair in zip(memory.layers, naive.layers, strict=True):
            torch.testing.assert_close(pair, naive_pair, atol=1e-4, rtol=1e-4)
    read = [index for length in lengths for index in haystack.frames(length).indices.tolist()]
    assert work.encoded == len({*read}) + 1 < len(read)


def test_a_run_has_a_row_a_trial_and_all_reports(settings: NeedleSettings, tmp_path: Path) -> None:
    summary = run_needles(tmp_path / "run", settings)
    assert (summary.done, summary.failed) == (6, 0)
    rows = load_results(tmp_path / "run")
    assert [(row["length"], row["depth"], row["trial"]) for row in rows] == [
        (length, depth, trial) for length in (6, 11) for depth in (0.0, 50.0, 100.0) for trial in range(5)
    ]
    assert {*["length", "depth", "trial", "needle", "question", "response", "answer", "score", "seconds", "slots"]} <= {
        *rows[0]
    }
    assert sum(row["encoded"] for row in rows if row["length"] == 6) == 6 + 5  # each frame and each needle once
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        "results.jsonl", "summary.json", "summary.md", "heatmap.png", "heatmap.svg", "records",
    }  # fmt: skip
    again = run_needles(tmp_path / "run", settings)
    assert again.resumed == 6 and load_results(tmp_path / "run") == rows


@pytest.mark.slow
def test_two_workers_find_what_one_finds(settings: NeedleSettings, tmp_path: Path) -> None:
    run_needles(tmp_path / "one", settings)
    run_needles(tmp_path / "two", settings, devices=("cpu", "cpu"))
    assert plain(tmp_path / "one") == plain(tmp_path / "two")


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "video-xl"},
        {"protocol": "likelihood"},
        {"protocol": "longva"},
        {"per_video": 5},
        {"per_video": 2, "distractors": 2},
        {"task": "ordering", "protocol": "video-xl"},
        {"task": "counting", "protocol": "likelihood"},
        {"task": "counting"},
    ],
)
def test_every_protocol_and_task_runs(settings: NeedleSettings, tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = replace(settings, lengths=(12,), depths=(50.0,), **changes)
    assert run_needles(tmp_path / "run", settings).failed == 0
    rows = load_results(tmp_path / "run")
    assert len(rows) == 5 * changes.get("per_video", 1)
    assert all(row["score"] in (0.0, 1.0) for row in rows)


@pytest.mark.parametrize("form", ["reference", "longva"])
def test_published_needle_files_run_as_they_are(settings: NeedleSettings, tmp_path: Path, form: str) -> None:
    Image.new("RGB", (20, 20), (9, 90, 200)).save(tmp_path / "sky.png")
    prompt = "Question: What is it?\nOptions:(A) sky\n(B) sea\nChoose the best option."
    content: Any = {"retrieval_question": [prompt], "answer": ["B"], "needle": ["sky.png"]}
    if form == "longva":
        content = [{"path": "sky.png", "prompt": "What colour?", "answer": "Blue"}]
    (tmp_path / "qa.json").write_text(json.dumps(content))
    protocol = {"reference": "video-xl", "longva": "longva"}[form]
    settings = replace(settings, needles=str(tmp_path / "qa.json"), protocol=protocol, lengths=(6,))
    assert run_needles(tmp_path / "run", settings).failed == 0
    rows = load_results(tmp_path / "run")
    assert [(row["needle"], row["depth"]) for row in rows] == [("1-sky", 0.0), ("1-sky", 50.0), ("1-sky", 100.0)]


@pytest.mark.slow
def test_a_folder_of_haystacks(settings: NeedleSettings, tmp_path: Path, clip: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(clip.read_bytes())
    (folder / "notes.txt").write_text("no video")
    settings = replace(settings, haystack=str(folder), lengths=(5, 8), depths=(100.0,))
    run_needles(tmp_path / "run", settings)
    assert [(row["haystack"], row["length"]) for row in load_results(tmp_path / "run")[::5]] == [
        ("a.mp4", 5), ("a.mp4", 8), ("b.mp4", 5), ("b.mp4", 8),
    ]  # fmt: skip
    longva = replace(settings, protocol="longva")  # one frame a second of 8 seconds
    run_needles(tmp_path / "longva", longva)
    with pytest.raises(RunError, match=r"a.mp4: .* 8 .* 9$"):
        run_needles(tmp_path / "other", replace(longva, lengths=(9,)))


def test_a_film_that_cannot_be_read_is_an_error(settings: NeedleSettings, tmp_path: Path, clip: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    (folder / "b.mp4").write_bytes(clip.read_bytes()[:600])
    with pytest.raises(RunError, match=r"b.mp4: "):  # results would be of fewer films than the folder has
        run_needles(tmp_path / "run", replace(settings, haystack=str(folder)))


def test_other_settings_are_refused_and_named(
    settings: NeedleSettings, tmp_path: Path, five: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, lengths=(6,), depths=(0.0,))
    run_needles(tmp_path / "run", settings)
    with pytest.raises(RunError, match="ratio: 4 → 2"):
        run_needles(tmp_path / "run", replace(settings, ratio=2))
    with monkeypatch.context() as later, pytest.raises(RunError, match="memory_revision: 1 → 2"):
        later.setattr("videoxl.tasks.needle.run.MEMORY_REVISION", 2)
        run_needles(tmp_path / "run", settings)
    five.write_text(five.read_text().replace("What is", "Say what is"))
    with pytest.raises(RunError, match="needles_file"):
        run_needles(tmp_path / "run", settings)


@pytest.mark.slow
def test_kills_lose_and_double_nothing(settings: NeedleSettings, tmp_path: Path) -> None:
    run_needles(tmp_path / "whole", settings)
    command = [
        sys.executable, "-c", HEEDFUL, "needle", "--model", settings.model,
        "--needles", settings.needles, "--lengths", "6,11", "--depths", "0:100:50", "--ratio", "4",
        "--dtype", "float32", "--device", "auto", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    rng = random.Random(0)
    for sent in (signal.SIGKILL, signal.SIGINT):  # the run engine's own tests end it more often
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
        )
        assert process.stderr is not None
        process.stderr.readline()  # a cell is done
        time.sleep(rng.random() / 5)
        os.killpg(process.pid, sent)  # as a terminal does: to the worker too
        _, errors = process.communicate(timeout=60)
        if sent == signal.SIGINT:
            assert process.returncode == 130 and errors.splitlines()[-1] == "interrupted"
            assert "Traceback" not in errors and 1 < len(load_results(tmp_path / "run")) < 30
    run_needles(tmp_path / "run", settings)
    assert plain(tmp_path / "run") == plain(tmp_path / "whole")


def test_a_changed_picture_is_another_run(settings: NeedleSettings, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    (tmp_path / "n.jsonl").write_text('{"image": "a.png", "question": "Which colour?", "answer": "red"}')
    settings = replace(settings, needles=str(tmp_path / "n.jsonl"), lengths=(6,), depths=(0.0,))
    run_needles(tmp_path / "run", settings)
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "a.png")
    with pytest.raises(RunError, match="pictures"):
        run_needles(tmp_path / "run", settings)


def test_what_failed_is_tried_again_and_missing_until_then(
    settings: NeedleSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, lengths=(6, 11), depths=(50.0, 100.0))
    feed = HaystackMemories._feed

    def fails(self: HaystackMemories, watching: Any, tokens: Any) -> None:
        if self._shared is None and len(tokens) == 5:  # the beginning of 11 frames, at depth 50
            feed(self, watching, tokens[:2])
            raise MemoryError
        feed(self, watching, tokens)

    monkeypatch.setattr(HaystackMemories, "_feed", fails)
    assert run_needles(tmp_path / "run", settings).failed == 1
    said = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert said["progress"] == {"done": 3, "failed": 1, "total": 4}
    assert "**3 of 4 cells are finished, 1 failed.**" in (tmp_path / "run" / "summary.md").read_text()
    monkeypatch.undo()
    assert run_needles(tmp_path / "run", settings).failed == 0
    run_needles(tmp_path / "whole", settings)
    assert plain(tmp_path / "run") == plain(tmp_path / "whole")


def test_a_damaged_haystack_is_no_haystack(settings: NeedleSettings, tmp_path: Path, media: Path) -> None:
    haystack = media / "bad" / "corrupt_middle_10pct_random.mp4"
    settings = replace(settings, haystack=str(haystack), lengths=(64,), depths=(50.0,))
    assert run_needles(tmp_path / "run", settings).failed == 1
    (failure,) = map(json.loads, (tmp_path / "run" / "failures.jsonl").read_text().splitlines())
    assert "damaged" in failure["message"]


def invoke(*options: object) -> Any:
    return CliRunner().invoke(app, ["needle", *map(str, options)])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--depths", "120"], 2, "not between 0 and 100"),
        (["--lengths", "0:5"], 2, "not a range"),
        (["--lengths", "1.5"], 2, "1.5"),
        (["--needles", "gone.jsonl"], 1, "cannot be read"),
        (["--haystack", "gone.mp4"], 1, "gone.mp4"),
        (["--haystack", "synthetic:x"], 1, "synthetic:x"),
        (["--protocol", "guess"], 2, "guess"),
        (["--lengths", "inf"], 2, "not a range"),
        (["--lengths", "6,6"], 1, "a length twice"),
        (["--seed", "-1"], 2, "greater than or equal to 0"),
        (["--haystack", ""], 1, "no haystack"),
        (["--ratio", "3"], 1, "ratio 3 is not among those"),
        (["--lengths", "900000"], 1, "positions"),
        (["--needles-per-video", "9"], 1, "9 needles with different questions"),
        (["--task", "ordering", "--distractors", "1"], 1, "retrieval only"),
        (["--out", "/proc/run"], 1, "/proc/run"),
    ],
)
def test_what_is_wrong_is_said_before_any_model_is_loaded(
    options: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(VideoXL, "from_pretrained", lambda *_: pytest.fail("a model was loaded"))
    result = invoke("--out", tmp_path / "run", *options)
    assert result.exit_code == code and words.lower() in result.output.lower(), result.output
    assert "Traceback" not in result.output


def test_the_command_prints_the_table_and_draws_runs_side_by_side(settings: NeedleSettings, tmp_path: Path) -> None:
    options = ["--model", settings.model, "--needles", settings.needles, "--lengths", "6,9", "--depths", "0", "--ratio"]
    for ratio in (4, 2):
        result = invoke(*options, ratio, "--out", tmp_path / f"r{ratio}", "--quiet")
        assert result.exit_code == 0 and "| 0 % |" in result.output, result.output
    result = invoke("plot", tmp_path / "r4", tmp_path / "r2", "--out", tmp_path / "both")
    assert result.exit_code == 0 and (tmp_path / "both.png").exists() and (tmp_path / "both.svg").exists()
    (tmp_path / "r4" / "heatmap.png").unlink()
    assert invoke("plot", tmp_path / "r4").exit_code == 0 and (tmp_path / "r4" / "heatmap.png").exists()
    assert invoke("plot", tmp_path).exit_code == 1


def test_a_synthetic_haystack_is_the_same_for_everybody_and_has_no_end() -> None:
    source = Synthetic(5)
    plan = source.sample(70, None, None, None, "uniform")
    whole = np.concatenate([chunk.frames for chunk in source.read(plan, 32)])
    assert whole.shape == (70, 144, 256, 3) and len(np.unique(whole.reshape(70, -1), axis=0)) == 70
    parts = replace(plan, indices=plan.indices[[3, 40, 69]], times=plan.times[[3, 40, 69]])
    np.testing.assert_array_equal(next(iter(source.read(parts))).frames, whole[[3, 40, 69]])
    other = next(iter(Synthetic(6).read(plan))).frames
    assert not np.array_equal(other, whole[:32])
