"""The judge's side of its child processes: start one, ask it, stop its clock, end it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import kernelwright
from kernelwright.core.errors import MachineError
from kernelwright.judge import limits, reach, requests, sandbox, wire
from kernelwright.judge.cuda import DeviceArena
from kernelwright.judge.limits import Limits
from kernelwright.judge.memory import Arena
from kernelwright.judge.sandbox import Boundary, Kind

READY = 120.0  # seconds that importing torch may take
GRACE = 1.0  # seconds for a worker that hung up to be seen dead
LOG_TAIL = 4000  # bytes of what a worker printed that are kept as detail
REASON = 300  # characters of a worker's own words in a reason
CPUCLOCK_SCHED = 2  # of the clock id that Linux gives a process: clock_getcpuclockid(3)

BOOT = "import sys; sys.path[:0] = [{package!r}]; sys.path.append({torch!r}); " \
       "from kernelwright.judge.template import main; main({fd}, {folder!r}, {kind!r})"  # fmt: skip


class Fault(Exception):
    """A worker failed, died, hung or talked nonsense. The stage that asked it turns this into its objection."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


class Worker:
    """One worker process. A context manager; when it is left the process is dead."""

    def __init__(self, workshop: Workshop, pid: int, connection: socket.socket, log: int, folder: Path) -> None:
        self.workshop, self.pid, self.folder = workshop, pid, folder
        self._connection, self._log = connection, log
        self._asked = 0
        self._pending: deque[int] = deque()
        self._shared: dict[str, Arena | DeviceArena] = {}
        self._paused = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def ask(self, request: object, seconds: float, fds: Sequence[int] = ()) -> dict[str, Any]:
        """The answer to this request, and to those told before it. Raises Fault."""
        self.tell(request, fds)
        return self.hear(seconds)

    def tell(self, request: object, fds: Sequence[int] = ()) -> None:
        """Send a request without waiting. `hear` collects the answer."""
        self.resume()
        self._asked += 1
        self._pending.append(self._asked)
        self._connection.settimeout(GRACE)
        try:
            wire.send(self._connection, (self._asked, request), fds)
        except TimeoutError:
            raise Fault("takes no more requests", self.output()) from None
        except ConnectionError:
            pass  # hear() finds the reason that it gave before it ended, or how it died

    def hear(self, seconds: float) -> dict[str, Any]:
        """The answer to the last request told; those before it must have succeeded too."""
        deadline = time.monotonic() + seconds
        answer: dict[str, Any] = {}
        while self._pending:
            answer = self._hear_one(deadline, seconds)
            self._pending.popleft()
        return answer

    def clock(self, request: object, seconds: float) -> tuple[int, dict[str, Any]]:
        """Nanoseconds on this process's monotonic clock from waking the worker to having its answer; the answer."""
        self._asked += 1
        self._pending.append(self._asked)
        data = wire.frame((self._asked, request))
        deadline = time.monotonic() + seconds
        self._connection.settimeout(seconds)
        start = time.perf_counter_ns()
        self.resume()
        try:
            self._connection.sendall(data)
            answer = self._receive(deadline, seconds)
        except ConnectionError:
            raise self.death() from None
        elapsed = time.perf_counter_ns() - start
        self._check(answer)
        self._pending.popleft()
        return elapsed, answer

    def share(self, name: str, arena: Arena | DeviceArena) -> None:
        """Have the worker map this arena, unless it has it."""
        if self._shared.get(name) is not arena:
            self.tell(requests.Map(name, arena.size, arena.handle), arena.fds)
            self._shared[name] = arena

    def pause(self) -> None:
        """Stop all its threads, so that none steals time while another worker is on the clock."""
        if not self._paused and self.pid:
            os.killpg(self.pid, signal.SIGSTOP)
            self._paused = True

    def resume(self) -> None:
        if self._paused and self.pid:
            os.killpg(self.pid, signal.SIGCONT)
            self._paused = False

    def waited(self) -> int:
        """Nanoseconds that its threads have stood in line for a core since they started; 0 where nobody counts."""
        counters = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(counter.read_text().split()[1]) for counter in counters)

    def cpu_ns(self) -> int:
        """Processor time of all its threads since it started, in nanoseconds; 0 where nobody tells."""
        if sys.platform != "linux":
            return 0
        return time.clock_gettime_ns(~self.pid << 3 | CPUCLOCK_SCHED)

    def descendants(self) -> set[int]:
        """The processes that it has started and that are still there; none where nobody tells."""
        return {pid for pid, _ in limits.descendants(self.pid)} - {self.pid}

    def output(self) -> str:
        """The end of what the worker printed, for people."""
        size = os.fstat(self._log).st_size
        tail = os.pread(self._log, LOG_TAIL, max(size - LOG_TAIL, 0)).decode(errors="replace")
        return f"printed: {tail}" if tail else ""

    def end(self, grace: float = 0.0) -> str:
        """How it ended by itself within `grace` seconds, if it did; it is dead afterwards."""
        if not self.pid:
            return ""
        self._connection.close()
        how = self.workshop.end(self.pid, grace)
        self.pid = 0
        os.close(self._log)
        shutil.rmtree(self.folder, ignore_errors=True)
        return how

    def _hear_one(self, deadline: float, seconds: float) -> dict[str, Any]:
        answer = self._receive(deadline, seconds)
        self._check(answer)
        return answer

    def _receive(self, deadline: float, seconds: float) -> dict[str, Any]:
        try:
            return wire.receive_json(self._connection, deadline)
        except TimeoutError:
            raise Fault(f"did not return within {seconds:g} s", self.output()) from None
        except EOFError:
            raise self.death() from None
        except wire.BadFrame as error:
            raise Fault(f"wrote to the judge's socket: {error}", self.output()) from None

    def _check(self, answer: dict[str, Any]) -> None:
        if answer.get("answers") != self._pending[0]:
            raise Fault(f"gave an answer that nobody asked for: {str(answer)[:REASON]}", self.output())
        if "failed" in answer:
            raise Fault(str(answer["failed"])[:REASON], f"{answer.get('detail', '')}\n{self.output()}".strip())

    def death(self) -> Fault:
        """How it ended, as the reason of a refusal."""
        printed = self.output()
        how = self.end(GRACE)
        return Fault(f"the process {how}", printed)


class Workshop:
    """Owns the template process that workers are forked from. A context manager; nothing of it outlives it."""

    def __init__(
        self,
        variables: Mapping[str, str],
        threads: int,
        compiler: str = "",
        kind: Kind | None = None,
        limit: Limits | None = None,
        *,
        caches: Sequence[Path] = (),
        device: str = "cpu",
    ) -> None:
        """kind: the sandbox, the best there is where None. caches: folders that single workers may be let into."""
        self.kind: Kind = kind or sandbox.choose()
        self.folder = Path(tempfile.mkdtemp(prefix="kernelwright-")).resolve()
        self._variables, self._threads, self._compiler = dict(variables), threads, compiler
        self._limits = limit or limits.granting()
        self._caches = tuple(str(_made(cache)) for cache in caches)
        self._readable = reach.readable(_packages(), compiler, device)
        self._device, self._devices = device, reach.writable(device)
        self._inner: dict[int, int] = {}  # pids as the template knows them
        self._started = 0
        self._ready = False
        self._torn = False  # a request was not answered: what came next would be taken for its answer
        self._connection, theirs = socket.socketpair()
        around = self._boundary(str(self.folder), *self._caches)
        command = [sys.executable, "-I", "-c", self._boot(theirs.fileno())]
        environment = {"HOME": str(self.folder), "OMP_NUM_THREADS": str(threads), **self._variables}
        with theirs, self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                sandbox.wrapped(command, around, str(self.folder)), pass_fds=[theirs.fileno()], env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *exception: object) -> None:
        """The template ends its workers when it sees that the judge hung up."""
        self._connection.close()
        try:
            self._process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, variables: Mapping[str, str] | None = None, *, caches: Sequence[Path] = ()) -> Worker:
        """A new worker. `variables` are added to its environment, and it may write to these caches of ours."""
        self._started += 1
        folder = self.folder / str(self._started)
        folder.mkdir()
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryFile(dir=self.folder) as file:
            log = os.dup(file.fileno())
        added = {**self._variables, "OMP_NUM_THREADS": str(self._threads), **(variables or {})}
        boundary = self._boundary(str(folder), *map(str, caches))
        request = requests.Start(str(folder), added, self._threads, self._compiler, boundary, self._limits)
        with theirs:
            answer = self._ask(request, [theirs.fileno(), log])
        worker = Worker(self, self._outer(int(answer["pid"])), ours, log, folder)
        if not answer["confined"]:
            printed = worker.output()
            worker.end()
            raise MachineError(
                f"a worker could not be confined by {self.kind}, and was ended; it {printed or 'is gone'}"
            )
        return worker

    def offspring(self) -> set[int]:
        """Workers, and what they have started; orphans of theirs too."""
        template = self._template()
        return {pid for pid, _ in limits.descendants(template)} - {template}

    def end(self, pid: int, grace: float) -> str:
        if self._torn:
            return "ended with the process that forked it"
        return str(self._ask(requests.End(self._inner.pop(pid, pid), grace))["how"])

    def _hang_up(self) -> None:
        self._torn = True
        self._connection.close()

    @property
    def _log_path(self) -> Path:
        return self.folder / "template.log"

    def _boundary(self, *writable: str) -> Boundary:
        hidden = (str(self.folder), *self._caches)
        return Boundary(self.kind, self._readable, (*writable, *self._devices), hidden, self._device)

    def _boot(self, fd: int) -> str:
        package, torch_home = (str(path) for path in (_packages()[0].parent, _packages()[1]))
        return BOOT.format(package=package, torch=torch_home, fd=fd, folder=str(self.folder), kind=self.kind)

    def _outer(self, inner: int) -> int:
        """The pid of a worker as this process knows it; the template may live in a namespace of its own."""
        if self.kind != "bubblewrap":
            return inner
        template = self._template()
        for pid in limits.children(template, template):
            if limits.innermost(pid) == inner:
                self._inner[pid] = inner
                return pid
        raise MachineError(f"worker {inner} of {self._process.pid} was gone before it began")

    def _template(self) -> int:
        """The pid of the template as this process knows it."""
        if self.kind != "bubblewrap":
            return self._process.pid
        (template,) = limits.children(self._process.pid, self._process.pid)
        return template

    def _ask(self, request: object, fds: Sequence[int] = ()) -> dict[str, Any]:
        """Its answer. One that does not come, be it for an interrupt, hangs up; the template then ends its workers."""
        try:
            if not self._ready:
                self._ready = bool(wire.receive_json(self._connection, time.monotonic() + READY))
            wire.send(self._connection, request, fds)
            return wire.receive_json(self._connection, time.monotonic() + READY)
        except (EOFError, OSError) as error:
            self._hang_up()
            log = self._log_path.read_text(errors="replace")[-LOG_TAIL:] if self._log_path.exists() else ""
            raise MachineError(f"the process that forks workers is gone ({error}); it printed: {log}") from error
        except BaseException:
            self._hang_up()
            raise


def _packages() -> tuple[Path, Path]:
    """This package, and the folder that PyTorch is installed in."""
    return Path(kernelwright.__file__ or "").resolve().parent, Path(torch.__file__ or "").resolve().parents[1]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()
