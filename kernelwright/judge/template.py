"""The process that workers are forked from: it has imported what they need, and has never touched a tensor.

A tensor operation would start OpenMP's threads, and a forked child hangs in its first parallel region without them.
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
from pathlib import Path
from typing import Any

from kernelwright.judge import requests, sandbox, wire, worker

LOOK = 1.0  # seconds between two looks at whether the judge is still there


def main(fd: int, folder: str) -> None:
    """Serve the judge on socket `fd` until it is gone; then no worker and no file of theirs is left."""
    parent = os.getppid()
    connection = socket.socket(fileno=fd)
    workers: set[int] = set()
    sandbox.adopt_orphans()
    gc.freeze()
    wire.send_json(connection, {"ready": True})
    try:
        while os.getppid() == parent:
            if select.select([connection], [], [], LOOK)[0]:
                request, fds = wire.receive(connection)
                wire.send_json(connection, answer(request, fds, workers, connection))
    except (EOFError, ConnectionError):
        pass
    finally:
        for pid in tuple(workers):
            end(pid, 0.0, workers)
        shutil.rmtree(folder, ignore_errors=True)


def answer(request: object, fds: list[int], workers: set[int], connection: socket.socket) -> dict[str, Any]:
    match request:
        case requests.Start():
            return {"pid": start(request, fds, workers, connection)}
        case requests.End():
            return end(request.pid, request.grace, workers)
    raise TypeError(f"unknown request {request!r}")


def start(request: requests.Start, fds: list[int], workers: set[int], connection: socket.socket) -> int:
    own, log = fds
    pid = os.fork()
    if pid == 0:
        try:
            connection.close()
            sandbox.enter(request.folder, request.variables, log)
            os.close(log)
            worker.main(socket.socket(fileno=own), request.threads, request.compiler)
        finally:
            os._exit(0)
    os.close(own)
    os.close(log)
    workers.add(pid)
    return pid


def end(pid: int, grace: float, workers: set[int]) -> dict[str, Any]:
    """How the worker ended by itself within `grace` seconds, if it did. Its process group dies in any case."""
    if pid not in workers:
        return {"how": "unknown"}
    how = "killed by the judge"
    give_up = time.monotonic() + grace
    while True:
        state = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if state is not None:
            how = describe(state)
        if state is not None or time.monotonic() >= give_up:
            break
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)  # it may not yet lead its group; until it is waited for, the number is its own
    os.waitpid(pid, 0)
    workers.discard(pid)
    end_orphans(workers)
    return {"how": how}


def describe(state: os.waitid_result) -> str:
    if state.si_code == os.CLD_EXITED:
        return f"exited with status {state.si_status}"
    return f"died of {signal.Signals(state.si_status).name}"


def end_orphans(workers: set[int]) -> None:
    """Ends descendants of dead workers that had left their process group."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    while strays := _children(listing) - workers:
        for pid in strays:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children(listing: Path) -> set[int]:
    try:
        return {int(pid) for pid in listing.read_text().split()}
    except OSError:
        return set()
