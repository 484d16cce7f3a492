"""Interlaced pictures, woven from two moments, in the child process: every second line is of the later one.

bwdif makes a picture of one moment from it and its two neighbours, and of nothing else. So each picture that is wanted
goes through a graph of its own with these: the result is the same wherever decoding began, and the others cost nothing.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_INTERLACED_ORDERS = (2, 3, 4, 5)  # FFmpeg's AVFieldOrder; 0 is unknown and 1 progressive
_ANY = Fraction(1, 25)  # time base of the graph, whose times are not used


def is_interlaced(stream: VideoStream, frame: VideoFrame) -> bool:
    """Return whether pictures of a stream may be interlaced, by its header and the first of them."""
    return frame.interlaced_frame or stream.codec_context.field_order in _INTERLACED_ORDERS


def deinterlaced(frames: Iterator[VideoFrame], is_wanted: Callable[[VideoFrame], bool]) -> Iterator[VideoFrame]:
    """Yield all frames, in order and with their times; those that are wanted and interlaced are of one moment then."""
    before: VideoFrame | None = None
    frame = next(frames, None)
    while frame is not None:
        after = next(frames, None)
        yield of_one_moment(before, frame, after) if is_wanted(frame) else frame
        before, frame = frame, after


def of_one_moment(before: VideoFrame | None, frame: VideoFrame, after: VideoFrame | None) -> VideoFrame:
    """Return a picture of the first of its two moments; itself if it is not interlaced.

    Args:
        before: its neighbour in order of display, if it has one.
        frame: the picture.
        after: its other neighbour.
    """
    if not frame.interlaced_frame:
        return frame
    before, after = _alike(before, frame), _alike(after, frame)
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_ANY)
    graph.link_nodes(
        source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    ).configure()
    if before is not None:
        graph.vpush(before)
    graph.vpush(frame)
    # Alone, it has itself for its neighbour: bwdif then looks at its lines only.
    graph.vpush(frame if before is None and after is None else after)
    if before is not None:
        graph.vpull()
    picture = graph.vpull()
    picture.pts, picture.dts = frame.pts, frame.dts
    picture.colorspace, picture.color_range, picture.color_trc = frame.colorspace, frame.color_range, frame.color_trc
    return picture


def _alike(neighbour: VideoFrame | None, frame: VideoFrame) -> VideoFrame | None:
    """Return the neighbour if a filter can take both: not where the size changes."""
    if neighbour is None:
        return None
    same = (neighbour.width, neighbour.height, neighbour.format.name)
    return neighbour if same == (frame.width, frame.height, frame.format.name) else None
