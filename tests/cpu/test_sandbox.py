"""Hostile candidates on the real judge: what they reach for is refused, what they start is ended, and work goes on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import kernelwright
from kernelwright.cli import doctor
from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.outcome import Outcome, Rejected, Screened
from kernelwright.core.spec import Target
from kernelwright.core.task import Task
from kernelwright.judge import sandbox
from kernelwright.judge.examinee import Patience
from kernelwright.judge.judge import IsolatedJudge, open_judge
from kernelwright.judge.limits import GIB, Limits
from kernelwright.judge.proof import prove

pytestmark = pytest.mark.cpu

REFERENCE = """
import torch
from torch import nn

class Model(nn.Module):
    def forward(self, x):
        return torch.relu(x) + x

def get_inputs():
    return [torch.randn(64, 32)]

def get_init_inputs():
    return []
"""
HONEST = REFERENCE.replace("class Model", "class ModelNew").partition("def get_inputs")[0]
TASK = Task(REFERENCE, (), Target("cpu", "avx2", "any"))
LIMITS = Limits(memory=GIB, disk=GIB // 10, processes=24)
HANDS = """
os, sys = torch.os, torch.sys
socket, ctypes, time = (sys.modules[name] for name in ("socket", "ctypes", "time"))

def must(status):
    if status < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A judge at work, and what a candidate may be after."""

    judge: IsolatedJudge
    project: Path
    tcp: socket.socket
    udp: socket.socket

    def screened(self, source: str) -> Outcome:
        (outcome,) = self.judge.screen((Candidate("task", source, Handmade("test")),))
        return outcome

    def at_import(self, attack: str) -> Outcome:
        places = {
            "project": str(self.project), "home": str(Path.home()), "judge": os.getpid(), "package": PACKAGE,
            "other": str(self.judge._court._eager.worker.folder), "port": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
        }  # fmt: skip
        known = "".join(f"{name} = {value!r}\n" for name, value in places.items())
        return self.screened(HONEST + HANDS + known + attack)

    def present(self) -> tuple[set[int], set[Path]]:
        """Processes, and what lies in the judge's folder."""
        workshop = self.judge._court._workshop
        return workshop.offspring(), set(workshop.folder.iterdir())


PACKAGE = str(Path(kernelwright.__file__).parent)


@pytest.fixture(scope="module", params=["sandlock", "bubblewrap"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if lacking := sandbox.lacks(request.param):
        pytest.skip(lacking)
    project = tmp_path_factory.mktemp("project")
    (project / "secret.txt").write_text("secret")
    patience = Patience(build=20.0, call=3.0)
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        open_judge(TASK, baselines=("eager",), threads=1, patience=patience, sandbox=request.param,
                   limits=LIMITS) as judge,
    ):  # fmt: skip
        udp.bind(("127.0.0.1", 0))
        assert judge.environment.sandbox == request.param
        assert not judge._court.refusal
        yield Scene(judge, project, tcp, udp)


FLED = """
if not (child := os.fork()):
    try: os.setsid()
    except PermissionError: os._exit(1)
    os._exit(0)
if os.waitpid(child, 0)[1]: raise PermissionError("setsid")
"""
OUT_OF_REACH = {
    "a new file in the user's home": "os.open(f'{home}/.kernelwright-new', os.O_CREAT | os.O_WRONLY)",
    "the user's project": "os.open(f'{project}/secret.txt', os.O_RDONLY)",
    "a new file in the project": "os.open(f'{project}/new', os.O_CREAT | os.O_WRONLY)",
    "a new file in /etc": "os.open('/etc/kernelwright', os.O_CREAT | os.O_WRONLY)",
    "a new file among our own": "os.open(f'{package}/new.py', os.O_CREAT | os.O_WRONLY)",
    "the baseline's folder": "os.open(f'{other}/candidate.py', os.O_RDONLY)",
    "a new file in the baseline's folder": "os.open(f'{other}/new', os.O_CREAT | os.O_WRONLY)",
    "shared memory": "os.open('/dev/shm/new', os.O_CREAT | os.O_WRONLY)",
    "the mode of a file of ours": "os.chmod(f'{package}/__init__.py', 0o600)",
    "the judge's memory": "os.open(f'/proc/{judge}/mem', os.O_RDWR)",
    "the template's memory": "os.open(f'/proc/{os.getppid()}/mem', os.O_RDWR)",
    "the template's variables": "os.open(f'/proc/{os.getppid()}/environ', os.O_RDONLY)",
    "the judge by a signal": "os.kill(judge, 23)",
    "the template by a signal": "os.kill(os.getppid(), 23)",
    "the judge by ptrace": "libc = ctypes.CDLL(None, use_errno=True)\nmust(libc.ptrace(16, judge, 0, 0))",
    "the template's cores": "os.sched_setaffinity(os.getppid(), {0})",
    "TCP": "socket.create_connection(('127.0.0.1', port), 2.0).sendall(b'x')",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', udp))",
    "UDP by a pair of sockets": "socket.socketpair(type=socket.SOCK_DGRAM)",
    "the kernel's tables": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a service of this machine": "socket.socket(socket.AF_UNIX).connect('/run/dbus/system_bus_socket')",
    "memory that has no owner": "os.memfd_create('hidden')",
    "a session of its own": FLED,
    "namespaces": "must(ctypes.CDLL(None, use_errno=True).unshare(0x10000000))",
    "a higher priority": "os.setpriority(os.PRIO_PROCESS, 0, -5)",
}


@pytest.mark.parametrize("what", OUT_OF_REACH)
def test_a_candidate_cannot_reach(scene: Scene, what: str) -> None:
    outcome = scene.at_import(OUT_OF_REACH[what])
    assert isinstance(outcome, Rejected), outcome
    kind = outcome.reason.partition(":")[0]
    assert kind in {"PermissionError", "FileNotFoundError", "ProcessLookupError", "OSError"}, outcome


def test_nothing_of_that_was_seen_outside(scene: Scene) -> None:
    assert [path.name for path in scene.project.iterdir()] == ["secret.txt"]
    assert not Path("/etc/kernelwright").exists()
    for listener, take in ((scene.tcp, scene.tcp.accept), (scene.udp, lambda: scene.udp.recv(1))):
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            take()
    assert isinstance(scene.screened(HONEST), Screened)


WRITE = "fd = os.open('{}', os.O_CREAT | os.O_WRONLY)\n    os.write(fd, bytes(1 << 22))\n    os.close(fd)\n"
SLEEP = "while True: time.sleep(1)\n"
ENDED = {
    "a fork bomb": ("while True: os.fork()", "started more than 24 processes"),
    "one that fills memory": (
        "kept = []\nwhile True: kept.append(torch.ones(1 << 22))",
        "used more than 1.0 GiB of memory",
    ),
    "children that fill memory": (
        "for _ in range(8):\n    if not os.fork():\n        kept = torch.ones(1 << 26)\n        " + SLEEP + SLEEP,
        "used more than 1.0 GiB of memory",
    ),
    "one that fills the disk": (
        "for i in iter(int, 1):\n    " + WRITE.format("' + str(time.time()) + '"),
        "wrote more than 0.1 GiB to disk",
    ),
    "one that fills the disk without a trace": (
        "while True:\n    " + WRITE.format("x") + "    os.unlink('x')",
        "wrote more than 0.1 GiB to disk",
    ),
    "one that leaves at import": ("os._exit(0)", "exited with status 0"),
    "one that closes every file": ("os.closerange(0, 256)\n" + SLEEP, "hung up and had to be killed"),
    "one that talks through a child and dies": (
        "if os.fork(): os.kill(os.getpid(), 9)\nraise KeyError('child')",
        "KeyError: 'child'",
    ),
}


@pytest.mark.parametrize("who", ENDED)
def test_is_ended_with_the_reason_and_leaves_nothing(scene: Scene, who: str) -> None:
    before = scene.present()
    attack, reason = ENDED[who]
    outcome = scene.at_import(attack)
    assert isinstance(outcome, Rejected) and reason in outcome.reason, outcome
    assert scene.present() == before
    assert isinstance(scene.screened(HONEST), Screened)


def test_one_that_stops_itself_is_ended_at_its_deadline(scene: Scene) -> None:
    before = scene.present()
    attack = "torch.os.kill(torch.os.getpid(), 19)"
    outcome = scene.screened(HONEST.replace("return torch", f"{attack}\n        return torch"))
    assert isinstance(outcome, Rejected) and "did not return within 3 s" in outcome.reason, outcome
    assert scene.present() == before
    assert isinstance(scene.screened(HONEST), Screened)


def test_a_daemon_does_not_outlive_its_candidate(scene: Scene) -> None:
    before = scene.present()
    outcome = scene.at_import("if not os.fork():\n    if os.fork(): os._exit(0)\n    " + SLEEP)
    assert isinstance(outcome, Screened | Rejected)
    assert scene.present() == before


COMPILED = (
    HONEST.replace("from torch import nn", "from torch import nn\nfrom kernelwright.runtime import cpp\n")
    + """
        out = torch.empty(64, 32)
        KERNELS.twice(x, out)
        return out

KERNELS = cpp(r'''
extern "C" void twice(const float* x, float* out) {
    #pragma omp parallel for
    for (long i = 0; i < 64 * 32; i++) out[i] = x[i] > 0 ? 2 * x[i] : x[i];
}
''')
"""
)


def test_a_kernel_is_built_and_run_inside(scene: Scene) -> None:
    outcome = scene.screened(COMPILED.replace("        return torch.relu(x) + x\n", ""))
    assert isinstance(outcome, Screened), outcome


def test_the_proof_finds_no_sandbox_open(tmp_path: Path) -> None:
    assert [attempt.succeeded for attempt in prove("none", tmp_path)] == [True] * 4


def test_the_doctor_names_the_sandbox_and_what_it_withstood(tmp_path: Path) -> None:
    check = doctor.sandbox("auto", tmp_path)
    assert check.state == "ok" and check.found.startswith(sandbox.choose())
    assert all(word in check.found for word in ("write", "read", "connect", "end another process"))


def test_the_doctor_calls_a_sandbox_that_is_off_missing(tmp_path: Path) -> None:
    assert doctor.sandbox("none", tmp_path).state == "missing"
