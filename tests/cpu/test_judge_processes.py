"""Worker processes: what they inherit, and that none outlives its judge."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernelwright.core.errors import MachineError
from kernelwright.judge import requests
from kernelwright.judge.processes import Fault, Worker, Workshop

pytestmark = pytest.mark.cpu

MODULE = "import torch\nclass Model(torch.nn.Module):\n    def forward(self, x):\n        {}\n"


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop({"PATH": os.defpath, "SECRET": "kept out"}, threads=1) as opened:
        yield opened


def build(worker: Worker, top: str) -> None:
    worker.ask(requests.Build(MODULE.format("return x") + top, "Model", (), 0), 20.0)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def gone_within(seconds: float, pids: list[int]) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


def printed(worker: Worker, expression: str) -> str:
    build(worker, f"\nprint({expression}, flush=True)\n")
    return worker.output().removeprefix("printed: ").strip()


def test_a_worker_has_its_own_home_and_only_the_variables_that_it_was_given(workshop: Workshop) -> None:
    with workshop.start({"EXTRA": "1"}) as worker:
        told = printed(worker, "(sorted(torch.os.environ), torch.os.getcwd(), torch.os.environ['HOME'])")
    names = "EXTRA HOME OMP_NUM_THREADS PATH SECRET TMPDIR TORCHINDUCTOR_CACHE_DIR TRITON_CACHE_DIR".split()
    assert told == str((names, str(worker.folder), str(worker.folder)))
    assert not worker.folder.exists()


def test_a_worker_reads_nothing_from_the_terminal(workshop: Workshop) -> None:
    with workshop.start() as worker:
        assert printed(worker, "repr(torch.sys.stdin.read())") == "''"


def test_children_of_a_worker_die_with_it_even_in_a_session_of_their_own() -> None:
    fork = "\nchild = torch.os.fork()\nif not child:\n    torch.os.setsid()\n    while True: torch.os.read(0, 1)\n"
    with Workshop({"PATH": os.defpath}, threads=1, kind="none") as workshop, workshop.start() as worker:
        build(worker, fork + "print(child, flush=True)\n")
        child = int(worker.output().removeprefix("printed: "))
        assert alive(child)
        worker.end()
        assert gone_within(2.0, [child])


def test_a_worker_that_died_tells_how(workshop: Workshop) -> None:
    with workshop.start() as worker, pytest.raises(Fault, match="the process died of SIGSEGV"):
        build(worker, "\ntorch.os.kill(torch.os.getpid(), 11)\n")


def test_a_paused_worker_takes_no_time_and_goes_on_when_asked(workshop: Workshop) -> None:
    with workshop.start() as worker:
        build(worker, "\nimport threading\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()\n")
        worker.pause()
        time.sleep(0.1)  # a signal takes its time on a busy machine
        before = cpu_ticks(worker.pid)
        time.sleep(0.2)
        assert cpu_ticks(worker.pid) == before
        assert worker.ask(requests.Run(0), 5.0)["done"] == 0


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_frame_may_not_be_larger_than_the_limit(workshop: Workshop) -> None:
    head = "(1 << 40).to_bytes(8, 'big')"
    flood = f"\nfor fd in range(3, 64):\n    try: torch.os.write(fd, {head})\n    except OSError: pass\n"
    with workshop.start() as worker, pytest.raises(Fault, match="a frame of 1099511627776 bytes"):
        build(worker, flood)


JUDGE = """
import os, sys, time
from kernelwright.judge.processes import Workshop
with Workshop({"PATH": os.defpath}, threads=1) as workshop:
    worker = workshop.start()
    print(workshop._process.pid, worker.pid, workshop.folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_judge_is_killed(number: signal.Signals) -> None:
    judge = subprocess.Popen(
        [sys.executable, "-c", JUDGE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert judge.stdout
    template, worker, folder = judge.stdout.readline().split()
    assert alive(int(template)) and alive(int(worker))
    judge.send_signal(number)
    judge.wait(timeout=20)
    assert gone_within(5.0, [int(template), int(worker)])
    deadline = time.monotonic() + 2.0
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()


def test_nothing_is_left_when_the_judge_is_done() -> None:
    with Workshop({"PATH": os.defpath}, threads=1) as workshop:
        template, worker = workshop._process.pid, workshop.start().pid
        assert alive(worker)
    assert gone_within(2.0, [template, worker])
    assert not workshop.folder.exists()


def test_an_interrupt_between_a_request_and_its_answer_leaves_nothing() -> None:
    """The answer would come later, and be taken for that to the next request."""
    with Workshop({"PATH": os.defpath}, threads=1) as workshop:
        template = workshop._process.pid
        with workshop.start() as first, workshop.start() as second:
            workers = [first.pid, second.pid]
            first.pause()  # so it cannot end by itself, and the answer takes as long as it has grace
            with pytest.raises(Interrupted), interrupted_after(0.2):
                first.end(grace=1.0)
        with pytest.raises(MachineError, match="the process that forks workers is gone"):
            workshop.start()
    assert gone_within(2.0, [template, *workers])
    assert not workshop.folder.exists()


class Interrupted(BaseException):
    """As a KeyboardInterrupt, which would end pytest where it went astray."""


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_workers_die_when_the_template_is_killed() -> None:
    with Workshop({"PATH": os.defpath}, threads=1) as workshop:
        worker = workshop.start().pid
        workshop._process.kill()
        assert gone_within(5.0, [worker])
