"""Rows of results as a run has them, without a model."""

from pathlib import Path
from typing import Any

import numpy as np

from videoxl.tasks.summarize.contact_sheet import Thumbnails
from videoxl.video.reader import FrameChunk
from videoxl.video.sources import ChunkStream

EVIL = '<script>document.title = "evil"</script>'


def a_row(folder: Path, name: str, **other: Any) -> dict[str, Any]:
    """Return a row whose contact sheet has 12 pictures of 160 x 90, the n-th of the brightness 20 n."""
    frames = np.stack([np.full((180, 320, 3), 20 * n, np.uint8) for n in range(12)])
    times = np.arange(12.0) * 300
    thumbnails = Thumbnails(ChunkStream(iter([FrameChunk(frames, times, np.arange(12))])), 12)
    assert len(list(thumbnails)) == 1
    content, about = thumbnails.sheet([], times[:2])
    (folder / "sheets").mkdir(exist_ok=True)
    (folder / "sheets" / "one.webp").write_bytes(content)
    chapters = [{"start": 0.0, "end": 1800.5, "title": "A red circle", "text": "a red circle."}]
    chapters += [{"start": 1800.5, "end": 3600.0, "title": EVIL, "text": "W" * 300}]
    return {
        "key": name,
        "id": name,
        "video": {"path": name, "duration": 3600.0, "fps": 25.0, "width": 320, "height": 180},
        "start": None,
        "end": None,
        "task": "summary",
        "prompt": "Is there an advertisement?",
        "summary": f"all of it {EVIL}",
        "evidence": [{"start": 61.0, "end": 70.0, "score": 0.4}],
        "chapters": chapters,
        "spans": [],
        "frames": 12,
        "ratio": 16,
        "warnings": [],
        "timings": {"total": 4000.0},
        "model": "videoxl-nano",
        "sheet": {"file": "sheets/one.webp", **about},
    } | other
