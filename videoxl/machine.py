"""What this process may use of the machine, also in a container with limits of its own, and how processes ended."""

import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")
_UNLIMITED = 1 << 60  # bytes; cgroup v1 writes a number near 2 ** 63 where there is no limit


def num_cores() -> int:
    """Return how many cores this process may use: of its affinity, and of its control group's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _groups("cpu"):
        quota = _numbers(folder / "cpu.max")  # v2: "max 100000" or "150000 100000"
        if len(quota) != 2:
            quota = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
        if len(quota) == 2 and quota[0] > 0 and quota[1] > 0:
            cores = min(cores, math.ceil(quota[0] / quota[1]))
    return max(1, cores)


class CoreMeter:
    """Measures how many cores are free: idle, or used by this process itself.

    Two threads on one busy core are many times slower than one, so cores that others use must not count. The system
    is queried at most four times a second: the number may be needed for every token.

    Attributes:
        num_cores: cores that this process may use, as of the last reading.
    """

    _SECONDS = 0.25  # between two readings; the system counts in hundredths of a second

    def __init__(self) -> None:
        self.num_cores = self._free = num_cores()
        self._last = self._read()

    def num_free(self) -> int:
        """Return the free cores since the last reading, at least one; all, where that is not known."""
        if self._last is None or time.monotonic() - self._last[0] < self._SECONDS:
            return self._free
        now = self._read()
        if now is not None:
            elapsed, idle, own = (after - before for after, before in zip(now, self._last, strict=True))
            self.num_cores = num_cores()
            self._free = min(self.num_cores, max(1, round((idle + own) / elapsed)))
            self._last = now
        return self._free

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """Return the time, the idle time of all cores and this process's, in seconds."""
        words = _text(_ROOT / "proc/stat").partition("\n")[0].split()
        if len(words) < 6:
            return None
        idle = (int(words[4]) + int(words[5])) / os.sysconf("SC_CLK_TCK")  # waiting for a disk is idle too
        return time.monotonic(), idle, time.process_time()


def free_memory_bytes() -> int | None:
    """Return how much main memory this process can still take, bytes; None where that cannot be found out."""
    free = _available()
    for folder in _groups("memory"):
        for limit_name, used_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = _numbers(folder / limit_name), _numbers(folder / used_name)
            if limit and used and limit[0] < _UNLIMITED:
                # Pages of files that nobody uses at the moment count as used, and are given up on demand.
                left = max(0, limit[0] - used[0] + _statistic(folder / "memory.stat", cache_name))
                free = left if free is None else min(free, left)
    return free


def own_memory_bytes() -> int:
    """Return how much main memory this process holds at the moment, bytes; 0 where that cannot be found out."""
    pages = _numbers(_ROOT / "proc/self/statm")
    return pages[1] * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def _available() -> int | None:
    lines = dict(line.split(":", 1) for line in _text(_ROOT / "proc/meminfo").splitlines() if ":" in line)
    words = lines.get("MemAvailable", "").split()
    return int(words[0]) * 1024 if words else None


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and of those around it; each may have limits."""
    mount = _ROOT / "sys/fs/cgroup"
    for line in _text(_ROOT / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = mount / controllers if controllers else mount
        if controllers and not top.is_dir():
            top = mount / controller  # "cpu,cpuacct" may be mounted under either name
        folder = top / path.lstrip("/")
        while True:
            yield folder
            if folder == top:
                break
            folder = folder.parent


def _numbers(path: Path) -> list[int]:
    """Return the whole numbers in a small file, none where it says "max"; nothing if there is no such file."""
    return [int(word) for word in _text(path).split() if word.lstrip("-").isdigit()]


def _statistic(path: Path, name: str) -> int:
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name:
            return int(words[1])
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # no such limit, or a machine that has none
        return ""


def describe_exit(code: int) -> str:
    """Return a description of how a process ended, from its exit code: negative ones are signals."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
