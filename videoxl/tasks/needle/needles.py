"""Needles: a picture that is inserted into a haystack, and a question that only it answers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ...errors import RunError, VideoError
from ...files import asset, local_path
from ...video.video import Video
from ..text_files import numbered_lines, parse_object, read_text
from .cards import COLOURS, KINDS, SHAPES, Card, plain_card

BUNDLED = "bundled"
LETTERS = "ABCDEFGHIJ"
_ADVICE = "A needle is a JSON object with image, video or card; question; answer; and, optionally, options."
_PUBLISHED_OPTION = re.compile(r"\(([A-Z])\)\s*(.+?)\s*(?=\n|\([A-Z]\)|$)")


@dataclass(frozen=True)
class Needle:
    """A picture and a question about it.

    Args:
        name: its name in results.
        question: the question; without the options, unless `asked_as_is`.
        answer: the right answer; one of the options, if there are any.
        options: answers to choose from, including the right one; may be empty.
        image: a picture file, or a video whose middle frame is used.
        card: the content of a rendered card, in place of `image`.
        asked_as_is: the question is a complete prompt, as in published needle files.
    """

    name: str
    question: str
    answer: str
    options: tuple[str, ...] = ()
    image: Path | None = None
    card: Card | None = None
    asked_as_is: bool = False

    @property
    def letter(self) -> str:
        """The letter of the right option; empty if there are no options."""
        return LETTERS[self.options.index(self.answer)] if self.options else ""

    def picture(self) -> np.ndarray:
        """Return the frame to insert, uint8 RGB [h, w, 3].

        Raises:
            RunError: its file cannot be read.
        """
        if self.card is not None:
            return np.array(plain_card(self.card))
        assert self.image is not None
        return _read_picture(self.image)


def load_needles(source: str | Path) -> tuple[Needle, ...]:
    """Return the needles of a file, after checking that each picture can be read.

    Args:
        source: "bundled"; or a file: JSONL with one needle per line (`image`, `video` or `card`; `question`; `answer`;
            `options`), the reference's object of lists (`retrieval_question`, `answer`, `needle`; its pictures in
            the same folder, in `needles/` there or in `needles/` beside that), or LongVA's list of
            `{path, prompt, answer}`.

    Raises:
        RunError: the file or a picture cannot be read, or a needle lacks a field; the message names it.
    """
    path = bundled_file() if source == BUNDLED else Path(local_path(source))
    text = read_text(path, RunError, "Check the path, or leave --needles out.")
    needles = tuple(_parse(text, path))
    if not needles:
        raise RunError(f"{path}: has no needle", _ADVICE)
    names = [needle.name for needle in needles]
    for name in names:
        if names.count(name) > 1:
            raise RunError(f"{path}: two needles have the name {name!r}", "Give each its own `name`.")
    for needle in needles:
        needle.picture()
    return needles


def bundled_file() -> Path:
    """Return the needle file that comes with the package."""
    return asset("needles") / "needles.jsonl"


def _parse(text: str, path: Path) -> Iterator[Needle]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and "retrieval_question" in content:
        yield from _parse_reference(content, path)
    elif isinstance(content, list):
        for number, entry in enumerate(content, start=1):
            position = f"{path}, needle {number}"
            _require(entry, ("path", "prompt", "answer"), position)
            needle = _with_options(_text(entry, "prompt", position), _text(entry, "answer", position), position)
            name = local_path(str(entry["path"]))  # in the published file, relative to another folder than its own
            is_relative_to_file = (path.parent / name).is_file() or not (path.parent / Path(name).name).is_file()
            file = _existing_file(path.parent, name if is_relative_to_file else Path(name).name, position)
            yield replace(needle, name=f"{number}-{file.stem}", image=file)
    else:
        if text.lstrip().startswith("["):  # one list over several lines: for its error
            parse_object(text, str(path), RunError, _ADVICE)
        for position, line in numbered_lines(text, path):
            yield _parse_needle(parse_object(line, position, RunError, _ADVICE), position, path.parent)


def _parse_needle(entry: dict[str, Any], position: str, folder: Path) -> Needle:
    """Return the needle of a line; paths in it are relative to a folder."""
    _require(entry, ("question", "answer"), position)
    given, answer = entry.get("options", []), _text(entry, "answer", position)
    if not isinstance(given, list) or not all(isinstance(option, str | int) for option in given):
        raise RunError(f"{position}: options are {given!r}, not a list of texts", _ADVICE)
    options = tuple(map(str, given))
    if len(options) == 1 or len(options) > len(LETTERS) or len(set(options)) < len(options):
        raise RunError(f"{position}: options are not two to {len(LETTERS)} different texts", _ADVICE)
    if options and answer not in options:
        if answer not in LETTERS[: len(options)]:
            raise RunError(f"{position}: the answer {answer!r} is not among the options {list(options)}", _ADVICE)
        answer = options[LETTERS.index(answer)]
    needle = Needle("", _text(entry, "question", position), answer, options)
    if "card" in entry:
        needle = replace(needle, name=answer, card=_card(entry["card"], position))
    elif "image" in entry or "video" in entry:
        file = _existing_file(folder, entry.get("image") or entry.get("video"), position)
        needle = replace(needle, name=file.stem, image=file)
    else:
        raise RunError(f"{position}: image, video or card is missing", _ADVICE)
    return replace(needle, name=_text(entry, "name", position) if "name" in entry else needle.name)


def _parse_reference(content: dict[str, Any], path: Path) -> Iterator[Needle]:
    """Yield the needles of the reference's format: lists of prompts with options, of letters, and of picture names."""
    lists = [content.get(key) for key in ("retrieval_question", "answer", "needle")]
    if not all(isinstance(entry, list) for entry in lists) or len({len(entry or []) for entry in lists}) != 1:
        raise RunError(f"{path}: retrieval_question, answer and needle are not lists of one length", _ADVICE)
    for number, (question, answer, file) in enumerate(zip(*lists, strict=True), start=1):
        position = f"{path}, needle {number}"
        needle = _with_options(str(question), str(answer), position)
        if not needle.options:
            raise RunError(f"{position}: the question has no options such as (A)", "Write them into the question.")
        folders = (path.parent, path.parent / "needles", path.parent.parent / "needles")
        folder = next((folder for folder in folders if (folder / str(file)).is_file()), path.parent)
        image = _existing_file(folder, file, position)
        yield replace(needle, name=f"{number}-{image.stem}", image=image)


def _with_options(prompt: str, answer: str, position: str) -> Needle:
    """Return a needle whose prompt is asked as it is; options in it, such as "(A) cooking", are recognised."""
    matches = _PUBLISHED_OPTION.findall(prompt)
    letters, options = [letter for letter, _ in matches], tuple(option.strip() for _, option in matches)
    if len(options) < 2 or letters != list(LETTERS[: len(letters)]):
        return Needle("", prompt, answer, asked_as_is=True)
    if len(set(options)) < len(options):
        raise RunError(f"{position}: two options are the same", _ADVICE)
    if answer not in letters:
        raise RunError(f"{position}: the answer {answer!r} is not among the options {', '.join(letters)}", _ADVICE)
    return Needle("", prompt, options[letters.index(answer)], options, asked_as_is=True)


def _require(entry: Any, keys: tuple[str, ...], position: str) -> None:
    missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
    if missing:
        raise RunError(f"{position}: {', '.join(missing)} is missing", _ADVICE)


def _text(entry: dict[str, Any], key: str, position: str) -> str:
    value = entry[key]
    if not isinstance(value, str | int) or not str(value).strip():
        raise RunError(f"{position}: {key} is {value!r}, not text", _ADVICE)
    return str(value)


def _card(entry: Any, position: str) -> Card:
    _require(entry, ("kind", "text", "colour", "ink"), position)
    card = Card(*(str(entry[key]) for key in ("kind", "text", "colour", "ink")))
    is_drawable = card.text in SHAPES if card.kind == "shape" else card.text.isalnum()
    if (
        card.kind not in KINDS
        or not {card.colour, card.ink} <= set(COLOURS)
        or card.colour == card.ink
        or not is_drawable
    ):
        raise RunError(
            f"{position}: this card cannot be drawn: {entry}",
            f"kind is one of {', '.join(KINDS)}; colour and ink are two of {', '.join(COLOURS)}.",
        )
    return card


def _existing_file(folder: Path, name: Any, position: str) -> Path:
    file = folder / local_path(str(name))
    if not file.is_file():
        raise RunError(f"{position}: no such file {file}", "Paths are relative to the needle file.")
    return file


def _read_picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            picture: Image.Image = opened
            if opened.mode.startswith("I"):  # 16 bits, which Pillow would clip rather than scale
                picture = opened.point(lambda value: value / 257).convert("L")
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            return np.array(Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError):
        pass  # not a picture: perhaps a video
    try:
        video = Video(path)
        plan = video.sample(max_frames=3, fps=None)
        frames = np.concatenate([chunk.frames for chunk in video.read(plan)])
    except VideoError as error:
        raise RunError(f"{path}: this needle is neither a picture nor a video", error.advice) from None
    return frames[len(frames) // 2]
