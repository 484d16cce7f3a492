"""The demo video shows what its script says, and the bundled model answers what is asked about it."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from videoxl import VideoXL
from videoxl.cli.main import app
from videoxl.options import Ratio
from videoxl.tasks.needle.cards import draw_card
from videoxl.video.video import Video

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "assets" / "demo.mp4"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_demo", ROOT / "scripts" / "make_demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_demo = load_script()


def frames_at(times: list[float]) -> np.ndarray:
    video = Video(DEMO)
    return np.concatenate([
        chunk.frames for time in times for chunk in video.read(video.sample(1, start=time, end=time + 0.05))
    ])  # fmt: skip


def test_is_short_of_a_megabyte_and_minutes_long() -> None:
    assert DEMO.stat().st_size < 1_000_000
    video = Video(DEMO)
    assert (video.duration, video.width, video.height) == (pytest.approx(288, abs=0.2), 640, 360)


@pytest.mark.parametrize("shown", make_demo.APPEARANCES, ids=lambda shown: shown.card.kind)
def test_cards_are_shown_at_their_times(shown: object) -> None:
    start, end = shown.seconds, shown.seconds + make_demo.CARD_SECONDS
    frames = frames_at([start - 0.125, start, (start + end) / 2, end - 0.125, end]).astype(float)
    plain = Image.new("RGB", make_demo.SIZE, (255, 0, 255))
    card = np.asarray(draw_card(shown.card, make_demo.layout(shown.card), plain)[0], float)
    inside = np.any(card != (255, 0, 255), axis=2)
    assert 0.4 < inside.mean() < 0.6
    errors = np.abs(frames - card)[:, inside].mean(axis=(1, 2))
    assert np.all(errors[1:4] < 8) and np.all(errors[[0, 4]] > 40), errors


def test_the_page_about_models_shows_the_script_s_table() -> None:
    assert make_demo.table() in (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_at_most_one_card_of_a_kind() -> None:
    kinds = [shown.card.kind for shown in make_demo.APPEARANCES]
    assert sorted(kinds) == ["number", "shape", "word"]


QUESTIONS = [
    *((shown.question, shown.answer) for shown in make_demo.APPEARANCES),
    ("What shape is on the card?", "circle"),
    ("What color is the card with the number?", "blue"),
    ("Is there a card in the video?", "yes"),
]


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize("ratio", ["2", "16"])
@pytest.mark.parametrize("question, answer", QUESTIONS)
def test_the_bundled_model_answers(question: str, answer: str, ratio: str) -> None:
    arguments = ["ask", str(DEMO), question, "--ratio", ratio, "--device", "cpu", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["answer"], said["frames"], said["model"]) == (answer, 288, "videoxl-nano")
    *from_cache, hint = result.stderr.splitlines()
    assert len(from_cache) <= 1 and "--model video-xl-7b" in hint


@pytest.fixture(scope="module")
def watched() -> tuple[VideoXL, torch.Tensor, np.ndarray]:
    """The bundled model, and the demo's visual tokens with the times of their frames."""
    model, video = VideoXL.from_pretrained("videoxl-nano", device="cpu"), Video(DEMO)
    plan = model.plan(video).frames
    return model, torch.cat([model.encode_frames(chunk.frames) for chunk in video.read(plan)]), plan.times


@pytest.mark.parametrize("ratio", ["auto", 2, 4, 8, 16])
def test_evidence_is_when_the_card_is_on_screen(
    watched: tuple[VideoXL, torch.Tensor, np.ndarray], ratio: Ratio
) -> None:
    model, tokens, times = watched
    memory = model.condense(tokens, ratio=ratio, times=times)
    neutral = model.neutral_attention(memory)
    condensed = max(memory.ratios) / 4 - 1  # a VST may begin so many frames before the card, and end so many after it
    for shown in make_demo.APPEARANCES:
        first, *others = model.ask(memory, shown.question, neutral=neutral).evidence
        assert ratio != "auto" or not others, (shown.question, others)
        assert first.start > shown.seconds - 1.1 * max(0, condensed) - 0.1, (shown.question, first)
        assert first.end < shown.seconds + make_demo.CARD_SECONDS + 1.1 * max(1, condensed), (shown.question, first)
        assert first.start < shown.seconds + make_demo.CARD_SECONDS and first.end >= shown.seconds
    conversation = model.chat(memory)
    for shown in make_demo.APPEARANCES:
        first = conversation.ask(shown.question).evidence[0]
        assert first.start < shown.seconds + make_demo.CARD_SECONDS and first.end >= shown.seconds
    assert model.ask(model.slice(memory, end=60), "Is there a card?").evidence == ()


def test_no_card_in_the_first_minute() -> None:
    result = CliRunner().invoke(app, ["ask", str(DEMO), "Is there a card in the video?", "--end", "60", "--quiet"])
    assert (result.stdout, result.stderr) == ("no\n", "")
