"""Colours: HDR on the scale of SDR, against the standards' formulas; and what SDR files say about their codes."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorTrc
from odd_pictures import make_odd_pictures

from videoxl import Video
from videoxl.errors import VideoError

TRANSFERS = {"pq": ColorTrc.SMPTE2084, "hlg": ColorTrc.ARIB_STD_B67}
BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))  # red, green, blue
BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
SKIN = [(224, 172, 140), (198, 134, 107), (141, 85, 66), (80, 46, 35)]  # SDR codes
TWO_CODES = 2.5  # of 255


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Return the matrix from linear RGB to XYZ, white being D65 (SMPTE RP 177)."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


WIDE_TO_709 = np.linalg.solve(to_xyz(BT709), to_xyz(BT2020))


def pq_of(nits: float) -> float:
    """SMPTE ST 2084, inverse EOTF."""
    y = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def nits_of_pq(code: float) -> float:
    """SMPTE ST 2084, EOTF."""
    n = code ** (1 / 78.84375)
    return 10000 * (max(n - 0.8359375, 0) / (18.8515625 - 18.6875 * n)) ** (1 / 0.1593017578125)


def nits_of_hlg(rgb: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100: inverse OETF, and OOTF for a screen of 1000 nits."""
    scene = [c * c / 3 if c <= 0.5 else (np.exp((c - 0.55991073) / 0.17883277) + 0.28466892) / 12 for c in rgb]
    return 1000 * np.dot([0.2627, 0.6780, 0.0593], scene) ** 0.2 * np.array(scene)


def eetf(nits: float, source: float = 1000, target: float = 203) -> float:
    """ITU-R BT.2390, 5.4.1, black levels 0."""
    e1, top = min(pq_of(nits) / pq_of(source), 1), pq_of(target) / pq_of(source)
    ks = 1.5 * top - 0.5
    if e1 > ks:
        t = (e1 - ks) / (1 - ks)
        e1 = (2 * t**3 - 3 * t**2 + 1) * ks + (t**3 - 2 * t**2 + t) * (1 - ks) + (3 * t**2 - 2 * t**3) * top
    return nits_of_pq(e1 * pq_of(source))


def expected(rgb: np.ndarray, transfer: str) -> np.ndarray:
    """Return SDR codes of HDR ones, one colour at a time."""
    nits = nits_of_hlg(rgb) if transfer == "hlg" else [nits_of_pq(code) for code in rgb]
    light = WIDE_TO_709 @ [eetf(each) / 203 for each in nits]
    return 255 * np.clip(light, 0, 1) ** (1 / 2.4)


def pq_codes(sdr: tuple[int, int, int]) -> list[float]:
    """Return PQ codes that show an SDR colour whose white is 203 nits."""
    light = np.linalg.solve(WIDE_TO_709, (np.array(sdr) / 255) ** 2.4)
    return [pq_of(203 * each) for each in light]


def shown(path: Path, num_patches: int, decoder: str = "auto") -> np.ndarray:
    """Return the colours of columns of the same width, float [n, 3]."""
    video = Video(path, decoder=decoder)
    (chunk,) = video.read(video.sample(1), size=16)
    columns = chunk.frames[0].astype(float).mean(axis=0)
    middles = ((np.arange(num_patches) + 0.5) * len(columns) / num_patches).astype(int)
    return columns[middles]


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_hdr_is_shown_as_the_standards_say(tmp_path: Path, transfer: str) -> None:
    greys = [[code] * 3 for code in (0.0, 0.1, 0.2, 0.3, 0.38, 0.5, 0.58, 0.65, 0.75, 0.9, 1.0)]
    colours = [[0.6, 0.3, 0.3], [0.3, 0.6, 0.3], [0.3, 0.3, 0.6], *(pq_codes(each) for each in SKIN)]
    patches = np.array(greys + colours)
    path = make_odd_pictures.hdr(tmp_path / "hdr.mp4", TRANSFERS[transfer], patches)
    golden = np.array([expected(patch, transfer) for patch in patches])
    np.testing.assert_allclose(shown(path, len(patches)), golden, atol=TWO_CODES)


@pytest.mark.parametrize(("transfer", "white", "grey"), [("pq", 0.5807, 0.3800), ("hlg", 0.75, 0.38)])
def test_white_is_bright_and_grey_is_grey(tmp_path: Path, transfer: str, white: float, grey: float) -> None:
    """By ITU-R BT.2408 these are the codes of white at 203 nits and of an 18 % grey card at 26 nits."""
    patches = np.array([[white] * 3, [grey] * 3, [1.0] * 3])
    path = make_odd_pictures.hdr(tmp_path / "hdr.mp4", TRANSFERS[transfer], patches)
    brightness = shown(path, 3).mean(axis=1)
    assert brightness[0] == pytest.approx(230, abs=2)  # it was 146: the rest up to 255 is for highlights
    assert brightness[1] == pytest.approx(255 * 0.425, abs=3)  # the grey card of SDR
    assert brightness[2] >= 253


def test_skin_below_the_knee_is_what_it_is_in_sdr(tmp_path: Path) -> None:
    path = make_odd_pictures.hdr(tmp_path / "hdr.mp4", patches=np.array([pq_codes(each) for each in SKIN[2:]]))
    np.testing.assert_allclose(shown(path, 2), SKIN[2:], atol=TWO_CODES)


def test_a_matrix_that_is_not_tagged_is_that_of_hdr(tmp_path: Path) -> None:
    patches = np.array([[0.6, 0.3, 0.3], [0.3, 0.6, 0.3]])
    tagged = make_odd_pictures.hdr(tmp_path / "tagged.mp4", patches=patches)
    bare = make_odd_pictures.hdr(tmp_path / "bare.mp4", patches=patches, tagged=False)
    np.testing.assert_array_equal(shown(bare, 2), shown(tagged, 2))


def test_decord_is_refused_for_hdr(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="HDR"):
        Video(make_odd_pictures.hdr(tmp_path / "hdr.mp4"), decoder="decord")


SDR = {  # colorspace and range as FFmpeg numbers them: weights of red and blue, offset and gain of luma
    "bt709": (1, 1, 0.2126, 0.0722),
    "bt601": (6, 1, 0.299, 0.114),
    "bt709-full": (1, 2, 0.2126, 0.0722),
    "bt601-full": (5, 2, 0.299, 0.114),
    "untagged": (2, 0, 0.299, 0.114),  # FFmpeg takes it for BT.601, whatever its size is
}


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("tags", SDR)
def test_matrix_and_range_of_sdr_are_honoured(tmp_path: Path, tags: str, decoder: str) -> None:
    colorspace, color_range, kr, kb = SDR[tags]
    colours = np.array([(200, 60, 40), (60, 180, 60), (50, 60, 200), (250, 250, 250), (30, 30, 30)]) / 255
    luma = colours @ (kr, 1 - kr - kb, kb)
    chroma = [(colours[:, 2] - luma) / (2 - 2 * kb), (colours[:, 0] - luma) / (2 - 2 * kr)]
    is_full = color_range == 2
    planes = [255 * luma if is_full else 16 + 219 * luma, *(128 + (255 if is_full else 224) * each for each in chroma)]
    frame = av.VideoFrame(32 * len(colours), 32, "yuv420p")
    for plane, codes in zip(frame.planes, planes, strict=True):
        row = np.zeros(plane.line_size, np.uint8)
        row[: plane.width] = np.repeat(np.round(codes), plane.width // len(colours))
        plane.update(np.tile(row, plane.height).tobytes())
    path = tmp_path / "sdr.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        for each in (stream.codec_context, frame):
            each.colorspace, each.color_range = colorspace, color_range
        for number in range(2):
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    np.testing.assert_allclose(shown(path, len(colours), decoder), 255 * colours, atol=4)
