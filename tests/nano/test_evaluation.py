"""The counting, with subjects that know everything and nothing; and a model as the subject."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from videoxl import VideoXL
from videoxl.errors import RunError
from videoxl.nano.evaluation.evaluated_model import ModelSubject
from videoxl.nano.evaluation.footage import WORDS, Footage, held_out_card, put
from videoxl.nano.evaluation.report import Settings, as_json, evaluate
from videoxl.nano.questions import NOTHING, Question
from videoxl.tasks.needle.cards import is_held_out
from videoxl.tasks.tables import Table

SETTINGS = Settings(trials=2, long=1, very_long=1, stretches=3)
CLIPS = [np.zeros((40, 24, 32, 3), np.uint8), np.full((30, 32, 24, 3), 90, np.uint8)]


class Fake:
    """Sees in a memory, which is the video itself, how many frames are no bare footage, and answers as it is told.

    Args:
        answers: called with how many cards the memory has, and the question.
    """

    def __init__(self, answers: Callable[[int, Question], str]) -> None:
        self._answers = answers

    def encode(self, pictures: Sequence[np.ndarray]) -> Tensor:
        return torch.tensor([float(len(np.unique(picture.reshape(-1, 3), axis=0)) > 1) for picture in pictures])

    def condense(self, tokens: Tensor) -> Any:
        return tokens

    def zeroed(self, memory: Any) -> Any:
        return torch.zeros_like(memory)

    def answer(self, memory: Any, question: Question, most_cards: int = 1) -> str:
        return self._answers(int(memory.sum()), question)

    def choose(self, memory: Any, question: Question, options: Sequence[str]) -> int:
        assert question.answer == options[0] and len({*options}) == 4
        said = self._answers(int(memory.sum()), question)
        return options.index(said) if said in options else 3


def run(answers: Callable[[int, Question], str]) -> list[Table]:
    heard: list[str] = []
    tables = list(evaluate(Fake(answers), CLIPS, SETTINGS, heard.append))
    assert len(heard) > 10 and len(tables) == 8
    return tables


def shares(tables: Sequence[Table], title: str) -> dict[tuple[str, str], float]:
    (table,) = (table for table in tables if table.title.startswith(title))
    rows = table.as_dict()["rows"]
    return {(row, column): cell["share"] for row, cells in rows.items() for column, cell in cells.items()}


def knowing(cards: int, question: Question) -> str:
    """Answer rightly; without any card, as if the question had been about such a video."""
    without = {"presence": "no", "certain": "no", "count": "0", "refusal": question.answer}
    return question.answer if cards else without.get(question.family, NOTHING)


@pytest.fixture(scope="module")
def all_right() -> list[Table]:
    return run(knowing)


@pytest.fixture(scope="module")
def all_wrong() -> list[Table]:
    return run(lambda cards, question: "no" if question.answer == "yes" else "yes")


def test_who_knows_everything_is_right_with_the_cards_only(all_right: list[Table]) -> None:
    for title in ("One card in 16 to 256", "Several cards"):
        found = shares(all_right, title)
        assert len(found) > 20
        for (row, column), share in found.items():
            assert share == (column in ("as shown", "new phrasing")), (row, column)
    for title in ("One card in 1024", "One card in 2048"):
        assert {*shares(all_right, title).values()} == {1.0}


def test_descriptions_are_counted_by_card(all_right: list[Table], all_wrong: list[Table]) -> None:
    right, wrong = shares(all_right, "Describe"), shares(all_wrong, "Describe")
    assert right.keys() == wrong.keys() and len(right) == 5 * 7 + 1
    for row in ("1 card", "4 cards", "1 to 4 cards"):
        columns = ("named right", "exact list", "named right, new phrasing")
        assert {right[row, column] for column in columns} == {1.0}
        assert {wrong[row, column] for column in columns} == {0.0}
        for column in ("invented, of those named", "not shown, of those named"):
            assert right[row, column] == 0 and wrong[row, column] == 1
        assert right[row, "named right, cards removed"] == right[row, "named right, VSTs zeroed"] == 0
    assert right["no cards", "exact list"] == 1 and wrong["no cards", "exact list"] == 0
    (table,) = (table for table in all_right if table.title.startswith("Describe"))
    assert table["1 to 4 cards", "named right"].num_questions == SETTINGS.trials * (1 + 2 + 3 + 4)


def test_yes_is_counted_where_it_is_right_and_where_it_is_not(all_right: list[Table], all_wrong: list[Table]) -> None:
    right, wrong = shares(all_right, "How often"), shares(all_wrong, "How often")
    for row in ("a card", "a certain thing"):
        assert right[f"{row}: shown", "as shown"] == right[f"{row}: shown", "new phrasing"] == 1
        assert right[f"{row}: shown", "cards removed"] == wrong[f"{row}: shown", "as shown"] == 0
    for row in ("a card: none, stretches of real clips", "a certain thing: not shown"):
        assert right[row, "as shown"] == 0 and wrong[row, "as shown"] == 1


def test_options_are_counted_where_the_right_one_is_chosen(all_right: list[Table], all_wrong: list[Table]) -> None:
    for frames in (128, 1024):
        title = f"The likeliest of four options, {frames}"
        right, wrong = shares(all_right, title), shares(all_wrong, title)
        assert right["all", "as shown"] == 1 and right["all", "cards removed"] == right["all", "VSTs zeroed"] == 0
        assert {*wrong.values()} == {0.0}


def test_who_is_always_wrong_gets_nothing(all_wrong: list[Table]) -> None:
    for title in ("One card in 16 to 256", "One card in 1024", "Several cards"):
        assert {*shares(all_wrong, title).values()} == {0.0}


def test_a_part_can_be_left_out_and_changes_no_other(all_right: list[Table]) -> None:
    settings = Settings(trials=0, long=1, very_long=0, stretches=0)
    (table,) = evaluate(Fake(knowing), CLIPS, settings)
    assert table.as_dict() == all_right[-2].as_dict()
    report = as_json([table], settings, {"model": "fake"})
    assert report["model"] == "fake" and report["settings"]["long"] == 1 and len(report["tables"]) == 1


def test_what_cannot_be_run_is_an_error() -> None:
    with pytest.raises(RunError):
        Settings(fonts="runes")
    with pytest.raises(RunError):
        Settings(trials=-1)
    with pytest.raises(RunError):
        next(evaluate(Fake(knowing), [], SETTINGS))


def test_words_are_none_of_training() -> None:
    assert all(map(is_held_out, WORDS))
    rng = np.random.default_rng(0)
    cards = [held_out_card(rng, "word", english) for english in (True, False) for _ in range(20)]
    assert all(is_held_out(card.text) for card in cards) and all(card.text in WORDS for card in cards[:20])


def test_footage_is_cut_without_encoding_it_again() -> None:
    fake, rng = Fake(knowing), np.random.default_rng(0)
    footage = Footage(CLIPS, fake)
    hay = footage.joined(rng, 100)
    assert len(hay.pictures) == len(hay.tokens) == 100 and hay.tokens.sum() == 0
    stretch = footage.stretch(rng, 20)
    assert len(stretch.pictures) == 20 and len({picture.shape for picture in stretch.pictures}) == 1
    assert len(footage.stretch(rng, 1000).pictures) in (30, 40)
    tokens = put(rng, fake, hay, {3: held_out_card(rng, "number", True), 99: held_out_card(rng, "word", True)}, True)
    assert tokens.nonzero().flatten().tolist() == [3, 99] and hay.tokens.sum() == 0


@pytest.fixture(scope="module")
def model() -> VideoXL:
    return VideoXL.from_pretrained("videoxl-nano", device="cpu")


def test_pictures_of_several_sizes_come_back_in_order(model: VideoXL) -> None:
    subject, rng = ModelSubject(model, 16), np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (24 + 8 * (i % 3 == 1), 32, 3), dtype=np.uint8) for i in range(7)]
    alone = torch.cat([model.encode_frames(picture[None]) for picture in pictures])
    torch.testing.assert_close(subject.encode(pictures), alone, atol=1e-4, rtol=1e-4)


def test_a_model_reads_and_chooses_from_memory_and_not_without_it(model: VideoXL) -> None:
    subject, rng = ModelSubject(model, 16), np.random.default_rng(0)
    frames = np.full((20, 64, 64, 3), 127, np.uint8)
    footage = Footage([frames], subject)
    hay, card = footage.joined(rng, 20), held_out_card(rng, "shape", True)
    memory = subject.condense(put(rng, subject, hay, {7: card}, False))
    question = Question("shape", "What shape is on the card?", card.text)
    assert subject.answer(memory, question) == card.text
    zeroed = subject.zeroed(memory)
    assert all(not tensor[:, len(memory.prefix_ids) :].any() for pair in zeroed.layers for tensor in pair)
    assert subject.answer(zeroed, question) != card.text
    assert subject.answer(memory, question) == card.text  # as it was
    options = [text for text in ("circle", "cross", "star") if text != card.text]
    assert subject.choose(memory, question, [*options, card.text]) == len(options)


def test_what_is_read_is_scored_as_it_is_spelled(model: VideoXL) -> None:
    """The tokenizer takes `tower` for `to` and three letters; the model spells all five."""
    subject = ModelSubject(model, 16)
    vocabulary = model.tokenizer.backend.get_vocab()
    assert subject._spelled("tower") == [vocabulary[token] for token in ("t", "##o", "##w", "##e", "##r")]
    assert subject._spelled("Ärger") == []
