"""What a call needs of the machine at least and at most: memory at its peak, and the time that its output takes."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kernelwright.judge import requests
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.memory import dtype_named

ROUNDS, WRITES = 5, 8
MARGIN = 4.0  # times faster than a memset that a kernel may write: past the caches, or from another core's
LEAST = 1 << 20  # bytes of output below which launching costs more than writing
RESET_PEAK = "5"  # to /proc/PID/clear_refs: proc(5)


def output_bytes(form: Mapping[str, Any]) -> int:
    """Bytes that a forward of this form has to write: those of outputs that share no memory with anything else."""
    if "dtype" in form:
        size = torch.Size(form["shape"]).numel() * dtype_named(form["dtype"]).itemsize
        return 0 if form["alias"] else size
    return sum(output_bytes(item) for item in form.get("items", ()))


def floor_ns(nbytes: int, device: str, threads: int) -> float:
    """Nanoseconds below which nobody writes so many bytes on this machine; 0 where there are too few to tell."""
    if nbytes < LEAST:
        return 0.0
    if device == "cuda":
        written = torch.zeros(nbytes, dtype=torch.uint8, device=device)
        return min(_device_write_ns(written) for _ in range(ROUNDS)) / MARGIN
    block = ctypes.create_string_buffer(nbytes)
    return min(_host_write_ns(block) for _ in range(ROUNDS)) / threads / MARGIN


def _device_write_ns(written: torch.Tensor) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter_ns()
    for number in range(WRITES):
        written.fill_(number)
    torch.cuda.synchronize()
    return (time.perf_counter_ns() - start) / WRITES


def _host_write_ns(block: ctypes.Array[ctypes.c_char]) -> float:
    """On one core, in processor time: a busy machine has no slower memset."""
    start = time.thread_time_ns()
    for number in range(WRITES):
        ctypes.memset(block, number, len(block))
    return (time.thread_time_ns() - start) / WRITES


class Footprint:
    """Counts the memory of one worker from here on. Where the system does not tell, `peak` is None."""

    def __init__(self, examinee: Examinee, device: str) -> None:
        self._examinee, self._device = examinee, device
        examinee.worker.ask(requests.Trim(), examinee.seconds)
        self._before = self._begin()

    def peak(self) -> int | None:
        """Bytes at the most since the beginning, beyond those in use then. On a device by the worker's own word."""
        if self._device == "cuda":
            told = self._examinee.worker.ask(requests.Peak(), self._examinee.seconds).get("bytes")
            return told if isinstance(told, int) else None
        highest = _status(self._examinee.worker.pid, "VmHWM")
        return None if self._before is None or highest is None else max(highest - self._before, 0)

    def _begin(self) -> int | None:
        pid = self._examinee.worker.pid
        if self._device == "cuda" or sys.platform != "linux":
            return None
        try:
            Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)
        except OSError:
            return None
        return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int | None:
    """Bytes that /proc lists under this name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) * 1024 if found else None
