"""Cores and memory, on machines made of files: without limits, and in containers of both kinds."""

import os
from pathlib import Path

import pytest

from videoxl import machine

GIB = 1 << 30


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "_ROOT", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)
    write(tmp_path, "proc/meminfo", f"MemTotal: 9 kB\nMemAvailable: {20 * GIB // 1024} kB\n")
    return tmp_path


def write(root: Path, name: str, text: object) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def test_without_limits_the_machine_s(root: Path) -> None:
    assert (machine.num_cores(), machine.free_memory_bytes()) == (16, 20 * GIB)
    write(root, "proc/self/cgroup", "0::/user")
    write(root, "sys/fs/cgroup/user/cpu.max", "max 100000")
    write(root, "sys/fs/cgroup/user/memory.max", "max")
    write(root, "sys/fs/cgroup/user/memory.current", GIB)
    assert (machine.num_cores(), machine.free_memory_bytes()) == (16, 20 * GIB)


def test_version_2_with_the_tightest_of_nested_limits(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/pod/box")
    write(root, "sys/fs/cgroup/pod/cpu.max", "150000 100000")
    write(root, "sys/fs/cgroup/pod/box/cpu.max", "400000 100000")
    write(root, "sys/fs/cgroup/pod/memory.max", 4 * GIB)
    write(root, "sys/fs/cgroup/pod/memory.current", 3 * GIB)
    write(root, "sys/fs/cgroup/pod/memory.stat", f"anon 5\ninactive_file {GIB // 2}")
    write(root, "sys/fs/cgroup/pod/box/memory.max", "max")
    assert machine.num_cores() == 2
    assert machine.free_memory_bytes() == GIB + GIB // 2


def test_version_1(root: Path) -> None:
    write(root, "proc/self/cgroup", "7:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n1:name=systemd:/other")
    write(root, "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", 300000)
    write(root, "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", 100000)
    write(root, "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", 2 * GIB)
    write(root, "sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes", GIB)
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", GIB)
    assert (machine.num_cores(), machine.free_memory_bytes()) == (3, GIB)


def test_version_1_without_a_quota_inside_a_container_that_sees_only_itself(root: Path) -> None:
    write(root, "proc/self/cgroup", "3:cpu:/docker/x\n7:memory:/docker/x")
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", -1)
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us", 100000)
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", 3 * GIB)
    write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", 4 * GIB)
    assert (machine.num_cores(), machine.free_memory_bytes()) == (16, 0)


def test_what_this_process_holds(root: Path) -> None:
    write(root, "proc/self/statm", "9000 250 30 1 0 700 0")
    assert machine.own_memory_bytes() == 250 * os.sysconf("SC_PAGE_SIZE")


def test_where_nothing_can_be_found_out(root: Path) -> None:
    (root / "proc/meminfo").unlink()
    assert machine.own_memory_bytes() == 0
    assert machine.free_memory_bytes() is None


def test_this_machine() -> None:
    assert machine.num_cores() >= 1
    assert machine.own_memory_bytes() < 1 << 50
    free = machine.free_memory_bytes()
    assert free is None or 0 <= free < 1 << 50


@pytest.mark.parametrize(
    ("idle", "own", "free"),
    [(2.0, 2.0, 4), (0.1, 1.9, 2), (0.0, 0.9, 1), (0.0, 0.0, 1), (15.9, 0.1, 16), (63.0, 1.0, 16)],
)
def test_cores_that_others_use_are_not_free(
    root: Path, monkeypatch: pytest.MonkeyPatch, idle: float, own: float, free: int
) -> None:
    clock = {"time": 100.0, "own": 5.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["time"])
    monkeypatch.setattr("time.process_time", lambda: clock["own"])
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    write(root, "proc/stat", "cpu 500 0 100 1000 50 0 0\ncpu0 1 2 3")
    meter = machine.CoreMeter()
    clock["time"] += 0.1
    assert meter.num_free() == 16  # too soon to tell
    clock["time"] += 0.9
    clock["own"] += own
    write(root, "proc/stat", f"cpu 900 0 100 {1000 + round(idle * 100)} 50 0 0")
    assert meter.num_free() == free


def test_without_counters_all_cores_are_free(root: Path) -> None:
    assert machine.CoreMeter().num_free() == 16
