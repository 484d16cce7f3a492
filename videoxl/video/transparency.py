"""Transparent pictures, in the child process: shown over white, as a page would. What is transparent is often black."""

import numpy as np
from av import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders of these leave the transparency out


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether a picture may be transparent."""
    return any(component.is_alpha for component in frame.format.components)


def decoder_of(stream: VideoStream) -> VideoCodecContext:
    """Return what decodes a stream: its own decoder, or for WebM with transparency one that sees it."""
    own = stream.codec_context
    name = _WITH_ALPHA.get(own.codec.canonical_name) if stream.metadata.get("alpha_mode") == "1" else None
    if name is None:
        return own
    decoder = CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    return decoder


def over_white(frame: VideoFrame) -> VideoFrame:
    """Return an opaque picture, RGB of 8 bits; at full size, so that no hidden colour is mixed in by scaling."""
    rgba = frame.reformat(format="rgba").to_ndarray()
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    opaque = VideoFrame.from_ndarray(mixed.astype(np.uint8), format="rgb24")
    opaque.pts, opaque.time_base, opaque.color_trc = frame.pts, frame.time_base, frame.color_trc
    return opaque
