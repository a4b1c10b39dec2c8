"""The judge of one task: baselines, quick screening, and the full examination of a candidate."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import torch

from kernelwright.core.candidate import Candidate
from kernelwright.core.outcome import (
    Accepted,
    Accuracy,
    Adequacy,
    Baselines,
    Environment,
    Outcome,
    PeakMemory,
    Rejected,
    Screened,
)
from kernelwright.core.task import Task
from kernelwright.judge import timing
from kernelwright.judge.audit import audit
from kernelwright.judge.courtroom import BaselineName, Courtroom, Options, Quiet
from kernelwright.judge.examinee import PATIENCE, Examinee, Patience, Way
from kernelwright.judge.inputs import State
from kernelwright.judge.limits import Limits
from kernelwright.judge.objection import Objection, during
from kernelwright.judge.profiling import Profile, profiled
from kernelwright.judge.race import check_floor, run_until_sure
from kernelwright.judge.sandbox import AUTO, choose
from kernelwright.judge.verify import attempt, verify

T = TypeVar("T")

SCREENING_LAPS = 3


def open_judge(
    task: Task,
    *,
    state: State | None = None,
    threads: int | None = None,
    cores: int | None = None,
    baselines: Sequence[BaselineName] = ("eager", "compile"),
    variables: Mapping[str, str] | None = None,
    compiler: str = "",
    cache: Path | None = None,
    patience: Patience = PATIENCE,
    seconds: float = 6.0,
    memory: int = 2 << 30,
    master: bytes | None = None,
    adequacy: Adequacy | None = None,
    sandbox: str = AUTO,
    limits: Limits | None = None,
    quiet: Quiet = nullcontext,
    tell: Callable[[str], None] = lambda stage: None,
) -> IsolatedJudge:
    """A judge for one task, to be used as a context manager. Nothing starts before the first question.

    state: the weights that count as given, by name; the reference's own where None.
    threads: of every worker. cores: how many candidates are built at once.
    baselines: which to measure. variables: the whole environment of workers, PATH at least.
    compiler: that candidates are built with, by name or path; "" for the first there is.
    cache: a folder where torch.compile's work on baselines is kept from run to run; trusted code only.
    seconds: that timing a candidate in one pair of processes may take. memory: bytes for kept answers.
    master: the secret that all seeds derive from, to play a verdict again; drawn from the operating system where None.
    adequacy: what the task can tell, if that was found before.
    sandbox: what confines workers; "auto" for the best there is. limits: of each worker; None for the usual ones.
    quiet: entered wherever calls are timed, so that processes which share the machine can make room for it.
    tell: called with each part of an examination as it begins: "baselines", "build", "verify", "time".

    Raises MachineError where this machine has no such sandbox.
    """
    threads = threads or torch.get_num_threads()
    variables = {"PATH": os.defpath} if variables is None else variables
    cores = cores or threads
    way = Way(task.target.kind, task.contract.precision)
    options = Options(
        way=way,
        threads=threads,
        cores=cores,
        baselines=tuple(baselines),
        variables=variables,
        compiler=compiler,
        cache=cache,
        patience=patience,
        seconds=seconds,
        memory=memory,
        master=master or b"",
        adequacy=adequacy,
        sandbox=choose(sandbox),
        limits=limits,
        quiet=quiet,
        tell=tell,
    )
    return IsolatedJudge(task, state, options)


class IsolatedJudge:
    """A `core.ports.Judge` that runs every candidate in a process of its own, and none in this one."""

    def __init__(self, task: Task, state: State | None, options: Options) -> None:
        self._task, self._options = task, options
        self._court = Courtroom(task.reference, task.contract, state, options)

    def __enter__(self) -> IsolatedJudge:
        return self

    def __exit__(self, *exception: object) -> None:
        self._court.__exit__(*exception)

    @property
    def environment(self) -> Environment:
        versions = torch.__version__, platform.python_version()
        return Environment(self._task.target, *versions, self._options.threads, _version(), self._options.sandbox)

    @property
    def master(self) -> bytes:
        """What all seeds come from. A secret until the last verdict stands."""
        return self._court.key.master

    def baselines(self) -> Baselines:
        return self._court.baselines

    def screen(self, candidates: Sequence[Candidate]) -> Iterator[Outcome]:
        """As many at once as there are cores are built; checked and timed one by one, while nothing is built."""
        size = self._options.cores
        for group in (candidates[i : i + size] for i in range(0, len(candidates), size)):
            with ExitStack() as stack:
                started = [settle(lambda c=candidate: self._start(c, stack)) for candidate in group]
                built = [_then(examinee, self._finish) for examinee in started]
                for examinee in built:
                    yield _then(examinee, self._screen)

    def examine(self, candidate: Candidate) -> Rejected | Accepted:
        with ExitStack() as stack:
            return settle(lambda: self._examine(candidate, stack))

    def check(self, candidate: Candidate) -> Rejected | Accuracy:
        """Every stage but the last: how far the candidate is from the truth, without timing it."""
        with ExitStack() as stack:
            return settle(lambda: self._verified(candidate, stack)[1])

    def profile(self, candidate: Candidate) -> Rejected | Profile:
        """Where its time goes, in its worker's own words. Nothing is verified, timed or compared."""
        with ExitStack() as stack:
            return settle(lambda: self._profile(candidate, stack))

    def _start(self, candidate: Candidate, stack: ExitStack) -> Examinee:
        audit(candidate.source)
        if self._court.refusal:
            raise Objection("verify", self._court.refusal)
        with during("build"):
            examinee = self._court.admit(stack)
            examinee.start_building(self._court.key, candidate.source, "ModelNew")
        return examinee

    def _finish(self, examinee: Examinee) -> Examinee:
        with during("build"):
            examinee.finish_building(self._court.key, self._options.patience.build)
            examinee.take_state(self._court.key, self._court.first)
            examinee.hold_tray(self._court.tray(self._court.track.desk.count))
            examinee.worker.pause()
        return examinee

    def _screen(self, examinee: Examinee) -> Screened:
        first = self._court.first
        with during("verify"):
            self._court.verification(examinee).check(first, self._court.standard(first))
            examinee.release()
        with during("time"), self._options.quiet():
            laps = [timing.quietest(lambda: self._court.fresh_lap(examinee)).ns for _ in range(SCREENING_LAPS + 1)]
        return Screened(statistics.median(laps[1:]))

    def _verified(self, candidate: Candidate, stack: ExitStack) -> tuple[Examinee, Accuracy]:
        court, tell = self._court, self._options.tell
        audit(candidate.source)  # what can't be read costs no measurement
        tell("baselines")
        _ = court.baselines
        tell("build")
        examinee = self._finish(self._start(candidate, stack))
        tell("verify")
        with during("verify"):
            spread, _ = court.spread
            accuracy = verify(court.verification(examinee), court.standards(), court.key.oracle.name, spread)
            examinee.release()
        return examinee, accuracy

    def _examine(self, candidate: Candidate, stack: ExitStack) -> Accepted:
        court = self._court
        examinee, accuracy = self._verified(candidate, stack)
        self._options.tell("time")
        with during("time"), self._options.quiet():
            memory = self._memory(examinee)
            again = partial(self._another, candidate)
            pairs, strict = run_until_sure(court, examinee, again, self._task.contract.gain)
            check_floor(pairs, court.floor_ns)
        return Accepted(accuracy, timing.as_timing(court.baseline_name, pairs, court.floor_ns, strict), memory)

    def _memory(self, examinee: Examinee) -> PeakMemory | None:
        candidate, baseline = self._court.peak(examinee), self._court.baseline_peak
        return None if candidate is None or baseline is None else PeakMemory(baseline, candidate)

    def _profile(self, candidate: Candidate, stack: ExitStack) -> Profile:
        self._options.tell("build")
        examinee = self._finish(self._start(candidate, stack))
        self._options.tell("profile")
        with during("verify"):
            return profiled(self._court, examinee)

    def _another(self, candidate: Candidate, stack: ExitStack) -> Examinee:
        """The candidate in a new worker, as warm as the first."""
        examinee = self._finish(self._start(candidate, stack))
        examinee.spoil()
        attempt(examinee, self._court.desk, self._court.key, self._court.first)
        examinee.release()
        return examinee


def settle(step: Callable[[], T]) -> T | Rejected:
    """The one place where an objection becomes an outcome."""
    try:
        return step()
    except Objection as objection:
        return Rejected(objection.stage, str(objection), objection.detail)


def _then(examinee: Examinee | Rejected, step: Callable[[Examinee], T]) -> T | Rejected:
    return examinee if isinstance(examinee, Rejected) else settle(lambda: step(examinee))


def _version() -> str:
    try:
        return metadata.version("kernelwright")
    except metadata.PackageNotFoundError:
        return "unknown"
