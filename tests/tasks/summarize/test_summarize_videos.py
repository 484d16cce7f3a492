"""Chapters of rendered videos whose scenes are known, and what the bundled model says about them; broken files."""

import csv
import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worker_threads import Threads

from videoxl.checkpoints.hub import checkpoint_folder
from videoxl.nano.evaluation.descriptions import named_things
from videoxl.nano.evaluation.scene_films import CARD_SECONDS, SceneFilm, boundary_f1, write_scenes
from videoxl.nano.questions import thing
from videoxl.options import MemoryOptions
from videoxl.runs.engine import load_results, state
from videoxl.tasks.summarize.batch import summarize
from videoxl.tasks.summarize.inputs import read_inputs
from videoxl.tasks.summarize.job import SummaryJob
from videoxl.tasks.summarize.prompts import SUMMARY, load_prompts
from videoxl.video import decode_process, reader

pytestmark = pytest.mark.slow  # whole videos, rendered and summarized by the bundled model

NANO = "videoxl-nano"
RESULTS = Path(__file__).parents[2] / "data" / "media_results.tsv"  # what each of the shared files gives
LENGTHS = ((14, 22, 17, 25, 19), (24, 16, 13, 21, 18, 15))


def run_nano(
    inputs: list[Path], output: Path, max_frames: int = 1024, task: str = SUMMARY, **prompts: str
) -> list[dict[str, Any]]:
    sources = read_inputs([str(path) for path in inputs], output).sources
    watch = MemoryOptions(max_frames=max_frames)
    job = SummaryJob(checkpoint_folder(NANO), NANO, load_prompts(NANO, task, **prompts), watch=watch, task=task)
    summarize(sources, output, job, backend=Threads(["cpu"]))
    return load_results(output)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[SceneFilm, dict[str, Any]]]:
    """Rendered videos, and their summaries by the bundled model."""
    folder = tmp_path_factory.mktemp("films")
    clips = [write_scenes(folder / f"{seed}.mp4", seed, lengths) for seed, lengths in enumerate(LENGTHS)]
    rows = run_nano([clip.path for clip in clips], folder / "out")
    return list(zip(clips, rows, strict=True))


def test_chapters_begin_where_scenes_do(films: list[tuple[SceneFilm, dict[str, Any]]]) -> None:
    found = [[chapter["start"] for chapter in row["chapters"][1:]] for _, row in films]
    scores = [boundary_f1(starts, clip.boundaries) for starts, (clip, _) in zip(found, films, strict=True)]
    assert np.mean(scores) >= 0.9, found


@pytest.mark.parametrize("seed", [7, 9])
def test_one_scene_is_one_chapter(tmp_path: Path, seed: int) -> None:
    film = write_scenes(tmp_path / "film.mp4", seed, (90,))
    (row,) = run_nano([film.path], tmp_path / "out")
    assert [(chapter["start"], chapter["end"]) for chapter in row["chapters"]] == [(0.0, 90.0)]


def test_chapters_name_the_cards_in_them(films: list[tuple[SceneFilm, dict[str, Any]]]) -> None:
    right = asked = 0
    for clip, row in films:
        edges = [0, *clip.boundaries, float("inf")]
        for card, (begin, end) in zip(clip.cards, itertools.pairwise(edges), strict=True):
            middle = (begin + min(end, row["video"]["duration"])) / 2
            (chapter,) = [each for each in row["chapters"] if each["start"] <= middle < each["end"]]
            right += thing(card) in named_things(chapter["text"])
            asked += 1
    assert right >= 0.85 * asked, (right, asked)


def test_evidence_of_a_chapter_is_where_its_card_is(films: list[tuple[SceneFilm, dict[str, Any]]]) -> None:
    right = asked = 0
    for film, row in films:
        for chapter in row["chapters"]:
            spans = chapter["evidence"]
            assert all(chapter["start"] <= span["start"] <= span["end"] <= chapter["end"] for span in spans)
            for begin in film.shown:
                if chapter["start"] <= begin < chapter["end"]:
                    right += any(meets(span, begin) for span in spans)
                    asked += 1
    assert right >= 0.85 * asked, (right, asked)


def meets(span: dict[str, Any], begin: float) -> bool:
    """Return whether a card that comes up then is in a span."""
    return bool(span["start"] < begin + CARD_SECONDS and span["end"] >= begin)


LOOKED_FOR = {"chapter": "Is there a card with a number?", "span": "What number is shown on the card?"}


def test_spans_are_where_the_answer_is_yes(films: list[tuple[SceneFilm, dict[str, Any]]], tmp_path: Path) -> None:
    """Numbers are looked for in videos of numbers and shapes."""
    rows = run_nano([film.path for film, _ in films], tmp_path / "out", task="anomalies", **LOOKED_FOR)
    in_spans: dict[str, list[bool]] = {"number": [], "shape": []}
    for (film, _), row in zip(films, rows, strict=True):
        spans = row["spans"]
        assert row["task"] == "anomalies" and spans
        assert all(before["end"] <= after["start"] for before, after in itertools.pairwise(spans))
        numbers = {
            begin: card.text for card, begin in zip(film.cards, film.shown, strict=True) if card.kind == "number"
        }
        for span in spans:
            assert any(meets(span, begin) and span["text"] == text for begin, text in numbers.items()), span
        for card, begin in zip(film.cards, film.shown, strict=True):
            middle = begin + CARD_SECONDS / 2
            in_spans[card.kind].append(any(span["start"] <= middle < span["end"] for span in spans))
    assert all(in_spans["number"]) and np.mean(in_spans["shape"]) <= 0.25, in_spans


def test_what_is_nowhere_is_not_found(films: list[tuple[SceneFilm, dict[str, Any]]], tmp_path: Path) -> None:
    rows = run_nano([films[0][0].path], tmp_path / "out", task="ads", chapter="Is there a card with a word?")
    assert rows[0]["spans"] == []


def test_a_question_is_answered_with_what_is_seen_where(tmp_path: Path) -> None:
    film = write_scenes(tmp_path / "film.mp4", 11, (30, 40), kind="number")
    begin = film.shown[1]
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(
        json.dumps({"video": film.path.name, "start": film.boundaries[0]})
        + "\n"
        + json.dumps({"video": film.path.name, "prompt": "Is there a card?", "end": film.shown[0]})
    )
    question = "What number is shown on the card?"
    asked, own = run_nano([manifest], tmp_path / "out", task=question)
    assert (asked["task"], asked["summary"]) == (question, film.cards[1].text)
    best = max(asked["spans"], key=lambda span: span["score"])
    assert best["start"] < begin + CARD_SECONDS and best["end"] >= begin and best["text"] == film.cards[1].text
    assert sorted((span["start"], span["end"]) for span in asked["evidence"]) == [
        (span["start"], span["end"]) for span in asked["spans"]
    ]
    assert (own["summary"], own["spans"], own["evidence"]) == ("no", [], [])


def test_files_of_all_kinds(media: Path, tmp_path: Path) -> None:
    """A good clip, odd files and every broken one: all that can be read is, the others are told by their reasons."""
    odd = [media / "odd" / name for name in ("single_frame.mp4", "flower_rot90.mp4", "flower.gif", "flower_av1.mp4")]
    bad = sorted((media / "bad").iterdir())
    rows = run_nano([media / "friday.mp4", *odd, *bad], tmp_path / "out", max_frames=8)
    now = state(tmp_path / "out")
    with RESULTS.open(newline="") as file:
        table = [row for row in csv.reader(file, delimiter="\t") if row[0].startswith("bad/") and row[1] == "error"]
    reasons = {f"{media}/{row[0]}": f"{media}/{Path(row[0]).parent}/{row[-1]}" for row in table}
    assert {failure.name: failure.message for failure in now.failures} == reasons
    assert now.done == len(rows) == 5 + len(bad) - len(reasons)
    damaged = {Path(row["id"]).name for row in rows if row["warnings"]}
    assert "truncated60.mkv" in damaged and "friday.mp4" not in damaged


# Runs in the decoding process before its work: two files are such that every decoder fails on them.
POISON = """
import os, signal, time
import videoxl.video.decord_reader, videoxl.video.pyav_reader
def poison(module, name):
    original = getattr(module, name)
    def poisoned(request, alive):
        if "hangs" in request.info.path:
            time.sleep(600)
        if "crashes" in request.info.path:
            os.kill(os.getpid(), signal.SIGSEGV)
        return original(request, alive)
    setattr(module, name, poisoned)
poison(videoxl.video.decord_reader, "read_with_decord")
poison(videoxl.video.pyav_reader, "PyAVReader")
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_files_on_which_decoders_hang_or_crash_do_not_stop_the_run(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [tmp_path / "hangs.mp4", tmp_path / "crashes.mp4", tmp_path / "good.mp4"]
    for path in inputs:
        path.write_bytes(clip.read_bytes())
    marker = "from videoxl.video.decode_worker import main;"
    monkeypatch.setattr(decode_process, "_BOOT", decode_process._BOOT.replace(marker, f"{marker} exec({POISON!r});"))
    monkeypatch.setattr(decode_process, "_START_SECONDS", 6.0)
    monkeypatch.setattr(reader, "_MIN_LIMIT_SECONDS", 2.0)
    rows = run_nano(inputs, tmp_path / "out", max_frames=4)
    assert [row["id"] for row in rows] == [str(inputs[2])]
    reasons = {Path(failure.name).stem: failure.message for failure in state(tmp_path / "out").failures}
    assert set(reasons) == {"hangs", "crashes"}
    assert "decoding failed (no sign of life" in reasons["hangs"]
    assert "decoding failed (the decoding process was ended by SIGSEGV)" in reasons["crashes"]
