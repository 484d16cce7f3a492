"""The cache of memories: what is used last stays, and what cannot be read is set aside."""

import os
import time
from pathlib import Path

import pytest

from videoxl.errors import CacheError, DamagedMemoryError, MemoryFileError
from videoxl.memory.cache import DEFAULT_LIMIT, MemoryCache


def writing(num_bytes: int, used: float = 0.0) -> object:
    def save(path: Path) -> None:
        path.write_bytes(b"m" * num_bytes)
        os.utime(path, (used, used) if used else None)

    return save


def names(cache: MemoryCache) -> list[str]:
    return [file.path.name for file in cache.files()]


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = MemoryCache(tmp_path / "made" / "later", limit=100)
    assert cache.get("a", Path.read_bytes) is None and cache.keys("a") == [] and cache.files() == []
    for key, used in (("a", 1000.0), ("b", 2000.0), ("c", 3000.0)):
        cache.put(key, writing(30, used))
    cache = MemoryCache(cache.folder, limit=100)  # of another command
    assert cache.get("a", Path.read_bytes) == b"m" * 30  # used now
    cache.put("d", writing(30))
    assert set(names(cache)) == {"a.vxm", "d.vxm", "c.vxm"}
    assert cache.keys("a") == ["a"] and sorted(cache.keys("")) == ["a", "c", "d"] and cache.keys("b") == []
    assert [file.path.name for file in cache.prune(60)] == ["c.vxm"]


def test_what_is_older_than_one_that_goes_goes_too(tmp_path: Path) -> None:
    cache = MemoryCache(tmp_path)
    for key, size, used in (("new", 60, 5000.0), ("huge", 101, 4000.0), ("mid", 50, 3000.0), ("old", 30, 1000.0)):
        cache.put(key, writing(size, used))
    (tmp_path / "bad.vxm.damaged").write_bytes(b"m" * 40)  # newer than all
    cache.prune(100)
    assert names(cache) == ["new.vxm"]


def test_one_that_is_too_large_drives_no_other_out(tmp_path: Path) -> None:
    cache = MemoryCache(tmp_path, limit=100)
    cache.put("a", writing(60))
    with pytest.raises(MemoryFileError, match="larger than the cache"):
        cache.put("b", writing(101))
    assert names(cache) == ["a.vxm"]


def test_what_one_command_made_or_used_is_not_driven_out_by_it(tmp_path: Path) -> None:
    MemoryCache(tmp_path).put("before", writing(30, 1000.0))
    MemoryCache(tmp_path).put("used", writing(30, 2000.0))
    cache = MemoryCache(tmp_path, limit=100)
    assert cache.get("used", Path.read_bytes)
    os.utime(tmp_path / "used.vxm", (500.0, 500.0))  # by the clock of another machine, say
    cache.put("a", writing(30, 600.0))
    cache.put("b", writing(30, 700.0))  # in place of what was there before
    assert set(names(cache)) == {"used.vxm", "a.vxm", "b.vxm"} and not cache.is_full
    with pytest.raises(MemoryFileError, match="full"):
        cache.put("c", writing(30))
    assert set(names(cache)) == {"used.vxm", "a.vxm", "b.vxm"} and cache.is_full

    def never(path: Path) -> None:
        raise AssertionError("written in vain")

    with pytest.raises(MemoryFileError, match="full"):
        cache.put("d", never)
    MemoryCache(tmp_path, limit=100).put("d", writing(30))  # another command
    assert "d.vxm" in names(cache) and len(names(cache)) == 3


def test_what_does_not_fit_beside_one_s_own_drives_nothing_else_out(tmp_path: Path) -> None:
    MemoryCache(tmp_path).put("before", writing(30, 1000.0))
    cache = MemoryCache(tmp_path, limit=100)
    cache.put("a", writing(40))
    with pytest.raises(MemoryFileError, match="larger than the cache"):
        cache.put("b", writing(101))
    assert set(names(cache)) == {"before.vxm", "a.vxm"} and not cache.is_full
    with pytest.raises(MemoryFileError, match="full"):
        cache.put("b", writing(90))
    assert set(names(cache)) == {"before.vxm", "a.vxm"} and cache.is_full


def test_what_could_not_be_used_does_not_count_as_used(tmp_path: Path) -> None:
    cache = MemoryCache(tmp_path)
    cache.put("a", writing(30, 1000.0))
    assert cache.get("a", lambda path: None) is None
    assert (tmp_path / "a.vxm").stat().st_mtime == 1000.0


def test_a_limit_of_0_keeps_nothing(tmp_path: Path) -> None:
    cache = MemoryCache(tmp_path, limit=0)
    cache.put("a", writing(1))
    assert list(tmp_path.iterdir()) == [] and cache.is_full


def test_what_is_damaged_is_set_aside(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise DamagedMemoryError(f"{path}: damaged", "Make it again.")

    cache = MemoryCache(tmp_path)
    cache.put("a", writing(10))
    with pytest.raises(MemoryFileError, match="damaged"):
        cache.get("a", refuse)
    assert names(cache) == ["a.vxm.damaged"] and cache.files()[0].is_damaged and cache.keys("") == []
    assert cache.get("a", refuse) is None
    cache.put("a", writing(10))
    assert cache.get("a", Path.read_bytes) == b"m" * 10
    assert len(cache.prune(0)) == 2 and names(cache) == []


def test_what_cannot_be_read_now_stays(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise MemoryFileError(f"{path}: cannot be read (Too many open files)", "Try again.")

    cache = MemoryCache(tmp_path)
    cache.put("a", writing(10))
    with pytest.raises(MemoryFileError, match="Too many"):
        cache.get("a", refuse)
    assert names(cache) == ["a.vxm"]


@pytest.mark.parametrize("by", ["removed", "replaced"])
def test_what_another_process_takes_away_meanwhile_is_not_there(tmp_path: Path, by: str) -> None:
    def load(path: Path) -> None:
        path.unlink()
        if by == "replaced":
            cache.put("a", writing(20))
        raise DamagedMemoryError(f"{path}: damaged", "Make it again.")

    cache = MemoryCache(tmp_path)
    cache.put("a", writing(10))
    assert cache.get("a", load) is None
    assert names(cache) == ["a.vxm"] * (by == "replaced")


def test_a_file_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MemoryCache(tmp_path)
    cache.put("a", writing(10))

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(CacheError, match=r"a\.vxm: cannot be removed \(Operation not permitted\)"):
        cache.prune(0)


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    cache = MemoryCache(tmp_path / "loop")
    for use in (cache.files, lambda: cache.keys("a"), lambda: cache.get("a", Path.read_bytes)):
        with pytest.raises(CacheError, match="cannot be read"):
            use()
    assert cache.path("a") is None


def test_what_a_killed_process_left_goes_after_an_hour(tmp_path: Path) -> None:
    cache = MemoryCache(tmp_path)
    for name, age in ((".a.vxm.x1", 7200.0), (".b.vxm.x2", 60.0)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    cache.prune()
    assert [path.name for path in tmp_path.iterdir()] == [".b.vxm.x2"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MemoryFileError, match="cannot be made"):
        MemoryCache(tmp_path / "file" / "cache").put("a", writing(1))


def test_the_user_s_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDEOXL_CACHE_DIR", str(tmp_path))
    cache = MemoryCache.of_user()
    assert (cache.folder, cache.limit) == (tmp_path / "memories", DEFAULT_LIMIT)
    monkeypatch.setenv("VIDEOXL_CACHE_SIZE", "20GiB")
    with pytest.raises(MemoryFileError, match="VIDEOXL_CACHE_SIZE: '20GiB' is not a size"):
        MemoryCache.of_user()
    monkeypatch.setenv("VIDEOXL_CACHE_SIZE", "1GB")
    monkeypatch.delenv("VIDEOXL_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    cache = MemoryCache.of_user()
    assert (cache.folder.parent.name, cache.limit) == ("videoxl", 10**9)
    monkeypatch.setenv("VIDEOXL_CACHE_DIR", "~no-such-user/x")
    with pytest.raises(CacheError, match="home folder is not known"):
        MemoryCache.of_user()
