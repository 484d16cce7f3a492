"""Video files written by the tests: frames, times, sizes, damage, refusals."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from video_clips import read_numbers, write_clip, write_numbered, write_sound

from videoxl.errors import VideoError
from videoxl.video.reader import FrameChunk
from videoxl.video.video import Video

DECODERS = ["decord", "pyav"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 numbered frames, B-frames, a key frame every 24."""
    return write_numbered(tmp_path_factory.mktemp("clips") / "clip.mp4", 300, g="24", bf="2", x264opts="no-scenecut")


def read_all(video: Video, plan, **options) -> tuple[FrameChunk, object]:
    reader = video.read(plan, **options)
    chunks = list(reader)
    joined = FrameChunk(*(np.concatenate([getattr(c, n) for c in chunks]) for n in ("frames", "times", "indices")))
    return joined, reader.report


def test_facts(clip: Path) -> None:
    video = Video(clip)
    assert (video.width, video.height, video.codec, video.container) == (160, 64, "h264", "mov")
    assert video.num_frames == 300
    assert video.fps == pytest.approx(30)
    assert video.duration == pytest.approx(10)


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_frame_once_in_order(clip: Path, decoder: str) -> None:
    video = Video(clip, decoder=decoder)
    plan = video.sample(max_frames=1000)
    reader = video.read(plan, chunk=32)
    sizes = [len(piece.times) for piece in reader]
    assert sizes == [32] * 9 + [12]
    read, report = read_all(video, plan, chunk=32)
    assert read_numbers(read.frames) == list(range(300)) == read.indices.tolist()
    np.testing.assert_allclose(read.times, np.arange(300) / 30, atol=1e-9)
    assert (report.decoder, report.frames_decoded, report.frames_lost, report.warnings) == (decoder, 300, 0, ())


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("count", [1, 2, 7, 40, 150])
def test_sparse_frames_are_the_planned_ones(clip: Path, decoder: str, count: int) -> None:
    video = Video(clip, decoder=decoder)
    plan = video.sample(max_frames=count)
    read, _ = read_all(video, plan, chunk=16)
    assert read_numbers(read.frames) == np.linspace(0, 299, count, dtype=int).tolist()


@pytest.mark.parametrize(
    "name, options",
    [
        ("open_gop.mp4", {"g": "20", "bf": "3", "x264opts": "open-gop=1:no-scenecut=1"}),
        ("mpeg4.avi", {"codec": "mpeg4", "bf": "2", "g": "15"}),
        ("mpeg2.ts", {"codec": "mpeg2video", "bf": "2", "g": "15"}),
        ("mpeg1.mpg", {"codec": "mpeg1video", "bf": "2", "g": "15"}),
        ("vp9.webm", {"codec": "libvpx-vp9", "g": "20", "deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1"}),
        ("h264.mkv", {"g": "20", "bf": "2"}),
        ("mjpeg.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ],
)
def test_other_formats(tmp_path: Path, name: str, options: dict) -> None:
    video = Video(write_numbered(tmp_path / name, 120, **options))
    for count in (120, 9, 4):
        plan = video.sample(max_frames=count)
        read, _ = read_all(video, plan)
        assert read_numbers(read.frames) == plan.indices.tolist()
    keys = video.sample(mode="keyframes")
    read, _ = read_all(video, keys)
    assert read_numbers(read.frames) == keys.indices.tolist()


def test_frames_out_of_order_are_not_lost(tmp_path: Path) -> None:
    # AVI has no display times: H.264 with B-frames comes out of the decoder in the wrong order, by a few frames.
    video = Video(write_numbered(tmp_path / "h264.avi", 300, g="30", bf="2"))
    plan = video.sample(max_frames=10)
    read, report = read_all(video, plan)
    assert report.frames_lost == 0
    assert np.abs(np.array(read_numbers(read.frames)) - plan.indices).max() <= 3
    keys = video.sample(mode="keyframes")
    read, report = read_all(video, keys)
    assert report.frames_lost == 0 and read_numbers(read.frames) == keys.indices.tolist()


def test_variable_rate_times(tmp_path: Path) -> None:
    ticks = [*range(40), *range(640, 660)]
    video = Video(write_numbered(tmp_path / "gap.mp4", 60, ticks=ticks))
    plan = video.sample(max_frames=12)
    # Moments 60 ticks apart: all of those inside the gap show frame 39, which is read once.
    assert plan.indices.tolist() == [0, 39, 59]
    read, _ = read_all(video, plan)
    assert read_numbers(read.frames) == [0, 39, 59]
    np.testing.assert_allclose(read.times, [0, 39 / 30, 659 / 30], atol=1e-9)


def test_keyframes_decode_nothing_else(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from videoxl.video.messages import DecodeRequest
    from videoxl.video.pyav_reader import PyAVReader

    video = Video(clip)
    plan = video.sample(mode="keyframes")
    assert plan.indices.tolist() == list(range(0, 300, 24))
    assert video.read(plan).report.decoder == "pyav"
    decoded = []
    original = PyAVReader._decode_packet

    def count(self, packet):
        decoded.append(packet)
        return original(self, packet)

    monkeypatch.setattr(PyAVReader, "_decode_packet", count)
    request = DecodeRequest(video._info, plan.indices, 0, 160, 64, 8, "pyav", False, True, 1)
    pictures = list(PyAVReader(request, lambda count: None))
    assert read_numbers(np.stack([picture for _, picture, _ in pictures])) == plan.indices.tolist()
    assert sum(packet is not None for packet in decoded) == len(plan)


def test_seeks_that_fail_are_given_up(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from videoxl.video.messages import DecodeRequest
    from videoxl.video.pyav_reader import PyAVReader

    video = Video(clip)
    indices = np.array([0, 100, 200, 299])
    opened = []
    original = PyAVReader._open
    monkeypatch.setattr(PyAVReader, "_open", lambda self: opened.append(self) or original(self))
    monkeypatch.setattr(PyAVReader, "_seek", lambda self, key: False)
    request = DecodeRequest(video._info, indices, 0, 160, 64, 8, "pyav", False, False, 1)
    pictures = list(PyAVReader(request, lambda count: None))
    assert read_numbers(np.stack([picture for _, picture, _ in pictures])) == indices.tolist()
    assert len(opened) == 2


def test_several_threads_read_the_same(clip: Path) -> None:
    from videoxl.video.messages import DecodeRequest
    from videoxl.video.pyav_reader import PyAVReader

    video = Video(clip)
    indices = np.array([0, 3, 50, 51, 52, 120, 299])
    request = DecodeRequest(video._info, indices, 0, 160, 64, 8, "pyav", False, False, 4)
    pictures = list(PyAVReader(request, lambda count: None))
    assert read_numbers(np.stack([picture for _, picture, _ in pictures])) == indices.tolist()


@pytest.mark.parametrize("decoder", DECODERS)
def test_reduced_size(clip: Path, decoder: str) -> None:
    video = Video(clip, decoder=decoder)
    plan = video.sample(max_frames=5)
    for size, shape in [(32, (32, 80)), (64, (64, 160)), (500, (64, 160)), (None, (64, 160))]:
        read, _ = read_all(video, plan, size=size)
        assert read.frames.shape == (5, *shape, 3)
        assert read.frames.dtype == np.uint8
        assert read_numbers(read.frames) == plan.indices.tolist()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("codec, pix_fmt", [("libx264", "yuv420p"), ("mjpeg", "yuvj420p")])
def test_full_and_limited_range(tmp_path: Path, decoder: str, codec: str, pix_fmt: str) -> None:
    levels = np.repeat(np.array([0, 64, 128, 192, 255], np.uint8), 32)
    picture = np.broadcast_to(levels[None, :, None], (64, 160, 3))
    video = Video(write_clip(tmp_path / "range.mkv", [picture] * 3, codec=codec, pix_fmt=pix_fmt), decoder=decoder)
    read, _ = read_all(video, video.sample())
    seen = read.frames[:, :, 16::32].astype(int)
    assert np.abs(seen - levels[16::32][None, None, :, None]).max() <= 6


@pytest.mark.parametrize("decoder", DECODERS)
def test_reduction_averages(tmp_path: Path, decoder: str) -> None:
    # A checkerboard of single pixels must become grey, not a pattern of its own.
    board = np.indices((96, 160)).sum(axis=0) % 2 * 255
    picture = np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)
    video = Video(write_clip(tmp_path / "board.mkv", [picture] * 2, qp="0", pix_fmt="yuv444p"), decoder=decoder)
    read, _ = read_all(video, video.sample(), size=24)
    assert np.abs(read.frames.astype(int) - 128).max() < 12


def test_decord_missing(clip: Path) -> None:
    video = Video(clip)
    video._info = replace(video._info, decord_installed=False)
    _, report = read_all(video, video.sample(max_frames=3))
    assert (report.decoder, report.reason) == ("pyav", "decord is not installed")


def test_decord_refused_where_it_is_wrong(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.avi", 10, codec="mpeg4")
    with pytest.raises(VideoError, match="cannot be read with decord"):
        Video(path, decoder="decord")
    _, report = read_all(Video(path), Video(path).sample())
    assert report.decoder == "pyav"


def damaged(clip: Path, path: Path, first: float, last: float) -> Path:
    """Copy a clip with the given part of its picture data overwritten; its index stays whole."""
    data = bytearray(clip.read_bytes())
    begin = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    low, high = (begin + int((end - begin) * part) for part in (first, last))
    data[low:high] = np.random.default_rng(0).bytes(high - low)
    path.write_bytes(data)
    return path


def test_damage_in_the_middle_is_a_warning(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = damaged(clip, tmp_path / "damaged.mp4", 0.4, 0.55)
    video = Video(path)
    plan = video.sample(max_frames=1000)
    read, report = read_all(video, plan)
    assert report.frames_wanted == 300
    assert 20 < report.frames_lost == 300 - len(read.indices) < 100
    assert f"{report.frames_lost} of 300 frames lost" in report.warnings[0]
    assert report.log  # what FFmpeg said is kept for debugging
    assert capfd.readouterr() == ("", "")
    # Frames before the damage, and those after the next key frame, are whole and in their places.
    whole = (read.indices < 100) | (read.indices >= 200)
    assert read_numbers(read.frames[whole]) == read.indices[whole].tolist()
    # Lost frames are not replaced by others when few are wanted.
    sparse, sparse_report = read_all(video, video.sample(max_frames=60))
    assert set(sparse.indices) < set(video.sample(max_frames=60).indices)
    assert sparse_report.frames_lost == 60 - len(sparse.indices) > 0


def test_damage_almost_everywhere_is_an_error(clip: Path, tmp_path: Path) -> None:
    video = Video(damaged(clip, tmp_path / "damaged.mp4", 0.2, 1.0))
    with pytest.raises(VideoError, match=r"\d+ of 300 frames cannot be decoded") as caught:
        list(video.read(video.sample(max_frames=1000)))
    assert "damaged" in caught.value.advice


REFUSED = [
    ("text.mp4", b"just some words\n" * 9, "is a text file"),
    ("page.mp4", b"<html><body>404</body></html>", "is a text file"),
    ("empty.mp4", b"", r"is empty \(0 bytes\)"),
    ("noise.mp4", np.random.default_rng(1).bytes(5000), "is not a video, or its header is damaged"),
    ("cut.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(1, 200)), "its index .* cannot be read"),
    ("picture.mp4", b"\x89PNG\r\n\x1a\n" + bytes(50), r"is a still picture \(PNG\)"),
    ("list.mp4", b"#EXTM3U\n#EXTINF:9,\nother.mp4\n", "is an HLS playlist"),
    ("script.mp4", b"ffconcat version 1.0\nfile other.mp4\n", "is an FFmpeg concat script"),
]


@pytest.mark.parametrize("name, content, message", REFUSED)
def test_refused_content(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VideoError, match=message) as caught:
        Video(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) + caught.value.advice
    assert caught.value.advice


def test_refused_paths(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such file"):
        Video(tmp_path / "missing.mp4")
    with pytest.raises(VideoError, match="is a directory"):
        Video(tmp_path)
    with pytest.raises(VideoError, match="network addresses are not read"):
        Video("https://example.org/video.mp4")
    with pytest.raises(VideoError, match="has sound, but no video"):
        Video(write_sound(tmp_path / "sound.mp4"))


def test_unreadable_names_are_not_protocols(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "data:a, b#%20é.mp4"
    path.write_bytes(clip.read_bytes())
    assert Video(path).num_frames == 300


def test_bad_arguments(clip: Path) -> None:
    with pytest.raises(VideoError, match="decoder 'vlc' is not known"):
        Video(clip, decoder="vlc")
    video = Video(clip)
    with pytest.raises(VideoError, match="chunk is 0"):
        video.read(video.sample(), chunk=0)


def test_nothing_imports_torch() -> None:
    modules = "videoxl.video.video, videoxl.video.decode_worker, videoxl.video.probe, videoxl.video.decord_reader"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
