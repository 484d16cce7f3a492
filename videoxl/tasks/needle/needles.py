"""What is put into a haystack: one picture, and a question that only it answers."""

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
from .cards import COLOURS, KINDS, SHAPES, Card, plain_card

BUNDLED = "bundled"
LETTERS = "ABCDEFGHIJ"
_ADVICE = "A needle is a JSON object with image, video or card; question; answer; and options, if there are any."
_PUBLISHED_OPTION = re.compile(r"\(([A-Z])\)\s*(.+?)\s*(?=\n|\([A-Z]\)|$)")


@dataclass(frozen=True)
class Needle:
    """A picture and what is asked about it.

    Args:
        name: how results call it.
        question: as put to the model; without the options, unless `asked_as_is`.
        answer: the right one: one of the options, if there are any.
        options: answers to choose from, the right one among them; may be empty.
        image: a picture file, or a video whose middle frame is taken.
        card: or what a rendered card shows.
        asked_as_is: the question is a whole prompt already, as in published needle files.
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
        """The letter of the right option; empty without options."""
        return LETTERS[self.options.index(self.answer)] if self.options else ""

    def picture(self) -> np.ndarray:
        """Return the frame that is put in, uint8 RGB [h, w, 3].

        Raises:
            RunError: its file cannot be read.
        """
        if self.card is not None:
            return np.array(plain_card(self.card))
        assert self.image is not None
        return _from_file(self.image)


def load_needles(source: str | Path) -> tuple[Needle, ...]:
    """Return the needles of a file, each with a picture that can be read.

    Args:
        source: "bundled"; or a file: JSONL with one needle a line (`image`, `video` or `card`; `question`; `answer`;
            `options`), the reference's object of lists (`retrieval_question`, `answer`, `needle`; its pictures in
            the same folder, in `needles/` there or in `needles/` beside that), or LongVA's list of
            `{path, prompt, answer}`.

    Raises:
        RunError: the file or a picture cannot be read, or a needle lacks something; the message names it.
    """
    path = bundled_file() if source == BUNDLED else Path(local_path(source))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RunError(
            f"{path}: the needles cannot be read ({why})", "Check the path, or leave --needles out."
        ) from None
    needles = tuple(_parsed(text, path))
    if not needles:
        raise RunError(f"{path}: there is no needle in it", _ADVICE)
    names = [needle.name for needle in needles]
    for name in names:
        if names.count(name) > 1:
            raise RunError(f"{path}: two needles are called {name!r}", "Give each a `name` of its own.")
    for needle in needles:
        needle.picture()
    return needles


def bundled_file() -> Path:
    """Return the needle file that comes with the package."""
    return asset("needles") / "needles.jsonl"


def _parsed(text: str, path: Path) -> Iterator[Needle]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and "retrieval_question" in content:
        yield from _of_reference(content, path)
    elif isinstance(content, list):
        for number, entry in enumerate(content, start=1):
            where = f"{path}, needle {number}"
            _require(entry, ("path", "prompt", "answer"), where)
            needle = _with_options(_text(entry, "prompt", where), _text(entry, "answer", where), where)
            given = local_path(str(entry["path"]))  # the published file's is relative to another folder than its own
            beside = (path.parent / given).is_file() or not (path.parent / Path(given).name).is_file()
            file = _existing(path.parent, given if beside else Path(given).name, where)
            yield replace(needle, name=f"{number}-{file.stem}", image=file)
    else:
        if text.lstrip().startswith("["):
            raise RunError(f"{path}: this list is no JSON ({_problem(text)})", _ADVICE)
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield _of_line(line, number, path)


def _problem(text: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return "not what was expected"


def _of_line(line: str, number: int, path: Path) -> Needle:
    where = f"{path}, line {number}"
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise RunError(f"{where}: this is no JSON ({_problem(line)})", _ADVICE) from None
    _require(entry, ("question", "answer"), where)
    listed, answer = entry.get("options", []), _text(entry, "answer", where)
    if not isinstance(listed, list) or not all(isinstance(option, str | int) for option in listed):
        raise RunError(f"{where}: options are {listed!r}, no list of texts", _ADVICE)
    options = tuple(map(str, listed))
    if len(options) == 1 or len(options) > len(LETTERS) or len(set(options)) < len(options):
        raise RunError(f"{where}: options are not two to {len(LETTERS)} different texts", _ADVICE)
    if options and answer not in options:
        if answer not in LETTERS[: len(options)]:
            raise RunError(f"{where}: the answer {answer!r} is not among the options {list(options)}", _ADVICE)
        answer = options[LETTERS.index(answer)]
    needle = Needle("", _text(entry, "question", where), answer, options)
    if "card" in entry:
        needle = replace(needle, name=answer, card=_card(entry["card"], where))
    elif "image" in entry or "video" in entry:
        file = _existing(path.parent, entry.get("image") or entry.get("video"), where)
        needle = replace(needle, name=file.stem, image=file)
    else:
        raise RunError(f"{where}: there is no image, video or card", _ADVICE)
    return replace(needle, name=_text(entry, "name", where) if "name" in entry else needle.name)


def _of_reference(content: dict[str, Any], path: Path) -> Iterator[Needle]:
    """Yield the needles of the reference's form: lists of prompts with their options, letters, and picture names."""
    lists = [content.get(key) for key in ("retrieval_question", "answer", "needle")]
    if not all(isinstance(entry, list) for entry in lists) or len({len(entry or []) for entry in lists}) != 1:
        raise RunError(f"{path}: retrieval_question, answer and needle are not lists of one length", _ADVICE)
    for number, (question, answer, file) in enumerate(zip(*lists, strict=True), start=1):
        where = f"{path}, needle {number}"
        needle = _with_options(str(question), str(answer), where)
        if not needle.options:
            raise RunError(f"{where}: the question has no options such as (A)", "Write them into the question.")
        folders = (path.parent, path.parent / "needles", path.parent.parent / "needles")
        found = next((folder for folder in folders if (folder / str(file)).is_file()), path.parent)
        image = _existing(found, file, where)
        yield replace(needle, name=f"{number}-{image.stem}", image=image)


def _with_options(prompt: str, answer: str, where: str) -> Needle:
    """Return a needle whose prompt is asked as it is; options in it, such as "(A) cooking", are taken note of."""
    found = _PUBLISHED_OPTION.findall(prompt)
    letters, options = [letter for letter, _ in found], tuple(option.strip() for _, option in found)
    if len(options) < 2 or letters != list(LETTERS[: len(letters)]):
        return Needle("", prompt, answer, asked_as_is=True)
    if len(set(options)) < len(options):
        raise RunError(f"{where}: two options are the same", _ADVICE)
    if answer not in letters:
        raise RunError(f"{where}: the answer {answer!r} is not among the options {', '.join(letters)}", _ADVICE)
    return Needle("", prompt, options[letters.index(answer)], options, asked_as_is=True)


def _require(entry: Any, keys: tuple[str, ...], where: str) -> None:
    missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
    if missing:
        raise RunError(f"{where}: {', '.join(missing)} is missing", _ADVICE)


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry[key]
    if not isinstance(value, str | int) or not str(value).strip():
        raise RunError(f"{where}: {key} is {value!r}, no text", _ADVICE)
    return str(value)


def _card(entry: Any, where: str) -> Card:
    _require(entry, ("kind", "text", "colour", "ink"), where)
    card = Card(*(str(entry[key]) for key in ("kind", "text", "colour", "ink")))
    shown = card.text in SHAPES if card.kind == "shape" else card.text.isalnum()
    if card.kind not in KINDS or not {card.colour, card.ink} <= set(COLOURS) or card.colour == card.ink or not shown:
        raise RunError(
            f"{where}: no card of this kind can be drawn: {entry}",
            f"kind is one of {', '.join(KINDS)}; colour and ink are two of {', '.join(COLOURS)}.",
        )
    return card


def _existing(folder: Path, name: Any, where: str) -> Path:
    file = folder / local_path(str(name))
    if not file.is_file():
        raise RunError(f"{where}: there is no file {file}", "Paths are relative to the needle file.")
    return file


def _from_file(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            picture: Image.Image = opened
            if opened.mode.startswith("I"):  # 16 bit, which Pillow would cut off rather than scale
                picture = opened.point(lambda value: value / 257).convert("L")
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            return np.array(Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError):
        pass  # no picture: perhaps a video
    try:
        video = Video(path)
        plan = video.sample(max_frames=3, fps=None)
        frames = np.concatenate([chunk.frames for chunk in video.read(plan)])
    except VideoError as error:
        raise RunError(f"{path}: this needle is neither a picture nor a video", error.advice) from None
    return frames[len(frames) // 2]
