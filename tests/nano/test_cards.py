"""The synthetic world: pictures that match their labels, and nothing of the evaluation in training."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from videoxl.errors import RunError
from videoxl.nano.pictures import CHARACTERS, NO_LABEL, PoolConfig, make_pool
from videoxl.tasks.needle.cards import (
    COLOURS,
    HELD_OUT_STYLE,
    KINDS,
    SHAPES,
    STYLES,
    Card,
    Layout,
    draw_card,
    find_fonts,
    is_held_out,
    random_card,
    random_layout,
)


def plain(**changes: object) -> Layout:
    layout = {
        **{
            "area": 0.5,
            "aspect": 1.0,
            "centre": (0.5, 0.5),
            "rotation": 0.0,
            "style": "plain",
            "line": 0.025,
            "font": "",
            "fill": 0.9,
        },
        **{"case": "upper", "card_rgb": (255, 255, 255), "ink_rgb": (0, 0, 0)},
        **changes,
    }
    return Layout(**layout)  # type: ignore[arg-type]


def test_card_covers_its_share_of_the_frame_and_leaves_the_rest():
    frame = Image.new("RGB", (200, 100), (10, 20, 30))
    picture, _ = draw_card(
        Card("shape", "square", "red", "blue"), plain(card_rgb=(255, 0, 0), ink_rgb=(0, 0, 255)), frame
    )
    pixels = np.asarray(picture)
    untouched = (pixels == (10, 20, 30)).all(-1).mean()
    assert untouched == pytest.approx(0.5, abs=0.02)
    assert tuple(pixels[50, 100]) == (0, 0, 255)
    assert np.asarray(frame).mean((0, 1)).tolist() == [10, 20, 30]


@pytest.mark.parametrize("rotation", [0.0, 8.0])
def test_every_glyph_box_holds_ink_and_nothing_stands_outside(rotation):
    frame = Image.new("RGB", (320, 180), (255, 255, 255))
    picture, glyphs = draw_card(Card("word", "tiger", "white", "black"), plain(area=0.9, rotation=rotation), frame)
    dark = np.asarray(picture).mean(-1) < 128
    assert "".join(glyph.character for glyph in glyphs) == "tiger"
    inside = np.zeros_like(dark)
    for glyph in glyphs:
        x0, y0, x1, y1 = np.array(glyph.box) * (320, 180, 320, 180)
        box = (slice(max(0, int(y0) - 8), int(y1) + 8), slice(max(0, int(x0) - 4), int(x1) + 4))
        assert dark[box].any()
        inside[box] = True
    assert not (dark & ~inside).any()


@pytest.mark.parametrize("text", ["willow", "1"])  # limited by the plate's width and by its height
@pytest.mark.parametrize("style", STYLES)
def test_lines_of_a_plate_hide_no_letter(style, text):
    layout = plain(area=1.0, fill=1.0, style=style, line=0.035)
    frame = Image.new("RGB", (400, 400), (255, 255, 255))
    lines, _ = draw_card(Card("shape", "circle", "white", "black"), replace(layout, fill=0.0), frame)
    picture, glyphs = draw_card(Card("word", text, "white", "black"), layout, frame)
    x0, y0, x1, y1 = (round(f([g.box[i] for g in glyphs]) * 400) for i, f in enumerate((min, min, max, max)))
    assert (np.asarray(lines)[y0:y1, x0:x1].mean(-1) > 250).mean() > 0.99  # all but the point that is the circle
    assert (np.asarray(picture)[y0:y1, x0:x1].mean(-1) < 100).mean() > 0.1


def test_training_never_shows_what_evaluation_asks():
    rng = np.random.default_rng(0)
    for held_out in (False, True):
        words = [random_card(rng, "word", held_out).text for _ in range(200)]
        assert all(is_held_out(word) == held_out for word in words)
        assert all(3 <= len(word) <= 8 for word in words)
    assert not set(find_fonts(False)) & set(find_fonts(True)) - {""}
    card = random_card(rng)
    styles = {random_layout(rng, card).style for _ in range(200)}
    assert styles == set(STYLES) - {HELD_OUT_STYLE}


def test_cards_are_a_fifth_of_the_frame_or_more():
    rng = np.random.default_rng(0)
    areas = [random_layout(rng, random_card(rng)).area for _ in range(300)]
    assert min(areas) >= 0.2 and max(areas) == 1.0


def test_pool_is_the_same_with_any_number_of_workers_and_labels_fit_the_cards(tmp_path):
    clips = [np.full((3, 40, 60, 3), 90, np.uint8)]
    config = PoolConfig(size=32, grid=4, count=60, seed=3)
    one = make_pool(tmp_path / "one", config, clips, workers=1)
    two = make_pool(tmp_path / "two", config, clips, workers=2)
    for name in ("images", "kind", "colour", "ink", "shape", "characters", "patch_character", "patch_index"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    kinds = {one.card(index).kind for index in range(60) if one.card(index)}
    assert kinds == set(KINDS)
    for index in range(60):
        card = one.card(index)
        if card is None:
            assert one.colour[index] == NO_LABEL and not one.characters[index].any()
            continue
        assert card.colour in COLOURS and card.ink in COLOURS and card.colour != card.ink
        assert card.text in SHAPES if card.kind == "shape" else all(c in CHARACTERS for c in card.text)
        letters = {one.patch_character[index][cell] for cell in range(16)} - {0}
        assert letters <= {1 + CHARACTERS.index(c) for c in card.text if card.kind != "shape"}


def test_a_pool_of_another_kind_is_refused(tmp_path):
    config = PoolConfig(size=16, grid=2, count=4)
    made = make_pool(tmp_path, config, [])
    np.testing.assert_array_equal(make_pool(tmp_path, config, []).images, made.images)
    with pytest.raises(RunError, match="other pictures"):
        make_pool(tmp_path, replace(config, count=8), [])
