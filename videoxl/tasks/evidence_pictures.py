"""Pictures of where answers come from: one of every span, and a sheet with all of them."""

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
_MARK = ("Software", "videoxl evidence")  # by which our pictures are known, whatever others have the same names
_EDGE = 360  # of a picture, the shorter one, in pixels
_CELL_WIDTH, _MARGIN, _LINE = 320, 12, 22


def source_of(loaded_memory: "LoadedMemory", path: str) -> Video:
    """Return the video that a memory is of; of a saved memory, where it was when it was watched.

    Args:
        loaded_memory: the memory, and where it came from.
        path: of the video or the saved memory.

    Raises:
        VideoError: the video is not there any more, has changed, or the memory is of no file.
    """
    record = loaded_memory.memory.video
    if loaded_memory.origin != "file":
        return Video(path, stream=None if record is None else record.stream)
    if record is None:
        raise VideoError(f"{path}: is the memory of no video file", "Ask without --evidence.")
    if content_digest(record.path) != record.digest:
        raise VideoError(f"{record.path}: is not the video that {path} is of", "Give the video in place of the memory.")
    return Video(record.path, stream=record.stream)


def write_evidence(folder: Path, video: Video, answers: Sequence[tuple[str, "Answer"]]) -> list[Path]:
    """Write a picture of the middle of every span, and a sheet with one row of them for each answer.

    Args:
        folder: made if it is not there. Pictures that an earlier call wrote there are replaced, all of them and not
            before the new ones are whole; other files stay, unless they have the same names.
        video: what was watched.
        answers: questions and their answers, in order.

    Returns:
        The pictures, `QUESTION-SPAN_HH-MM-SS.png`, and the sheet; none if no answer has evidence.

    Raises:
        VideoError: the video cannot be read any more.
        VideoXLError: the folder cannot be written to.
    """
    times = {middle(span) for _, answer in answers for span in answer.evidence}
    frames = _frames_at(video, sorted(times))
    rows: list[tuple[str, list[tuple[str, Image.Image]]]] = []
    made: dict[str, Image.Image] = {}
    for number, (question, answer) in enumerate(answers, 1):
        row = []
        for rank, span in enumerate(answer.evidence, 1):
            picture = frames.get(middle(span))
            if picture is not None:  # else it could not be decoded, and nothing stands for it
                made[f"{number}-{rank}_{format_timestamp(middle(span)).replace(':', '-')}.png"] = picture
                row.append((f"{format_span(span.start, span.end)}   {span.score:.0%}", picture))
        rows.append((f"{number}. {question}  {answer.text}", row))
    if made:
        made[SHEET] = contact_sheet(rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace_pictures(folder, made)
    except OSError as error:
        raise VideoXLError(f"{folder}: cannot be written to ({error.strerror})", "Give another folder.") from None
    return [folder / name for name in made]


def middle(span: "Evidence") -> float:
    """Return the time in seconds that stands for a span."""
    return (span.start + span.end) / 2


def contact_sheet(rows: Sequence[tuple[str, Sequence[tuple[str, Image.Image]]]]) -> Image.Image:
    """Return one picture of many: rows with a title, of pictures with a caption."""
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
        draw.text((_MARGIN, top), _fitted(title, font, width - 2 * _MARGIN), "black", font)
        for column, (caption, picture) in enumerate(row):
            left = _MARGIN + column * (_CELL_WIDTH + _MARGIN)
            sheet.paste(picture, (left, top + _LINE))
            draw.text((left, top + _LINE + picture.height), caption, "dimgray", font)
        top += height
    return sheet


def _frames_at(video: Video, times: Sequence[float]) -> dict[float, Image.Image]:
    """Return the pictures on screen at some times, as far as they can be decoded."""
    if not times:
        return {}
    plans = [video.sample(1, start=time, end=time + 1e-3) for time in times]
    index_of = {time: int(plan.indices[0]) for time, plan in zip(times, plans, strict=True)}
    indices, first = np.unique(np.concatenate([plan.indices for plan in plans]), return_index=True)
    all_times = np.concatenate([plan.times for plan in plans])[first]
    found: dict[int, Image.Image] = {}
    with video.read(SamplingPlan(indices, all_times, "uniform"), size=_EDGE) as reader:
        for chunk in reader:
            found |= {int(i): Image.fromarray(frame) for i, frame in zip(chunk.indices, chunk.frames, strict=True)}
    return {time: found[index] for time, index in index_of.items() if index in found}


def _fitted(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    """Return as much of a text as fits into so many pixels."""
    text = " ".join(text.split())[:500]
    if font.getlength(text) <= width:
        return text
    while font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _replace_pictures(folder: Path, made: dict[str, Image.Image]) -> None:
    """Put pictures, the sheet last among them, in the place of what was written there before.

    Whatever ends this half-way, a sheet is only ever beside the pictures that are on it.
    """
    mark = PngInfo()
    mark.add_text(*_MARK)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".evidence.") as whole:
        for name, picture in made.items():
            picture.save(Path(whole, name), "PNG", pnginfo=mark)
        for path in sorted(_written_before(folder), key=lambda path: path.name != SHEET):
            if path.name == SHEET or path.name not in made:
                path.unlink()
        for name in made:
            replace_file(Path(whole, name), folder / name)


def _written_before(folder: Path) -> Iterator[Path]:
    """Yield the pictures in a folder that are ours by their name and by what stands in them."""
    for path in folder.iterdir():
        if path.name == SHEET or _NAME.fullmatch(path.name):
            try:
                with Image.open(path) as picture:
                    is_ours = picture.info.get(_MARK[0]) == _MARK[1]
            except (OSError, ValueError, Image.DecompressionBombError):  # no picture, or a folder
                is_ours = False
            if is_ours:
                yield path
