"""Runs a function in a process of its own, under a deadline and a limit of memory. Nothing it does harms this one.

Processes are forked from a template that has imported PyTorch and touched no tensor, which takes milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from kernelwright.core.errors import MachineError

PRELOADED = ["kernelwright.bench.preloaded"]
LOOK = 0.25  # seconds between two looks at the memory
PAGE = os.sysconf("SC_PAGE_SIZE")
TAIL = 2000  # bytes of a log that are looked at for the reason
REASON = 300


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process, with all its descendants, may take."""

    seconds: float
    memory: int  # bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The process gave no answer."""

    stage: Literal["crash", "memory", "timeout"]
    reason: str


class Pen:
    """Owns the processes that it starts. A context manager; when it is left they are dead."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._alive: set[BaseProcess] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Pen:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._closed = True
            for process in self._alive:
                process.kill()

    def run(self, work: Callable[..., object], arguments: tuple[Any, ...], limits: Limits, log: Path) -> Any:
        """What work(*arguments) returns, or Ended. May be called from several threads at once.

        Both travel as pickles. What the process prints goes to `log`, which is removed where it stays empty.
        """
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_inside, args=(work, arguments, theirs, str(log)), daemon=True)
        self._start(process)
        theirs.close()
        try:
            return _answer(process, ours, limits, log)
        finally:
            process.kill()
            process.join()
            ours.close()
            with self._lock:
                self._alive.discard(process)
            if log.exists() and not log.stat().st_size:
                log.unlink()

    def _start(self, process: BaseProcess) -> None:
        with self._lock:
            if self._closed:
                raise MachineError("the run is being ended; go on with --resume")
            try:
                process.start()
            except OSError as error:
                raise MachineError(f"cannot start a process: {error}; end some others, then --resume") from error
            self._alive.add(process)


def _answer(process: BaseProcess, ours: Connection, limits: Limits, log: Path) -> Any:
    """Waits for it, or for the death of the process, or for a limit to be passed."""
    deadline = time.monotonic() + limits.seconds
    while not wait([ours, process.sentinel], timeout=LOOK):
        if time.monotonic() >= deadline:
            return Ended("timeout", f"not done after {limits.seconds:.0f} s")
        if (used := memory_of(process.pid or 0)) > limits.memory:
            return Ended("memory", f"used {used / 2**30:.1f} GiB, {limits.memory / 2**30:.1f} GiB allowed")
    try:
        return ours.recv()
    except EOFError:
        process.join()
        return _death(process.exitcode or 0, log)


def _death(status: int, log: Path) -> Ended:
    said = last_line(log)
    if status == -signal.SIGKILL:
        return Ended("memory", "killed by the system, most likely for want of memory")
    how = f"died of {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
    return Ended("crash", f"the process {how}" + (f": {said}" if said else ""))


def last_line(log: Path) -> str:
    if not log.exists():
        return ""
    lines = log.read_bytes()[-TAIL:].decode(errors="replace").strip().splitlines()
    return lines[-1][:REASON] if lines else ""


def memory_of(pid: int) -> int:
    """Bytes of memory of a process and its descendants, shared pages once; 0 where the system does not tell."""
    own, shared = 0, 0
    for each in _with_descendants(pid):
        try:
            _, resident, common, *_ = Path(f"/proc/{each}/statm").read_text().split()
        except (OSError, ValueError):
            continue
        own += (int(resident) - int(common)) * PAGE
        shared = max(shared, int(common) * PAGE)
    return own + shared


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for listing in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, listing.read_text().split())
            except OSError:
                continue
    return found


# In the process


def _inside(work: Callable[..., object], arguments: tuple[Any, ...], answer: Connection, log: str) -> None:
    _settle_in(log)
    answer.send(work(*arguments))


def _settle_in(log: str) -> None:
    """Own session, output to the log, dead when the runner is, and the first to go where memory runs out."""
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    threading.Thread(target=_end_with_runner, daemon=True).start()
    preference = Path("/proc/self/oom_score_adj")
    if preference.exists():
        preference.write_text("500")


def _end_with_runner() -> None:
    """Not when the process that it was forked from ends: that one lives as long as any of its children."""
    runner = multiprocessing.parent_process()
    assert runner, "this is no process of a pen"
    runner.join()
    os._exit(1)
