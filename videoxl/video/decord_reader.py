"""Reading chosen frames with decord, in the child process."""

import os
from collections.abc import Callable, Iterator

import numpy as np

from .messages import DecodeRequest
from .pyav_reader import Picture

_BATCH_PIXELS = 1.8e9  # decoded per call, about 2000 pictures of 1280x720: decord reports nothing until a call ends


class DecordFailure(Exception):
    """decord cannot read the file, or reported damage, which it otherwise hides."""


def read_with_decord(request: DecodeRequest, heartbeat: Callable[[int], None]) -> Iterator[Picture]:
    """Yield the wanted frames in order.

    Two settings matter. One thread: with decord's default number VP9 fails. And a seek to the beginning after each
    batch: decord otherwise continues to decode all that is queued, and grows to gigabytes while the model works.

    Raises:
        DecordFailure: with the reason; the frames yielded before are right.
    """
    try:
        import decord
    except (ImportError, OSError) as error:
        raise DecordFailure(f"decord cannot be imported ({error})") from error
    info = request.info
    log_begin = os.fstat(2).st_size
    try:
        reader = decord.VideoReader(
            info.location, ctx=decord.cpu(0), num_threads=1, width=request.width, height=request.height
        )
        if len(reader) != len(info.pts):
            raise DecordFailure(f"decord counts {len(reader)} frames instead of {len(info.pts)}")
        for positions in _batches(request):
            frames = reader.get_batch(request.indices[positions].tolist()).asnumpy()
            reader.seek(0)
            # Healthy files leave nothing on decord's stderr. After damage it returns copies of other frames.
            if os.fstat(2).st_size != log_begin:
                raise DecordFailure("decord reported damage")
            heartbeat(len(frames))
            for position, frame in zip(positions, frames, strict=True):
                yield int(position), frame, False
    except (RuntimeError, decord.DECORDError) as error:
        raise DecordFailure(f"decord failed: {str(error).strip().splitlines()[0]}") from error


def _batches(request: DecodeRequest) -> Iterator[np.ndarray]:
    """Yield runs of positions, each within the request's chunk and within what decord may decode in one call."""
    indices = request.indices
    keys = np.flatnonzero(request.info.keyframes)
    key_before = keys[np.searchsorted(keys, indices, side="right") - 1]
    reached = np.concatenate([[0], indices[:-1]])
    pixels = (indices - np.maximum(key_before, reached) + 1.0) * request.info.width * request.info.height
    begin, cost = request.first, 0.0
    for position in range(request.first, len(indices)):
        cost += pixels[position]
        if position - begin == request.chunk or (cost > _BATCH_PIXELS and position > begin):
            yield np.arange(begin, position)
            begin, cost = position, pixels[position]
    yield np.arange(begin, len(indices))
