"""Keys of items, which are the names of their files: one for one video asked for in one way, on every system."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from videoxl.tasks.summarize.inputs import Source, read_inputs

WINDOWS_REFUSES = set('<>:"/\\|?*')
RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}

# Anything that a manifest may hold, and what is awkward somewhere: Windows, terminals, other scripts, long names.
odd = st.one_of(
    st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=300),
    st.lists(
        st.sampled_from([*"aA.é _-/\\:~ᾳ字ु", "e\u0301", "CON", "nul.", ".", " ", "\u202e", "\udce9", "ガ", "x" * 90]),
        min_size=1,
        max_size=8,
    ).map("".join),
)


def key(id: str, path: str = "a.mp4") -> str:
    return Source(id, path).item.key


@given(odd, odd)
@example("COM¹.mp4", "a")
@example("नमस्ते" * 40, "a")
@example("con", "a")
@example("aux.h264/.", "a")
def test_every_system_takes_them(id: str, path: str) -> None:
    name = key(id, path)
    assert len(f"{name}.webp".encode()) <= 120
    assert not WINDOWS_REFUSES & set(name) and name.isprintable() and " " not in name
    assert name[0] not in ".-~" and name[-1] not in ". " and not unicodedata.combining(name[0])
    assert name.partition(".")[0].lower() not in RESERVED
    assert unicodedata.is_normalized("NFC", name)


@given(st.lists(st.tuples(odd, odd), min_size=2, max_size=6, unique=True))
@example([("talk.mp4", "a"), ("TALK.mp4", "a"), ("talk.mp4 ", "a"), ("talk.mp4.", "a")])
@example(
    [("caf\u00e9", "a"), ("cafe\u0301", "a"), ("caf\udce9", "a"), ("a/b", "a"), ("a_b", "a"), ("a", "a"), ("a", "b")]
)
def test_no_two_are_one_file_anywhere(named: list[tuple[str, str]]) -> None:
    names = [unicodedata.normalize("NFKD", key(*each)).casefold() for each in named]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("会议记录.mp4", "会议记录.mp4"),
        ("встреча.mkv", "встреча.mkv"),
        ("पुस्तक/हिन्दी.mp4", "पुस्तक_हिन्दी.mp4"),
        ("cafe\u0301 (2).mp4", "café_(2).mp4"),
        ("../../x.mp4", "x.mp4"),
        ("nul.mp4", "_nul.mp4"),
        ("…", "video"),
        ("long/" * 60 + "end.mp4", "end.mp4"),
    ],
)
def test_what_can_be_read_of_them(id: str, name: str) -> None:
    readable, _, digest = key(id).rpartition("-")
    assert readable.endswith(name) if id.startswith("long") else readable == name
    assert len(digest) == 10 and set(digest) <= set("0123456789abcdef")


def test_they_do_not_change_from_one_version_to_the_next() -> None:
    assert key("talks/a.mp4", "talks/a.mp4") == "talks_a.mp4-93b1983332"
    assert Source("first", "b.mp4", "Why?", 1.5, None, 8).item.key == "first-f8de68bc98"


def test_all_that_is_asked_for_counts() -> None:
    plain = Source("a", "a.mp4")
    changes = ({"path": "b.mp4"}, {"id": "b"}, {"prompt": "?"}, {"start": 1.0}, {"end": 1.0}, {"ratio": 8})
    others = [replace(plain, **change).item for change in (*changes, {"ratio": 16}, {"max_frames": 8})]  # type: ignore[arg-type]
    assert len({item.key for item in (plain.item, *others)}) == 9
    assert plain.item.key == replace(plain).item.key and plain.item.name == "a"


def keys(*arguments: str) -> list[str]:
    return [source.item.key for source in read_inputs(arguments, Path("/nowhere")).sources]


def test_other_inputs_change_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    (tmp_path / "a.mp4").touch()
    clip = str(tmp_path / "a.mp4")
    rows = [f"{clip},,", f"{clip},,8", f"{clip},named,8"]
    manifest.write_text("\n".join(["video,id,ratio", *rows]))
    before = keys(str(manifest))
    manifest.write_text("\n".join(["video,id,ratio", *reversed(rows)]))
    assert keys(clip.replace("a.", "b."), str(manifest), clip)[1:] == before[::-1]
