"""Needle files in their three forms, and what is wrong with them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videoxl.errors import RunError
from videoxl.tasks.needle.needles import BUNDLED, load_needles
from videoxl.tasks.needle.protocols import with_options
from videoxl.video.video import Video


def lines(path: Path, *needles: object) -> Path:
    path.write_text("\n".join(needle if isinstance(needle, str) else json.dumps(needle) for needle in needles))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "red.png")
    return tmp_path / "red.png"


CARD = {"kind": "word", "text": "tower", "colour": "white", "ink": "black"}


def test_the_bundled_set_has_pictures_and_options_with_the_answer() -> None:
    needles = load_needles(BUNDLED)
    assert len(needles) == 15 and len({needle.name for needle in needles}) == 15
    for needle in needles:
        assert needle.answer in needle.options and len(set(needle.options)) == 4
        assert needle.picture().shape == (336, 336, 3) and needle.picture().std() > 5


def test_our_lines_take_an_image_a_video_or_a_card(tmp_path: Path, picture: Path, clip: Path) -> None:
    file = lines(
        tmp_path / "needles.jsonl",
        {"image": "red.png", "question": "Which colour?", "answer": "B", "options": ["blue", "red"]},
        "",
        {"video": str(clip), "question": "Which number?", "answer": "39"},
        {"card": CARD, "question": "What word?", "answer": "tower", "name": "mine"},
    )
    image, video, card = load_needles(file)
    assert (image.name, image.answer, image.letter) == ("red", "red", "B")
    assert (image.picture() == [200, 10, 10]).all()
    assert (video.name, video.answer, video.options, video.letter) == ("clip", "39", (), "")
    # The middle one of the first, middle and last frame.
    opened = Video(clip)
    middle = next(iter(opened.read(opened.sample(max_frames=3, fps=None)))).frames[1]
    np.testing.assert_array_equal(video.picture(), middle)
    assert card.name == "mine" and card.picture().ndim == 3


def test_the_reference_s_lists_keep_their_prompts_and_letters(tmp_path: Path) -> None:
    (tmp_path / "needles").mkdir()
    (tmp_path / "qa").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "needles" / "sky.png")
    prompt = "Question: What does he do? Response the correct choice only.\nOptions:(A) cooking\n(B) play chess\nChoose"
    content = {"retrieval_question": [prompt], "answer": ["B"], "needle": ["sky.png"]}
    (needle,) = load_needles(lines(tmp_path / "qa" / "qa.json", content))
    assert needle.options == ("cooking", "play chess") and needle.answer == "play chess" and needle.letter == "B"
    assert needle.question == prompt == with_options(needle)


def test_options_in_a_prompt_may_have_brackets(tmp_path: Path, picture: Path) -> None:
    prompt = "Which?\nOptions:(A) red (dark)\n(B) red (light)\nChoose."
    content = {"retrieval_question": [prompt], "answer": ["B"], "needle": ["red.png"]}
    (needle,) = load_needles(lines(tmp_path / "qa.json", content))
    assert needle.options == ("red (dark)", "red (light)") and needle.letter == "B"


def test_pictures_are_seen_as_viewers_show_them(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    turned = Image.new("RGB", (8, 4))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    names = ("deep.png", "clear.png", "turned.jpg")
    deep, clear, turn = load_needles(
        lines(tmp_path / "n.jsonl", *({"image": name, "question": "?", "answer": "a"} for name in names))
    )
    assert abs(int(deep.picture().mean()) - 127) <= 1
    assert (clear.picture() == 255).all() and turn.picture().shape == (8, 4, 3)


def test_longva_s_list_is_asked_as_it_is(tmp_path: Path, picture: Path) -> None:
    entry = {"path": "red.png", "prompt": "What colour? Answer with a word.", "answer": "Red"}
    (needle,) = load_needles(lines(tmp_path / "longva.json", [entry]))  # type: ignore[arg-type]
    assert (needle.question, needle.answer, needle.options) == (entry["prompt"], "Red", ())


def test_options_are_worded_as_in_the_reference(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "n.jsonl", {"card": CARD, "question": "What word?", "answer": "tower", "options": ["goat", "tower"]}
    )
    assert with_options(load_needles(file)[0]) == (
        "Question: What word? Response the correct choice only.\nOptions:(A) goat\n(B) tower\nChoose the best option."
    )


@pytest.mark.parametrize(
    ("needle", "words"),
    [
        ({"image": "gone.png", "question": "What?", "answer": "a"}, ":1: .*gone.png"),
        ({"card": CARD, "question": "What?", "answer": "C", "options": ["a", "b"]}, ":1: .*'C'"),
        ({"card": CARD, "question": "What?"}, ":1: answer "),
        ({"card": CARD, "question": "", "answer": "a"}, ":1: question .*''"),
        ({"question": "What?", "answer": "a"}, ":1: image, video or card "),
        ({"card": CARD | {"kind": "face"}, "question": "What?", "answer": "a"}, ":1: .*face"),
        ({"card": CARD | {"ink": "white"}, "question": "What?", "answer": "a"}, ":1: .*'ink': 'white'"),
        ({"image": "text.png", "question": "What?", "answer": "a"}, "text.png"),
        ({"card": CARD, "question": "What?", "answer": "a", "options": 5}, ":1: options .* 5"),
        ({"card": CARD, "question": "What?", "answer": "a", "options": ["a", "a"]}, ":1: options .* 10 "),
        ({"card": CARD, "question": "What?", "answer": "a", "options": ["a"]}, ":1: options .* 10 "),
        ({"card": CARD, "question": "What?", "answer": "a", "name": None}, ":1: name .*None"),
        ({"retrieval_question": [], "answer": ["C"], "needle": ["text.png"]}, "retrieval_question"),
        ("[{not json]", "n.jsonl: .*JSON"),
        ("{not json", ":1: .*JSON"),
        ("", "n.jsonl: "),
        ({"retrieval_question": ["(A) a\n(B) b"], "answer": ["C"], "needle": ["text.png"]}, "needle 1: .*'C'"),
        (
            {"retrieval_question": ["a"], "answer": ["A", "B"], "needle": ["text.png"]},
            "retrieval_question",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, needle: object, words: str) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(RunError, match=words) as raised:
        load_needles(lines(tmp_path / "n.jsonl", needle))
    assert raised.value.advice


def test_two_needles_of_one_name_are_refused(tmp_path: Path) -> None:
    needle = {"card": CARD, "question": "What?", "answer": "tower"}
    with pytest.raises(RunError, match="'tower'"):
        load_needles(lines(tmp_path / "n.jsonl", needle, needle))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"gone\.jsonl"):
        load_needles(tmp_path / "gone.jsonl")
