"""HDR pictures on the scale of SDR ones, in the child process.

PQ and HLG (ITU-R BT.2100) encode how much light a picture has, up to that of highlights; read as SDR codes, all else is
too dark. What is done about it, step by step:

    codes to light    PQ by its EOTF; HLG by its inverse OETF, and its OOTF for a screen of 1000 nits
    roll-off          the EETF of ITU-R BT.2390, from a screen of 1000 nits to one of 203 nits, on each of R, G and B:
                      up to 86 nits nothing changes, what is brighter is compressed
    colours           from the primaries of BT.2020 to those of BT.709; what is beyond these is cut off
    light to codes    the inverse of ITU-R BT.1886 (gamma 2.4), where SDR white is 203 nits, the reference white of HDR
                      by ITU-R BT.2408

So grey and skin look as in SDR, and reference white becomes 230 of 255: the rest is for highlights. That is what
players do that roll off by BT.2390. Each step but the colours is a table.
"""

import functools

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, ColorTrc, VideoReformatter

from .messages import Transfer

WHITE_NITS = 203.0
_PEAK_NITS = 1000.0  # of HLG's reference screen and of most PQ masters; what is above is white
_CODE_ONE = 255 * 256  # what swscale makes of the code for 1 when it writes 16 bit
_UNSPECIFIED = 2  # FFmpeg's AVCOL_SPC_UNSPECIFIED
_STEPS = 1 << 16  # of tables that begin with the square root of light, which is fine where eyes are
_FROM_BT2020 = np.array(  # ITU-R BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020
_HLG_GAMMA = 1.2  # of its OOTF at the peak above


def transfer_of(frame: VideoFrame) -> Transfer:
    """Return how a picture's codes mean light; all that is not HDR counts as SDR, with or without tags."""
    hdr: dict[int, Transfer] = {ColorTrc.SMPTE2084: "pq", ColorTrc.ARIB_STD_B67: "hlg"}
    return hdr.get(frame.color_trc, "sdr")


def scaled_codes(reformatter: VideoReformatter, frame: VideoFrame, width: int, height: int) -> np.ndarray:
    """Return the codes of an HDR picture at another size, uint16 RGB [h, w, 3]; BT.2020 is its matrix unless tagged."""
    untagged = frame.colorspace == _UNSPECIFIED
    matrix = Colorspace.BT2020 if untagged else None
    return reformatter.reformat(
        frame, width, height, "rgb48le", src_colorspace=matrix, interpolation="BICUBIC"
    ).to_ndarray()


def to_sdr(codes: np.ndarray, transfer: Transfer) -> np.ndarray:
    """Return SDR codes of HDR ones.

    Args:
        codes: uint16 RGB [h, w, 3] in the primaries of BT.2020, as swscale writes them.
        transfer: "pq" or "hlg".

    Returns:
        uint8 RGB [h, w, 3].
    """
    if transfer == "pq":
        light = _pq_table()[codes]
    else:
        scene = _hlg_table()[codes]
        shown = scene * (scene @ _LUMINANCE)[..., None] ** (_HLG_GAMMA - 1)
        light = _roll_off_table()[_root_index(shown)]
    return _code_table()[_root_index(light @ _FROM_BT2020.T)]


def _root_index(light: np.ndarray) -> np.ndarray:
    return (np.sqrt(np.clip(light, 0, 1)) * (_STEPS - 1) + 0.5).astype(np.uint16)


@functools.cache
def _pq_table() -> np.ndarray:
    """Return float32 light after the roll-off, SDR white being 1, by PQ code."""
    return _rolled_off(np.minimum(np.arange(1 << 16) / _CODE_ONE, 1.0))


@functools.cache
def _hlg_table() -> np.ndarray:
    """Return float32 light of the scene, at most 1, by HLG code."""
    code = np.minimum(np.arange(1 << 16) / _CODE_ONE, 1.0)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)


@functools.cache
def _roll_off_table() -> np.ndarray:
    """Return float32 light after the roll-off by the square root of light before it, of which the peak is 1."""
    return _rolled_off(_pq_code(_PEAK_NITS * (np.arange(_STEPS) / (_STEPS - 1)) ** 2))


@functools.cache
def _code_table() -> np.ndarray:
    """Return uint8 SDR codes by the square root of light."""
    return np.round(255 * (np.arange(_STEPS) / (_STEPS - 1)) ** (2 / 2.4)).astype(np.uint8)


def _rolled_off(pq_code: np.ndarray) -> np.ndarray:
    """Return light as an SDR screen shows it, its white being 1: the EETF of BT.2390 with black at 0."""
    peak, white = _pq_code(np.array([_PEAK_NITS, WHITE_NITS]))
    code, highest = np.minimum(pq_code / peak, 1.0), white / peak
    knee = 1.5 * highest - 0.5
    t = (code - knee) / (1 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * highest
    return (_pq_nits(np.where(code < knee, code, curve) * peak) / WHITE_NITS).astype(np.float32)


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_nits(code: np.ndarray) -> np.ndarray:
    root = code ** (1 / _M2)
    return 10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _pq_code(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
