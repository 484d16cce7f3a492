"""Formats of the memory file: older ones are read, newer ones refused, and sections come along whatever they are."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import videoxl.memory.file
from videoxl import VisualMemory
from videoxl.errors import DamagedMemoryError, MemoryFileError
from videoxl.memory.edit import first_windows, slice_memory
from videoxl.memory.file import MemoryFile
from videoxl.memory.header import read_header
from videoxl.memory.section import Section
from videoxl.options import MemoryOptions
from videoxl.version import MEMORY_REVISION
from videoxl.video.identity import VideoRecord

FORMAT_1 = json.loads((Path(__file__).parents[1] / "data" / "memory_format_1.json").read_text())
READER = SimpleNamespace(
    fingerprint="0123456789abcdef", dtype=torch.float32, layer_devices=[torch.device("cpu")] * 2
)  # for whom the files of format 1 were made


def grid(offset: int) -> torch.Tensor:
    """Return [2 heads, 5 slots, 4]: what is in those files."""
    return ((torch.arange(40, dtype=torch.float32).view(2, 5, 4) * 7 + offset) % 16 - 8) / 4


def old_file(path: Path, kind: str) -> Path:
    path.write_bytes(base64.b64decode("".join(FORMAT_1[kind])))
    return path


@pytest.fixture
def memory() -> VisualMemory:
    layers = tuple((grid(layer), grid(layer + 3)) for layer in range(2))
    return VisualMemory(
        layers=layers,
        prefix_ids=(11, 12),
        ratios=(4, 4),
        window_vsts=(2, 1),
        spans=np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 4.5]]),
        frame_times=np.array([0.0, 1.0, 2.0, 3.0, 4.0, 4.5]),
        num_visual_tokens=12,
        num_frames=6,
        fingerprint=READER.fingerprint,
        model="tiny",
    )


SECTIONS = (
    Section("track", 3, {"classes": ["cat", "bus"], "deep": {"x": [1.5, None]}}, {
        "boxes": torch.arange(12, dtype=torch.int16).view(3, 4), "scores": torch.rand(3).bfloat16(),
    }),
    Section("chapters", 1, {"starts": [0.0, 2.5]}),
    Section("flags", 1, {}, {"seen": torch.tensor([True, False])}),
)  # fmt: skip


def check_same_sections(ours: VisualMemory, theirs: tuple[Section, ...]) -> None:
    by_name = {section.name: section for section in ours.sections}
    assert sorted(by_name) == sorted(section.name for section in theirs)
    for section in theirs:
        found = by_name[section.name]
        assert (found.version, found.metadata) == (section.version, section.metadata)
        assert sorted(found.tensors) == sorted(section.tensors)
        for name, tensor in section.tensors.items():
            assert found.tensors[name].dtype == tensor.dtype and torch.equal(found.tensors[name], tensor)


@pytest.mark.parametrize("kind", ["exact", "int8"])
def test_a_file_of_format_1_is_still_read(tmp_path: Path, kind: str) -> None:
    loaded = VisualMemory.load(old_file(tmp_path / "old.vxm", kind), READER)
    for layer, pair in enumerate(loaded.layers):
        for tensor, offset in zip(pair, (layer, layer + 3), strict=True):
            step = 0 if kind == "exact" else 2 / 127
            assert (tensor - grid(offset)).abs().max() <= step
    assert (loaded.prefix_ids, loaded.ratios, loaded.window_vsts) == ((11, 12), (4, 4), (2, 1))
    assert loaded.spans.tolist() == [[0, 1], [2, 3], [4, 4.5]] and loaded.frame_times.tolist() == [0, 1, 2, 3, 4, 4.5]
    assert loaded.video == VideoRecord("/films/talk.mp4", 5.0, 10.0, 160, 64, 1234, 1700000000.5, "ab" * 16)
    assert (loaded.options, loaded.warnings) == (MemoryOptions(max_frames=64, fps=2.0), ("2 frames lost",))
    assert (loaded.revision, loaded.sections) == (0, ())
    assert loaded.buffers.capacity == 45
    loaded.save(tmp_path / "new.vxm")  # in the format of today, and still of its revision
    assert VisualMemory.load(tmp_path / "new.vxm", READER).revision == 0
    with MemoryFile(tmp_path / "new.vxm") as contents:
        assert contents.format == 2


def test_sections_come_back_and_a_memory_without_has_none(memory: VisualMemory, tmp_path: Path) -> None:
    memory.save(tmp_path / "plain.vxm")
    assert VisualMemory.load(tmp_path / "plain.vxm", READER).sections == ()
    assert b"sections" not in (tmp_path / "plain.vxm").read_bytes()
    whole = memory
    for section in SECTIONS:
        whole = whole.with_section(section)
    assert memory.sections == ()
    whole.save(tmp_path / "whole.vxm")
    loaded = VisualMemory.load(tmp_path / "whole.vxm", READER)
    check_same_sections(loaded, SECTIONS)
    assert loaded.revision == MEMORY_REVISION and torch.equal(loaded.layers[1][0], grid(1))
    with MemoryFile(tmp_path / "whole.vxm") as contents:  # without its tensors
        assert contents.sections["track"].version == 3 and contents.sections["track"].tensors == ("boxes", "scores")


def test_what_nobody_knows_is_kept_on_copying_and_in_8_bit(memory: VisualMemory, tmp_path: Path) -> None:
    for section in SECTIONS:
        memory = memory.with_section(section)
    memory.save(tmp_path / "a.vxm")
    VisualMemory.load(tmp_path / "a.vxm", READER).save(tmp_path / "small.vxm", dtype="int8")
    small = VisualMemory.load(tmp_path / "small.vxm", READER)
    assert read_header(tmp_path / "small.vxm").is_quantised
    check_same_sections(small, SECTIONS)
    with MemoryFile(tmp_path / "small.vxm") as contents:
        contents.copy(tmp_path / "copy.vxm")
    check_same_sections(VisualMemory.load(tmp_path / "copy.vxm", READER), SECTIONS)


def test_a_section_of_a_newer_version_is_as_good_as_none(memory: VisualMemory) -> None:
    memory = memory.with_section(Section("track", 3, {"rate": 1}))
    assert memory.section("track", 2) is None and memory.section("other", 9) is None
    assert memory.section("track", 3) is memory.section("track", 4) is memory.sections[0]
    again = memory.with_section(Section("track", 4))
    assert [section.version for section in again.sections] == [4] and memory.sections[0].version == 3


@pytest.mark.parametrize(("name", "version"), [("", 1), ("a/b", 1), ("Track", 1), ("track", 0), ("track", "1")])
def test_what_cannot_be_a_section(name: str, version: object) -> None:
    with pytest.raises(ValueError, match="is not the"):
        Section(name, version)


def test_a_part_of_a_memory_has_no_sections(memory: VisualMemory) -> None:
    memory = replace(memory.with_section(SECTIONS[0]), revision=0)
    for part in (slice_memory(memory, 2.0, None, 10000.0), first_windows(memory, 1, 2, 8)):
        assert (part.sections, part.revision) == ((), 0)


def test_a_changed_byte_in_a_section_is_damage(memory: VisualMemory, tmp_path: Path) -> None:
    path = tmp_path / "a.vxm"
    memory.with_section(Section("track", 1, {"word": "winter"}, {"t": torch.full((40,), 3, dtype=torch.uint8)})).save(
        path
    )
    content = path.read_bytes()
    for old, new in ((b"winter", b"wintes"), (b"\3" * 40, b"\3" * 39 + b"\4"), (b"track/t", b"track/u")):
        assert content.count(old) == 1
        path.write_bytes(content.replace(old, new))
        with pytest.raises(DamagedMemoryError):
            VisualMemory.load(path, READER)


@pytest.mark.parametrize("said", ["[]", '{"track": 1}', '{"a/b": {"version": 1, "metadata": {}, "tensors": []}}',
                                  '{"track": {"version": 0, "metadata": {}, "tensors": []}}'])  # fmt: skip
def test_sections_that_cannot_be_are_damage(
    memory: VisualMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(videoxl.memory.file, "describe_sections", lambda sections: json.loads(said))
    memory.with_section(Section("track", 1)).save(tmp_path / "a.vxm")
    with pytest.raises(DamagedMemoryError):
        read_header(tmp_path / "a.vxm")


def test_a_newer_format_is_refused_by_its_number_and_a_damaged_number_as_damage(
    memory: VisualMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.vxm"
    memory.save(path)
    content = path.read_bytes()
    assert content.count(b'"videoxl":"2"') == 1
    path.write_bytes(content.replace(b'"videoxl":"2"', b'"videoxl":"3"'))
    with pytest.raises(DamagedMemoryError):
        VisualMemory.load(path, READER)
    monkeypatch.setattr(videoxl.memory.file, "FORMAT", 3)
    memory.save(path)
    monkeypatch.setattr(videoxl.memory.file, "FORMAT", 2)
    with pytest.raises(MemoryFileError, match="format 3") as caught:
        VisualMemory.load(path, READER)
    assert caught.value.advice == "Update videoxl." and not isinstance(caught.value, DamagedMemoryError)


def test_what_later_versions_add_to_the_core_is_left_out(
    memory: VisualMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = VideoRecord("/films/talk.mp4", 5.0, 10.0, 160, 64, 1234, 1700000000.5, "ab" * 16)
    memory = replace(memory, video=video, options=MemoryOptions(fps=2.0))
    dumps = json.dumps

    def adding(said: dict[str, object]) -> str:
        if "fingerprint" in said:
            said = said | {"mood": "calm", "video": said["video"] | {"codec": "av1"}}
            said["options"] = said["options"] | {"rotation": 90}
        return dumps(said)

    monkeypatch.setattr(videoxl.memory.file.json, "dumps", adding)
    memory.save(tmp_path / "later.vxm")
    loaded = VisualMemory.load(tmp_path / "later.vxm", READER)
    assert loaded.video == video
    assert loaded.options is None  # how it was watched is not known: not as these options say
