"""Odd files: foreign metadata, formats that are not read, sizes that change, names that are URLs."""

import shlex
from pathlib import Path

import pytest
from video_clips import make_odd_videos, read_numbers

from videoxl.errors import VideoError
from videoxl.files import local_path
from videoxl.video.checks import looks_like_video
from videoxl.video.identity import content_digest
from videoxl.video.video import Video


def write(name: str, folder: Path) -> Path:
    return make_odd_videos.KINDS[name](folder / name)


@pytest.mark.parametrize("name", ["foreign_metadata.mp4", "foreign_metadata.avi"])
def test_metadata_that_are_no_utf8_do_not_matter(tmp_path: Path, name: str) -> None:
    path = write(name, tmp_path)
    assert "動画の題名".encode("shift-jis") in path.read_bytes()
    video = Video(path)
    (chunk,) = video.read(video.sample(max_frames=5))
    assert read_numbers(chunk.frames) == chunk.indices.tolist()


@pytest.mark.parametrize("name", ["resized.ts", "resized.avi"])
def test_no_frame_is_lost_where_the_size_changes(tmp_path: Path, name: str) -> None:
    video = Video(write(name, tmp_path))
    reader = video.read(video.sample(max_frames=1000))
    assert [number for chunk in reader for number in read_numbers(chunk.frames)] == list(range(180))
    assert (reader.report.frames_lost, reader.report.warnings) == (0, ())
    plan = video.sample(max_frames=25)
    assert [n for chunk in video.read(plan) for n in read_numbers(chunk.frames)] == plan.indices.tolist()


RAW = (".h264", ".hevc", ".m2v")


@pytest.mark.parametrize("extension", make_odd_videos.REFUSED)
def test_formats_that_are_not_read_are_named_with_a_command(tmp_path: Path, extension: str) -> None:
    path = write(f"refused{extension}", tmp_path)
    spaced = path.rename(path.with_stem("a film"))
    with pytest.raises(VideoError, match="a format that videoxl does not read") as caught:
        Video(spaced)
    assert str(spaced) in str(caught.value) and "\n" not in caught.value.advice
    command = shlex.split(caught.value.advice[caught.value.advice.index("ffmpeg") :])
    rate = ["-framerate", "25"] if extension in RAW else []
    target = str(tmp_path / "a film.mp4")
    assert command == ["ffmpeg", *rate, "-i", str(spaced), "-c:v", "libx264", target]


def test_a_command_does_not_write_over_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("refused.ivf", tmp_path).rename("-a.mp4")
    with pytest.raises(VideoError) as caught:
        Video("-a.mp4")
    assert caught.value.advice.endswith("ffmpeg -i ./-a.mp4 -c:v libx264 ./-a-converted.mp4")


def test_other_formats_get_no_command(media: Path) -> None:
    with pytest.raises(VideoError, match="is not in a video format") as caught:
        Video(media / "bad" / "audio_only.mp3")
    assert "ffmpeg" not in caught.value.advice and "again" not in caught.value.advice


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///films/a.mp4", "/films/a.mp4"),
        ("file://localhost/films/a.mp4", "/films/a.mp4"),
        ("FILE:/films/a.mp4", "/films/a.mp4"),
        ("file:///films/a%20%231%25%E4%BC%9A.mp4", "/films/a #1%会.mp4"),
        ("file:///films/%93.mp4", "/films/\udc93.mp4"),
        ("file://server/films/a.mp4", "file://server/films/a.mp4"),
        ("https://example.org/a.mp4", "https://example.org/a.mp4"),
        ("films/a%20b.mp4", "films/a%20b.mp4"),
        ("file:a.mp4", "file:a.mp4"),
    ],
)
def test_file_urls_are_paths(text: str, path: str) -> None:
    assert local_path(text) == path


def test_a_file_url_is_read_like_its_path(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "a film, 100%.mp4"
    path.write_bytes(clip.read_bytes())
    video = Video(path.as_uri())
    assert (video.path, video.num_frames, video.record.path) == (str(path), 80, str(path))
    assert content_digest(path.as_uri()) == content_digest(path)
    with pytest.raises(VideoError, match="no such file") as caught:
        Video("file:///no%20film.mp4")
    assert "/no film.mp4" in str(caught.value)
    with pytest.raises(VideoError, match="network addresses are not read"):
        Video("file://server/a.mp4")


def test_a_file_named_like_a_url_is_itself(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file:").mkdir()
    Path("file:/a.mp4").write_bytes(clip.read_bytes())
    assert looks_like_video(local_path("file:/a.mp4")) and Video("file:/a.mp4").num_frames == 80
