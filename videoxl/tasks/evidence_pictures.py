"""Pictures of the evidence of answers: one of every span, and a contact sheet of all."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ..errors import VideoError, VideoXLError
from ..files import replace_file
from ..timestamps import format_span, format_timestamp
from ..video.identity import content_digest
from ..video.sampling import SamplingPlan
from ..video.video import Video

if TYPE_CHECKING:
    from ..engine.answer import Answer
    from ..engine.evidence import Evidence
    from .memory_request import LoadedMemory

SHEET = "contact_sheet.png"
_NAME = re.compile(r"\d+-\d+_\d+-\d\d-\d\d\.png")
_MARK = ("Software", "videoxl evidence")  # marks our pictures, because other files may have the same names
_EDGE = 360  # of a picture, the shorter one, in pixels
_CELL_WIDTH, _MARGIN, _LINE = 320, 12, 22


def source_of(loaded_memory: "LoadedMemory", path: str) -> Video:
    """Return the video of a memory; for a saved memory, from the path that it was made from.

    Args:
        loaded_memory: the memory and its origin.
        path: of the video or the saved memory.

    Raises:
        VideoError: the video is missing or has changed, or the memory is not of a file.
    """
    record = loaded_memory.memory.video
    if loaded_memory.origin != "file":
        return Video(path, stream=None if record is None else record.stream)
    if record is None:
        raise VideoError(f"{path}: this memory is not of a video file", "Ask without --evidence.")
    if content_digest(record.path) != record.digest:
        raise VideoError(f"{record.path}: is not the video of {path}", "Give the video in place of the memory.")
    return Video(record.path, stream=record.stream)


def write_evidence(folder: Path, video: Video, answers: Sequence[tuple[str, "Answer"]]) -> list[Path]:
    """Write a picture of the middle of every span, and a contact sheet with one row for each answer.

    Args:
        folder: created if it does not exist. All pictures of an earlier call are replaced, once the new ones are
            complete; other files stay, unless they have the same names.
        video: that the answers are about.
        answers: questions and their answers, in order.

    Returns:
        The pictures, `QUESTION-SPAN_HH-MM-SS.png`, and the sheet; none if no answer has evidence.

    Raises:
        VideoError: the video can no longer be read.
        VideoXLError: the folder cannot be written to.
    """
    times = {middle(span) for _, answer in answers for span in answer.evidence}
    frames = _frames_at(video, sorted(times))
    rows: list[tuple[str, list[tuple[str, Image.Image]]]] = []
    pictures: dict[str, Image.Image] = {}
    for number, (question, answer) in enumerate(answers, 1):
        row = []
        for rank, span in enumerate(answer.evidence, 1):
            picture = frames.get(middle(span))
            if picture is not None:  # else it could not be decoded, and is left out
                pictures[f"{number}-{rank}_{format_timestamp(middle(span)).replace(':', '-')}.png"] = picture
                row.append((f"{format_span(span.start, span.end)}   {span.score:.0%}", picture))
        rows.append((f"{number}. {question}  {answer.text}", row))
    if pictures:
        pictures[SHEET] = contact_sheet(rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace_pictures(folder, pictures)
    except OSError as error:
        raise VideoXLError(f"{folder}: cannot be written to ({error.strerror})", "Give another folder.") from None
    return [folder / name for name in pictures]


def middle(span: "Evidence") -> float:
    """Return the middle of a span in seconds."""
    return (span.start + span.end) / 2


def contact_sheet(rows: Sequence[tuple[str, Sequence[tuple[str, Image.Image]]]]) -> Image.Image:
    """Return a contact sheet: rows with a title, of pictures with captions."""
    font = ImageFont.load_default(size=16)
    cells = [
        (title, [(caption, p.resize((_CELL_WIDTH, round(p.height * _CELL_WIDTH / p.width)))) for caption, p in row])
        for title, row in rows
    ]
    columns = max((len(row) for _, row in cells), default=0)
    width = _MARGIN + max(columns, 2) * (_CELL_WIDTH + _MARGIN)
    heights = [_LINE + max((p.height + _LINE for _, p in row), default=0) + _MARGIN for _, row in cells]
    sheet = Image.new("RGB", (width, _MARGIN + sum(heights)), "white")
    draw, top = ImageDraw.Draw(sheet), _MARGIN
    for (title, row), height in zip(cells, heights, strict=True):
        draw.text((_MARGIN, top), _shortened(title, font, width - 2 * _MARGIN), "black", font)
        for column, (caption, picture) in enumerate(row):
            left = _MARGIN + column * (_CELL_WIDTH + _MARGIN)
            sheet.paste(picture, (left, top + _LINE))
            draw.text((left, top + _LINE + picture.height), caption, "dimgray", font)
        top += height
    return sheet


def _frames_at(video: Video, times: Sequence[float]) -> dict[float, Image.Image]:
    """Return the pictures on screen at the given times, as far as they can be decoded."""
    if not times:
        return {}
    plans = [video.sample(1, start=time, end=time + 1e-3) for time in times]
    index_of = {time: int(plan.indices[0]) for time, plan in zip(times, plans, strict=True)}
    indices, first = np.unique(np.concatenate([plan.indices for plan in plans]), return_index=True)
    all_times = np.concatenate([plan.times for plan in plans])[first]
    decoded: dict[int, Image.Image] = {}
    with video.read(SamplingPlan(indices, all_times, "uniform"), size=_EDGE) as reader:
        for chunk in reader:
            decoded |= {int(i): Image.fromarray(frame) for i, frame in zip(chunk.indices, chunk.frames, strict=True)}
    return {time: decoded[index] for time, index in index_of.items() if index in decoded}


def _shortened(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    """Return a text, shortened to a width in pixels."""
    text = " ".join(text.split())[:500]
    if font.getlength(text) <= width:
        return text
    while font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _replace_pictures(folder: Path, pictures: dict[str, Image.Image]) -> None:
    """Replace earlier pictures by new ones, the sheet last.

    Even if this is interrupted, a sheet is never beside other pictures than those on it.
    """
    mark = PngInfo()
    mark.add_text(*_MARK)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".evidence.") as temporary:
        for name, picture in pictures.items():
            picture.save(Path(temporary, name), "PNG", pnginfo=mark)
        for path in sorted(_earlier_pictures(folder), key=lambda path: path.name != SHEET):
            if path.name == SHEET or path.name not in pictures:
                path.unlink()
        for name in pictures:
            replace_file(Path(temporary, name), folder / name)


def _earlier_pictures(folder: Path) -> Iterator[Path]:
    """Yield the pictures in a folder that an earlier call wrote, by their names and metadata."""
    for path in folder.iterdir():
        if path.name == SHEET or _NAME.fullmatch(path.name):
            try:
                with Image.open(path) as picture:
                    is_ours = picture.info.get(_MARK[0]) == _MARK[1]
            except (OSError, ValueError, Image.DecompressionBombError):  # not a picture, or a folder
                is_ours = False
            if is_ours:
                yield path
