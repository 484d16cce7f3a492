"""The shared media: a documented result for every odd and bad file, and every frame compared with in-order decoding.

Run as a script to print the table: `python tests/test_video_files.py > tests/data/media_results.tsv`.
"""

import csv
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from conftest import shared_folder
from video_clips import block_means, decode_in_order

from videoxl.errors import VideoError
from videoxl.video.video import Video

TABLE = Path(__file__).parents[1] / "data" / "media_results.tsv"
COLUMNS = ["file", "result", "size", "lost", "missing", "decoder", "first line of the error, or warnings"]
LIMIT_SECONDS = 15.0


def result_row(folder: Path, name: str) -> list[str]:
    """Read every frame of a file and return its row of the table."""
    path = folder / name
    try:
        video = Video(path)
        reader = video.read(video.sample(max_frames=100_000), size=32)
        count = sum(len(chunk.times) for chunk in reader)
    except VideoError as error:
        return [name, "error", "", "", "", "", str(error).replace(str(path), path.name)]
    report = reader.report
    size = f"{video.width}x{video.height}"
    warnings = "; ".join(report.warnings).replace(str(path), path.name)
    frames = f"{count} of {report.frames_wanted}"
    return [name, frames, size, str(report.frames_lost), str(report.frames_missing), report.decoder, warnings]


def odd_and_bad(folder: Path) -> list[str]:
    return sorted(f"{kind}/{path.name}" for kind in ("odd", "bad") for path in (folder / kind).iterdir())


def documented() -> dict[str, list[str]]:
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="") as file:
        return {row[0]: row for row in list(csv.reader(file, delimiter="\t"))[1:]}


@pytest.mark.parametrize("name", documented())
def test_result_is_as_documented(media: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert result_row(media, name) == documented()[name]
    assert time.monotonic() - began < LIMIT_SECONDS
    assert capfd.readouterr() == ("", "")


def test_every_file_is_documented(media: Path) -> None:
    assert odd_and_bad(media) == sorted(documented())


GOOD = [
    "asl_book.mkv", "big_buck_bunny_0_30.webm", "bottle-detection.mp4", "car-detection.mp4", "flower.mp4",
    "flower.webm", "friday.mp4", "nasa_13013.mp4", "one-by-one-person-detection.mp4", "tears_of_steel_battle.webm",
]  # fmt: skip
ODD = [name for name in documented() if name.startswith("odd/") and documented()[name][1] != "error"]
NO_KEY_FRAME = "odd/nasa_editlist_cut.mp4"  # its only one is before the cut
BESIDE_DAMAGE = ["bad/truncated60_faststart.mp4", "bad/truncated60.mkv", "bad/corrupt_middle_vp8.webm"]


@lru_cache(maxsize=2)
def reference(path: Path, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    return decode_in_order(path, width, height)


def check_frames(path: Path, decoder: str, max_frames: int, mode: str = "uniform") -> None:
    """Compare what is read with the frame that in-order decoding shows at the same time."""
    try:
        video = Video(path, decoder=decoder)
    except VideoError as error:
        assert decoder == "decord"
        pytest.skip(str(error))
    times, means = reference(path, video.width, video.height)
    plan = video.sample(max_frames=max_frames, mode=mode)
    seen = 0
    for chunk in video.read(plan):
        numbers = np.searchsorted(times, chunk.times - 1e-6)
        np.testing.assert_allclose(chunk.times, times[numbers], atol=1e-7)
        read = block_means(chunk.frames)
        for frame, number in zip(read, numbers, strict=True):
            distances = np.abs(means - frame).mean(axis=(1, 2, 3))
            assert distances[number] < 3
            # No other frame fits better; in a scene at rest its neighbours fit as well.
            assert distances[number] < distances.min() + 0.4
        seen += len(numbers)
    assert seen == len(plan) or path.parent.name == "bad"


@pytest.mark.slow
@pytest.mark.parametrize("name, decoder", [(name, decoder) for name in GOOD + ODD for decoder in ("pyav", "decord")])
def test_frames_are_right(media: Path, name: str, decoder: str) -> None:
    for max_frames in (32, 150):
        check_frames(media / name, decoder, max_frames)
    if decoder == "pyav" and name != NO_KEY_FRAME:
        check_frames(media / name, decoder, 20, mode="keyframes")


def test_no_key_frame_is_shown(media: Path) -> None:
    with pytest.raises(VideoError, match="no key frame") as caught:
        Video(media / NO_KEY_FRAME).sample(mode="keyframes")
    assert "uniformly" in caught.value.advice


@pytest.mark.parametrize("name", BESIDE_DAMAGE)
def test_frames_beside_damage_are_right(media: Path, name: str) -> None:
    check_frames(media / name, "auto", 1000)


def test_rotation_and_pixel_aspect(media: Path) -> None:
    for name, size in [
        ("rot90", (180, 320)),
        ("rot180", (320, 180)),
        ("rot270", (180, 320)),
        ("anamorphic_sar4_3", (480, 270)),
    ]:
        video = Video(media / "odd" / f"flower_{name}.mp4")
        assert (video.width, video.height) == size
        chunk = next(video.read(video.sample(max_frames=1), size=90))
        assert chunk.frames.shape == (
            1,
            size[1] // 2 if size[0] < 400 else 90,
            size[0] // 2 if size[0] < 400 else 160,
            3,
        )


def test_uniform_equals_reference_indices(media: Path) -> None:
    for name in GOOD:
        video = Video(media / name)
        for count in (16, 100):
            expected = np.linspace(0, video.num_frames - 1, count, dtype=int)
            np.testing.assert_array_equal(video.sample(max_frames=count).indices, expected)


def main() -> None:
    """Print the table for the shared media."""
    folder = shared_folder() / "media"
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(result_row(folder, name) for name in odd_and_bad(folder))


if __name__ == "__main__":
    main()
