"""How much of the machine a worker and its descendants may use, and which limit they have passed.

The kernel's own limits hold for one process; what a whole family uses is looked up in /proc. Linux only.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

GIB = 1 << 30
CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class Limits:
    """For a worker and its descendants together; `file`, `open_files` and `cpu` for each of its processes."""

    memory: int  # bytes
    disk: int = GIB  # bytes written, and bytes in its folder
    processes: int = 256
    threads: int = 4096
    file: int = 256 << 20  # bytes of one file
    open_files: int = 1024
    cpu: int = 3600  # seconds; 0 for no limit


def granting(gibibytes: float = 0.0) -> Limits:
    """So much memory; for 0, half of what this machine, or the container around us, has."""
    return Limits(int(gibibytes * GIB) or machine_memory() // 2)


def machine_memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP:
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(path).read_text()))
    return total


def impose(limits: Limits, threads: int) -> None:
    """The kernel's part of the limits, on this process and those that it will start."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, limits.file)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    if limits.cpu:
        _limit(resource.RLIMIT_CPU, limits.cpu * threads)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # the first to go when the machine's memory ends


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def passed(pid: int, adopted: Iterable[int], folder: str, limits: Limits) -> str:
    """The first limit that this worker has passed, with orphans of its among those `adopted`; "" for none."""
    members = descendants(pid, *(orphan for orphan in adopted if group(orphan) == pid))
    family = tuple(islice(members, limits.processes + 1))  # a fork bomb grows faster than one can count
    if len(family) > limits.processes:
        return f"started more than {limits.processes} processes"
    if sum(threads for _, threads in family) > limits.threads:
        return f"started more than {limits.threads} threads"
    pids = [member for member, _ in family]
    if sum(map(resident, pids)) > limits.memory and sum(map(proportional, pids)) > limits.memory:
        return f"used more than {limits.memory / GIB:.1f} GiB of memory"
    if max(sum(map(written, pids)), size(folder, limits.disk)) > limits.disk:
        return f"wrote more than {limits.disk / GIB:.1f} GiB to disk"
    return ""


def descendants(*pids: int) -> Iterator[tuple[int, int]]:
    """These processes and all that they have started, each with the number of its threads."""
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        threads = _entries(f"/proc/{pid}/task")
        if threads:
            yield pid, len(threads)
        for thread in threads:
            waiting += children(pid, thread)


def children(pid: int, thread: str | int) -> list[int]:
    return [int(child) for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def group(pid: int) -> int:
    """The process group; 0 where the process is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def innermost(pid: int) -> int:
    """The pid of this process in its own namespace; 0 where it is gone."""
    lines = [line for line in _read(f"/proc/{pid}/status").splitlines() if line.startswith("NSpid:")]
    return int(lines[0].split()[-1]) if lines else 0


def resident(pid: int) -> int:
    """Bytes of memory, shared ones included. Cheap."""
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def proportional(pid: int) -> int:
    """Bytes of memory, a page that n processes share counted as its nth part. Dear; what is resident where unknown."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return resident(pid)


def written(pid: int) -> int:
    """Bytes that went to a file by a call of write, or else by way of mapped memory; also to files without a name."""
    counts = dict(line.split(": ") for line in _read(f"/proc/{pid}/io").splitlines())
    return max(int(counts.get("wchar", 0)), int(counts.get("write_bytes", 0)))


def size(folder: str, enough: int) -> int:
    """Bytes on disk of what lies in the folder; counting ends above `enough`."""
    total, waiting = 0, [folder]
    while waiting and total <= enough:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                total += _blocks(entry)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return total


def _blocks(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0


def _entries(folder: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []


def _read(path: str) -> str:
    """The text of a file in /proc; "" where its process is gone, or not ours to look at."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
