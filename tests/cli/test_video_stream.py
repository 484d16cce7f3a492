"""`--video-stream` on every command that reads a video."""

import json
from pathlib import Path

import numpy as np
import pytest
from asking import QUESTION, Ask, notes
from odd_pictures import make_odd_pictures
from PIL import Image
from typer.testing import CliRunner, Result

from videoxl.cli.main import app
from videoxl.runs.engine import load_results


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stream 0 is red, 64x48; stream 1 is blue, 128x72."""
    return make_odd_pictures.two_streams(tmp_path_factory.mktemp("streams") / "two.mp4")


def run(model: Path, command: str, *arguments: object, input: str | None = None) -> Result:
    options = ["--model", model, "--device", "cpu"]
    return CliRunner().invoke(app, [command, *map(str, (*arguments, *options))], input=input)


def chosen(streams: list[dict[str, object]]) -> list[tuple[object, object, object]]:
    return [(each["index"], each["width"], each["chosen"]) for each in streams]


def test_ask_reads_the_stream_that_is_chosen_and_keeps_it_apart(ask: Ask, two: Path) -> None:
    origins = []
    for options, width in (((), 64), (("--video-stream", 1), 128), (("--video-stream", 1), 128), ((), 64)):
        result = ask("--json", *options, video=two)
        said = json.loads(result.stdout)
        origins.append(said["memory"]["from"])
        assert said["video"]["width"] == width
        assert chosen(said["video"]["streams"]) == [(0, 64, width == 64), (1, 128, width == 128)]
        warned = [line for line in notes(result) if "2 video streams" in line]
        assert len(warned) == (0 if options else 1)
    assert origins == ["video", "video", "cache", "cache"]


@pytest.mark.usefixtures("always_evidence")
def test_evidence_shows_the_stream_that_was_chosen(ask: Ask, two: Path, tmp_path: Path) -> None:
    assert ask("--video-stream", 1, "--evidence", tmp_path / "seen", video=two).exit_code == 0
    pictures = [Image.open(path) for path in (tmp_path / "seen").glob("1-*.png")]
    assert pictures and all(np.abs(np.asarray(p).mean(axis=(0, 1)) - (30, 30, 220)).max() < 6 for p in pictures)


def test_a_stream_that_is_not_there_is_an_error(ask: Ask, two: Path) -> None:
    result = ask("--video-stream", 7, video=two)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no video stream 7" in result.stderr and "0 (64x48" in result.stderr and "1 (128x72" in result.stderr


def test_a_memory_file_has_its_stream_already(model_folder: Path, ask: Ask, two: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.vxm"
    indexed = run(model_folder, "index", two, "-o", path, "--video-stream", 1, "--json")
    assert chosen(json.loads(indexed.stdout)["streams"]) == [(0, 64, False), (1, 128, True)]
    assert json.loads(ask("--json", video=path).stdout)["video"]["width"] == 128
    refused = ask("--video-stream", 0, video=path)
    assert refused.exit_code == 1 and "--video-stream" in refused.stderr


@pytest.mark.parametrize(
    ("command", "more"), [("chat", ()), ("follow", ("--ask", QUESTION, "--times", 1)), ("index", ())]
)
def test_other_commands_have_the_choice(model_folder: Path, two: Path, command: str, more: tuple[object, ...]) -> None:
    said = run(model_folder, command, two, *more, input="What?\n").stderr
    assert said.count("2 video streams") == 1
    chosen = run(model_folder, command, two, *more, "--video-stream", 1, input="What?\n")
    assert (chosen.exit_code, "video streams" in chosen.stderr) == (0, False)
    wrong = run(model_folder, command, two, *more, "--video-stream", 7, input="What?\n")
    assert wrong.exit_code == 1 and "no video stream 7" in wrong.stderr


def test_summarize_takes_it_for_all_or_from_a_manifest(model_folder: Path, two: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "talks.csv"
    manifest.write_text(f"video,id,video_stream\n{two},both,\n{two},speaker,0\n{two},wrong,7\n")
    run(model_folder, "summarize", manifest, "--out", tmp_path / "out", "--video-stream", 1, "--max-new-tokens", 4)
    rows = {row["id"]: row["video"] for row in load_results(tmp_path / "out")}
    assert {id: video["width"] for id, video in rows.items()} == {"both": 128, "speaker": 64}
    assert chosen(rows["both"]["streams"]) == [(0, 64, False), (1, 128, True)]
    (failure,) = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    assert json.loads(failure)["id"] == "wrong" and "no video stream 7" in json.loads(failure)["message"]


@pytest.mark.slow
def test_a_haystack_may_be_one_of_several_streams(model_folder: Path, two: Path, tmp_path: Path) -> None:
    grid = ("--lengths", 8, "--depths", 50, "--ratio", 4, "--needles-per-video", 1, "--quiet")
    contents = []
    for stream in (0, 1):
        out = tmp_path / str(stream)
        done = run(model_folder, "needle", "--haystack", two, "--video-stream", stream, "--out", out, *grid)
        assert done.exit_code == 0, done.output
        contents.append(json.loads((out / "run.json").read_text())["settings"]["contents"])
    assert contents[0] != contents[1]
    wrong = run(model_folder, "needle", "--video-stream", 1, "--out", tmp_path / "wrong", *grid)
    assert wrong.exit_code == 1 and "synthetic" in wrong.stderr and "--video-stream" in wrong.stderr
