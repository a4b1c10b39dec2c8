"""The process that workers are forked from: it has imported what they need, and has never touched a tensor.

A tensor operation would start OpenMP's threads, and a forked child hangs in its first parallel region without them.
While workers live, it looks ten times a second whether one has passed a limit.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import shutil
import signal
import socket
import time
import traceback
from dataclasses import dataclass
from typing import Any

from kernelwright.judge import limits, requests, sandbox, wire, worker
from kernelwright.judge.limits import Limits
from kernelwright.judge.sandbox import Kind

LOOK = 0.1  # seconds between two looks at what workers use
SHORT = 0.005  # seconds between two looks at whether a worker has ended
CONFINED = b"confined"
ENDINGS = {signal.SIGXCPU: "used more CPU time than it may", signal.SIGXFSZ: "wrote a larger file than it may"}


@dataclass(slots=True)
class Ward:
    """A worker in custody. `passed`: the limit for which it was killed."""

    pid: int
    folder: str
    limits: Limits
    passed: str = ""


class Nursery:
    """All workers of this template that have not been waited for."""

    def __init__(self) -> None:
        self.wards: dict[int, Ward] = {}
        self._due = 0.0

    def look(self) -> None:
        """Kill those that have passed a limit, and bury orphans."""
        if not self.wards or time.monotonic() < self._due:
            return
        orphans = self._orphans()
        for ward in self.wards.values():
            if not ward.passed:
                ward.passed = limits.passed(ward.pid, orphans, ward.folder, ward.limits)
                if ward.passed:
                    kill_family(ward.pid)
        for orphan in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(orphan, os.WNOHANG)
        self._due = time.monotonic() + LOOK

    def end(self, pid: int, grace: float) -> str:
        """How the worker ended by itself within `grace` seconds, if it did. Its descendants die in any case."""
        if pid not in self.wards:
            return "unknown"
        give_up = time.monotonic() + grace
        while not (state := _ended(pid)) and time.monotonic() < give_up:
            self.look()
            time.sleep(SHORT)
        kill_family(pid)
        os.waitpid(pid, 0)
        ward = self.wards.pop(pid)
        self._end_orphans()
        return ward.passed or (describe(state) if state else "hung up and had to be killed")

    def end_all(self) -> None:
        for pid in tuple(self.wards):
            self.end(pid, 0.0)

    def _end_orphans(self) -> None:
        """Ends descendants of dead workers, also those that had left their process group."""
        while strays := {pid for pid in self._orphans() if limits.group(pid) not in self.wards}:
            for send in (signal.SIGSTOP, signal.SIGKILL):  # first all of them stand still, then none is left
                for pid in strays:
                    os.kill(pid, send)
            for pid in strays:
                os.waitpid(pid, 0)

    def _orphans(self) -> list[int]:
        return [pid for pid in limits.children(os.getpid(), os.getpid()) if pid not in self.wards]


def main(fd: int, folder: str, kind: Kind) -> None:
    """Serve the judge on socket `fd` until it is gone; then no worker and no file of theirs is left."""
    parent = os.getppid()
    connection = socket.socket(fileno=fd)
    nursery = Nursery()
    sandbox.prepare(kind)
    gc.freeze()
    wire.send_json(connection, {"ready": True})
    try:
        while os.getppid() == parent:
            if select.select([connection], [], [], LOOK if nursery.wards else 1.0)[0]:
                request, fds = wire.receive(connection)
                wire.send_json(connection, answer(request, fds, nursery, connection))
            nursery.look()
    except (EOFError, ConnectionError):
        pass
    finally:
        nursery.end_all()
        shutil.rmtree(folder, ignore_errors=True)


def answer(request: object, fds: list[int], nursery: Nursery, connection: socket.socket) -> dict[str, Any]:
    match request:
        case requests.Start():
            ward, ready = start(request, fds, connection)
            nursery.wards[ward.pid] = ward
            return {"pid": ward.pid, "confined": _said(ready) == CONFINED}
        case requests.End():
            return {"how": nursery.end(request.pid, request.grace)}
    raise TypeError(f"unknown request {request!r}")


def start(request: requests.Start, fds: list[int], connection: socket.socket) -> tuple[Ward, int]:
    """A new worker, and where it will say that it is confined."""
    own, log = fds
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            connection.close()
            os.close(ready)
            become_worker(request, socket.socket(fileno=own), log, told)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(0)
    for fd in (own, log, told):
        os.close(fd)
    return Ward(pid, request.folder, request.limits), ready


def become_worker(request: requests.Start, connection: socket.socket, log: int, told: int) -> None:
    sandbox.enter(request.folder, request.variables, log, request.limits, request.threads)
    sandbox.confine(request.boundary)
    os.write(told, CONFINED)
    os.close(log)
    os.close(told)
    worker.main(connection, request.threads, request.compiler)


def _said(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as file:
        return file.read()


def kill_family(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # one signal for all: none can fork away from it
    os.kill(pid, signal.SIGKILL)  # it may not yet lead its group; until it is waited for, the number is its own


def _ended(pid: int) -> os.waitid_result | None:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def describe(state: os.waitid_result) -> str:
    if state.si_code == os.CLD_EXITED:
        return f"exited with status {state.si_status}"
    number = signal.Signals(state.si_status)
    return ENDINGS.get(number, f"died of {number.name}")
