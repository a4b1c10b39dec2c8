"""What a sandbox keeps in, shown and not claimed: a real worker tries what it must not, and we look at the effect."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kernelwright.judge import requests
from kernelwright.judge.processes import Fault, Workshop
from kernelwright.judge.sandbox import Kind

SECONDS = 30.0
SOON = 1.0  # seconds in which a process that was killed is seen dead
WAITS = (sys.executable, "-I", "-c", "input()")
TRIES = """
import os, socket, torch
def write(): open({target!r}, "w").close()
def read(): print(open({secret!r}).read())
def connect(): socket.create_connection(("127.0.0.1", {port}), 2.0).sendall(b"x")
def signal(): os.kill({bystander}, 9)
for attempt in (write, read, connect, signal):
    try: attempt()
    except Exception as error: print(attempt.__name__, error)
print("tried", flush=True)
class Model(torch.nn.Module): pass
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that a worker must not be able to do, and whether it could."""

    what: str
    succeeded: bool


def prove(kind: Kind, private: Path) -> tuple[Attempt, ...]:
    """What came of each attempt of a worker in this sandbox. `private`: a folder of the user that workers may not see.

    Raises MachineError where no worker starts, and Fault where it does not come to the end of its attempts.
    """
    private.mkdir(parents=True, exist_ok=True)
    target = Path.home() / f".kernelwright-{secrets.token_hex(8)}"
    word = secrets.token_hex(16)
    with (
        tempfile.NamedTemporaryFile("w", dir=private) as secret,
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(WAITS, stdin=subprocess.PIPE) as bystander,
        Workshop({"PATH": os.defpath}, 1, kind=kind) as workshop,
        workshop.start() as worker,
    ):
        secret.write(word)
        secret.flush()
        port = listener.getsockname()[1]
        source = TRIES.format(target=str(target), secret=secret.name, port=port, bystander=bystander.pid)
        worker.ask(requests.Build(source, "Model", (), 0), SECONDS)
        said = worker.output()
        attempts = (
            Attempt(f"write {target}", target.exists()),
            Attempt(f"read {secret.name}", word in said),
            Attempt(f"connect to 127.0.0.1:{port}", _knocked(listener)),
            Attempt("end another process", _ended(bystander)),
        )
        bystander.kill()
    target.unlink(missing_ok=True)
    if not said.rstrip().endswith("tried"):
        raise Fault("did not come to the end of its attempts", said)
    return attempts


def _ended(bystander: subprocess.Popen[bytes]) -> bool:
    try:
        bystander.wait(timeout=SOON)
    except subprocess.TimeoutExpired:
        return False
    return True


def _knocked(listener: socket.socket) -> bool:
    listener.settimeout(0.2)
    try:
        listener.accept()[0].close()
    except TimeoutError:
        return False
    return True
