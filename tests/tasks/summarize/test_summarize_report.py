"""The page about a run, in a real browser where there is one."""

import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from summary_rows import a_row

from videoxl.runs.state import Failure
from videoxl.tasks.summarize.contact_sheet import Thumbnails
from videoxl.tasks.summarize.report import write_report
from videoxl.video.reader import FrameChunk
from videoxl.video.sources import ChunkStream

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# Shows a page as wide as it is told, and writes down what the browser made of it.
FRAME = """<!doctype html><meta charset="utf-8"><iframe id="frame" style="border: 0; height: 900px"></iframe><script>
const frame = document.getElementById("frame");
frame.style.width = "WIDTHpx";
frame.onload = async () => {
  const page = frame.contentDocument, sizes = [];
  for (const span of page.querySelectorAll("article")) {
    const cell = span.querySelector(".sheet span"), image = new Image();
    image.src = frame.contentWindow.getComputedStyle(cell).backgroundImage.slice(5, -2);
    await image.decode();
    sizes.push([image.naturalWidth, image.naturalHeight, cell.clientWidth, cell.clientHeight]);
  }
  const root = page.documentElement, title = page.title;
  const outside = [...page.querySelectorAll("[src], link, iframe, script")].length;
  const widths = {scroll: root.scrollWidth, client: root.clientWidth};
  document.body.dataset.seen = JSON.stringify({...widths, sizes, title, outside});
};
frame.srcdoc = PAGE;
</script>"""


def page(
    folder: Path, names: tuple[str, ...] = ("talks/one.mp4", "x" * 250 + ".mp4"), self_contained: bool = False
) -> str:
    failures = [Failure("bad.mp4-1", "bad.mp4", "VideoError", "bad.mp4: the file is empty (0 bytes)")]
    rows = [a_row(folder, name) for name in names]
    return write_report(folder, rows, failures, self_contained=self_contained).read_text(encoding="utf-8")


def look(folder: Path, text: str, width: int) -> dict[str, Any]:
    assert BROWSER is not None
    quoted = json.dumps(text).replace("</", "<\\/")
    path = folder / "frame.html"
    path.write_text(FRAME.replace("WIDTH", str(width)).replace("PAGE", quoted), encoding="utf-8")
    without_network = ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", "--timeout=60000"]
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += [f"--window-size={width + 100},1000", *without_network, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found is not None, done.stdout[-2000:]
    seen = json.loads(html.unescape(found[1]))
    assert isinstance(seen, dict)
    return seen


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize(("width", "self_contained"), [(1280, False), (400, False), (400, True)])
def test_a_browser_shows_it_without_a_network_and_nothing_sticks_out(
    tmp_path: Path, width: int, self_contained: bool
) -> None:
    text = page(tmp_path, self_contained=self_contained)
    if self_contained:
        (tmp_path / "sheets" / "one.webp").unlink()
    seen = look(tmp_path, text, width)
    assert seen["client"] <= width and seen["scroll"] <= seen["client"]
    for *natural, wide, high in seen["sizes"]:
        assert natural == [6 * 160, 2 * 90]
        assert 80 <= wide <= 200 and abs(high - wide * 90 / 160) <= 1
    assert len(seen["sizes"]) == 2
    assert seen["title"] == "3 videos, 1 failed"  # what a model wrote is not run
    assert seen["outside"] == 0


def test_moments_link_to_the_video_seen_from_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "runs" / "a b"
    out.mkdir(parents=True)
    text = page(out, ("talks/50% é #1.mp4",))
    links = [html.unescape(link) for link in re.findall(r'href="([^#"][^"]*)"', text)]
    moments = {link.partition("#")[2] for link in links}
    assert moments >= {"t=0", "t=300", "t=1800.5", "t=61"}
    (file,) = {link.partition("#")[0] for link in links}
    assert (out / unquote(file)).resolve() == tmp_path / "talks" / "50% é #1.mp4"


def test_pictures_are_beside_the_page_or_in_it(tmp_path: Path) -> None:
    row = a_row(tmp_path, "a.mp4")
    name = "sheets/встреча (2).webp"
    (tmp_path / row["sheet"]["file"]).rename(tmp_path / name)
    row["sheet"]["file"] = name
    beside, within = (
        write_report(tmp_path, [row], [], self_contained=each).read_text(encoding="utf-8") for each in (False, True)
    )
    (address,) = re.findall(r"url\(([^)]*)\)", beside)
    assert unquote(address) == name and "data:" not in beside
    assert within.count("url(data:image/webp;base64,") == 1


def test_a_run_that_goes_on_says_so(tmp_path: Path) -> None:
    row = a_row(tmp_path, "a.mp4", start=10.0, end=7200.0)
    text = write_report(tmp_path, [row], [], waiting=3).read_text(encoding="utf-8")
    assert "<title>1 of 4 videos</title>" in text and "00:00:10-01:00:00 of 01:00:00, 320×180" in text


def test_what_was_looked_for_stands_in_place_of_chapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spans = [{"start": 61.0, "end": 90.0, "score": 0.9, "text": "Soap is advertised. It is blue."}]
    rows = [a_row(tmp_path, "a.mp4", task="ads", spans=spans), a_row(tmp_path, "b.mp4", task="ads")]
    first, second = write_report(tmp_path, rows, []).read_text(encoding="utf-8").split('<article id="v2">')
    assert (
        'href="a.mp4#t=61">00:01:01-00:01:30</a><div><b>Soap is advertised</b><br>Soap is advertised. It is blue.'
        in first
    )
    assert "A red circle" not in first + second and "Nothing." in second


def test_a_sheet_shows_the_moments_asked_for_and_others_up_to_twelve(tmp_path: Path) -> None:
    frames = np.stack([np.full((40, 20, 3), n, np.uint8) for n in range(200)])
    thumbnails = Thumbnails(ChunkStream(iter([FrameChunk(frames, np.arange(200.0), np.arange(200))])), 200)
    list(thumbnails)
    content, about = thumbnails.sheet([101.0], [17.2])
    assert {17.0, 101.0, 0.0, 199.0} <= set(about["times"]) and len(about["times"]) == 12
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("L"), int)
    for place, time in enumerate(about["times"]):
        row, column = divmod(place, about["columns"])
        cell = picture[row * about["height"] :, column * about["width"] :][: about["height"], : about["width"]]
        assert cell.shape == (40, 20) and abs(cell[8:-8, 4:-4].mean() - time) < 4
    _, about = thumbnails.sheet([], list(np.arange(100.0)))
    assert len(about["times"]) == 24 and about["times"][::23] == [0.0, 99.0]
    _, about = thumbnails.sheet([50.0, 51.0], list(np.arange(100.0)))
    assert len(about["times"]) == 24 and {50.0, 51.0} <= set(about["times"])


def test_of_many_frames_some_are_kept_evenly() -> None:
    times = np.arange(1000.0)
    pieces = np.split(np.arange(1000), [7, 39, 40, 500])
    blank = np.zeros((1000, 4, 4, 3), np.uint8)
    thumbnails = Thumbnails(ChunkStream(iter([FrameChunk(blank[at], times[at], at) for at in pieces])), 1000)
    assert [len(chunk.times) for chunk in thumbnails] == [7, 32, 1, 460, 500]
    _, about = thumbnails.sheet([503.0], [0.0])
    assert about["times"][0] == 0.0 and 505.0 in about["times"] and about["times"][-1] == 995.0


def test_a_sheet_that_is_gone_leaves_the_others_in_place(tmp_path: Path) -> None:
    gone, there = (a_row(tmp_path, name) for name in ("a.mp4", "b.mp4"))
    gone["sheet"] = gone["sheet"] | {"file": "sheets/gone.webp"}
    text = write_report(tmp_path, [gone, there], []).read_text(encoding="utf-8")
    assert re.findall(r"^#(v\d) .sheet span", text, re.MULTILINE) == ["v2"] and '<article id="v2">' in text


def test_a_sheet_that_is_gone_and_names_that_are_not_unicode(tmp_path: Path) -> None:
    row = a_row(tmp_path, "caf\udce9.mp4")
    (tmp_path / "sheets" / "one.webp").unlink()
    text = write_report(tmp_path, [row], []).read_text(encoding="utf-8")
    assert "caf%E9.mp4#t=0" in text and 'class="sheet"' not in text
