"""Cold caches: before each sample whatever the caches hold is pushed out by bytes of the judge's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import torch

from kernelwright.judge import cuda

MOST = (
    32 << 20
)  # bytes of a processor's caches that are pushed out; servers share hundreds of MiB, which takes too long
USUAL = 8 << 20  # where the system does not tell
BUSY = 3.0  # times its shortest that pushing out may take on a device that is idle
SLACK = 300_000  # nanoseconds that it may take besides
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Caches(Protocol):
    def evict(self) -> bool:
        """Push everything out. Whether the device was busy with something else meanwhile, where that can be told."""
        ...


class HostCaches:
    """Those of the processor: as many bytes as its caches hold are read and written, at most 32 MiB."""

    def __init__(self) -> None:
        self._bytes = torch.zeros(min(host_cache_bytes() or USUAL, MOST), dtype=torch.uint8)

    def evict(self) -> bool:
        self._bytes.add_(1)
        return False


class DeviceCaches:
    """A GPU's last-level cache, lines that were asked to persist included.

    The same work takes several times as long where another process keeps the device busy: that is how it shows.
    """

    def __init__(self) -> None:
        self._bytes = torch.zeros(2 * cuda.cache_bytes(), dtype=torch.uint8, device="cuda")
        self._shortest = 0
        for _ in range(5):
            self.evict()

    def evict(self) -> bool:
        torch.cuda.synchronize()
        cuda.forget_persisting_lines()
        start = time.perf_counter_ns()
        self._bytes.add_(1)
        torch.cuda.synchronize()
        taken = time.perf_counter_ns() - start
        self._shortest = min(self._shortest or taken, taken)
        return taken > BUSY * self._shortest + SLACK


def caches_of(device: str) -> Caches:
    return DeviceCaches() if device == "cuda" else HostCaches()


def host_cache_bytes() -> int:
    """What Linux lists of the first core's data and unified caches; 0 where it lists none."""
    found = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")
    return sum(_bytes((index / "size").read_text()) for index in found if (index / "size").exists())


def _bytes(text: str) -> int:
    text = text.strip()
    return int(text.rstrip("KMG") or 0) * UNITS.get(text[-1:], 1)
