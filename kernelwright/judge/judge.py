"""The judge of one task: baselines, quick screening, and the full examination of a candidate."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from kernelwright.core.candidate import Candidate
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accepted, Baselines, Environment, Measured, Outcome, Rejected, Screened, Timing
from kernelwright.core.task import Task
from kernelwright.judge import adequacy, inputs, numerics, timing
from kernelwright.judge.answers import AnswerKey
from kernelwright.judge.audit import audit
from kernelwright.judge.desk import Desk, Tray, Weights
from kernelwright.judge.examinee import PATIENCE, Examinee, Patience
from kernelwright.judge.inputs import Case, FreshInputs, State
from kernelwright.judge.objection import Objection, during
from kernelwright.judge.processes import Fault, Workshop
from kernelwright.judge.timing import Pair, Side
from kernelwright.judge.track import Lap, Outputs, Track, clock, round_trip
from kernelwright.judge.verify import Standard, Verification, explain, standard, verify

BaselineName = Literal["eager", "compile"]
T = TypeVar("T")

SCREENING_LAPS = 3
BASELINE_PAIRS = 11
POOL = 3  # draws of the generator that timed inputs are mixed from


@dataclass(frozen=True, slots=True)
class Options:
    """How a judge works on this machine."""

    threads: int
    cores: int
    baselines: Sequence[BaselineName] = ("eager", "compile")
    variables: Mapping[str, str] = field(default_factory=lambda: {"PATH": os.defpath})
    compiler: str = ""
    cache: Path | None = None
    patience: Patience = PATIENCE
    seconds: float = 8.0
    memory: int = 2 << 30


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
    seconds: float = 8.0,
    memory: int = 2 << 30,
) -> IsolatedJudge:
    """A judge for one task, to be used as a context manager. Nothing starts before the first question.

    state: the weights that count as given, by name; the reference's own where None.
    threads: of every worker. cores: how many candidates are built at once.
    baselines: which to measure. variables: the whole environment of workers, PATH at least.
    compiler: that candidates are built with, by name or path; "" for the first there is.
    cache: a folder where torch.compile's work on baselines is kept from run to run; trusted code only.
    seconds: that the timing of one candidate may take. memory: bytes for kept answers.
    """
    threads = threads or torch.get_num_threads()
    variables = {"PATH": os.defpath} if variables is None else variables
    options = Options(
        threads, cores or threads, tuple(baselines), variables, compiler, cache, patience, seconds, memory
    )
    return IsolatedJudge(task, state, options)


class IsolatedJudge:
    """A `core.ports.Judge` that runs every candidate in a process of its own, and none in this one."""

    def __init__(self, task: Task, state: State | None, options: Options) -> None:
        self._task, self._state, self._options = task, state, options
        self._stack = ExitStack()
        self._examinees: list[Examinee] = []
        self._fastest: Examinee | None = None
        self._standards: dict[tuple[Examinee, Case], Standard | None] = {}

    def __enter__(self) -> IsolatedJudge:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> Environment:
        return Environment(
            self._task.target, torch.__version__, platform.python_version(), self._options.threads, _version()
        )

    # The three questions

    def baselines(self) -> Baselines:
        return self._baselines

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
            return settle(lambda: self._examine(self._finish(self._start(candidate, stack))))

    # One candidate

    def _start(self, candidate: Candidate, stack: ExitStack) -> Examinee:
        audit(candidate.source)
        if self._refusal:
            raise Objection("verify", self._refusal)
        with during("build"):
            examinee = stack.enter_context(self._admit())
            stack.callback(self._examinees.remove, examinee)
            examinee.start_building(self._key, candidate.source, "ModelNew")
        return examinee

    def _finish(self, examinee: Examinee) -> Examinee:
        with during("build"):
            examinee.finish_building(self._key, self._options.patience.build)
            examinee.take_state(self._key, self._key.cases[0])
            examinee.hold_tray(self._tray(self._track.desk.count))
            examinee.worker.pause()
        return examinee

    def _screen(self, examinee: Examinee) -> Screened:
        first = self._key.cases[0]
        with during("verify"):
            self._verification(examinee).check(first, self._demand(first))
            examinee.release()
        with during("time"):
            laps = [timing.quietest(lambda: self._fresh_lap(examinee)).ns for _ in range(SCREENING_LAPS + 1)]
        return Screened(statistics.median(laps[1:]))

    def _examine(self, examinee: Examinee) -> Accepted:
        _ = self._baselines
        demands = {case: demand for case in self._key.cases if (demand := self._standard(case))}
        with during("verify"):
            accuracy = verify(self._verification(examinee), demands, self._key.oracle.name)
            examinee.release()
        with during("time"):
            return Accepted(accuracy, self._time(examinee, self._chosen))

    def _verification(self, examinee: Examinee) -> Verification:
        return Verification(examinee, self._desk, self._key, self._form)

    # Time

    def _time(self, candidate: Examinee, baseline: Examinee) -> Timing:
        sides: dict[Side, Examinee] = {"baseline": baseline, "candidate": candidate}
        for examinee in sides.values():
            examinee.take_state(self._key, self._key.cases[0])
        self._pair(-1, sides)  # warms both up
        gain, seconds = self._task.contract.gain, self._options.seconds
        pairs = tuple(timing.take_pairs(lambda i: self._pair(i, sides), gain, seconds, time.monotonic))
        return timing.as_timing(self._name(baseline), pairs)

    def _pair(self, number: int, sides: Mapping[Side, Examinee]) -> Pair:
        """Both sides on the same fresh inputs, every output compared."""
        self._track.refresh()
        laps = {side: self._clean_lap(sides[side]) for side in timing.order(number)}
        baseline, candidate = laps["baseline"], laps["candidate"]
        self._compare(candidate.outputs, baseline.outputs)
        return Pair(baseline.ns, candidate.ns, max(baseline.disturbance, candidate.disturbance))

    def _clean_lap(self, examinee: Examinee) -> Lap:
        lap = self._lap(examinee)
        touched = self._track.desk.touched()
        if touched:
            raise Fault(f"a timed call overwrote {touched}")
        return lap

    def _fresh_lap(self, examinee: Examinee) -> Lap:
        self._track.refresh()
        return self._lap(examinee)

    def _lap(self, examinee: Examinee) -> Lap:
        for other in self._examinees:
            other.worker.pause()
        return self._track.lap(examinee)

    def _compare(self, got: Outputs, wanted: Outputs) -> None:
        """Against the baseline's outputs, which may be as wrong as the candidate's. The oracle has the last word."""
        demand = self._demand(self._key.cases[0])
        for call, (ours, theirs) in enumerate(zip(got, wanted, strict=True)):
            pairs = zip(ours, theirs, demand.allowed, strict=False)
            if not all(numerics.deviation(one, other).error <= 2 * allowed for one, other, allowed in pairs):
                self._appeal(call, ours, theirs, demand)

    def _appeal(self, call: int, got: Sequence[Tensor], baseline: Sequence[Tensor], demand: Standard) -> None:
        answer = self._key.oracle.answer(self._track.desk.arguments(call), self._key.states[0])
        for i, (one, truth, other) in enumerate(zip(got, answer.outputs, baseline, strict=True)):
            found, allowed = numerics.deviation(one, truth, other), demand.allowed[i]
            if not found.error <= allowed:
                raise Objection("time", f"a timed call, output {i}, {explain(found, allowed)}")

    # What is prepared once, when it is first needed

    @cached_property
    def _workshop(self) -> Workshop:
        return self._stack.enter_context(
            Workshop(self._options.variables, self._options.threads, self._options.compiler)
        )

    @cached_property
    def _key(self) -> AnswerKey:
        _ = self._workshop  # imports torch while the reference is loaded here
        return AnswerKey(self._task.reference, self._state, self._options.memory)

    @cached_property
    def _desk(self) -> Desk:
        return self._owned(Desk(self._key.inputs(self._key.cases[0]), 1))

    @cached_property
    def _weights(self) -> Weights:
        return self._owned(Weights(self._key.states[0]))

    @cached_property
    def _eager(self) -> Examinee:
        _ = self._key.oracle  # a reference that fails on its own inputs is told from here, in its own words
        examinee = self._stack.enter_context(self._admit())
        examinee.start_building(self._key, self._task.reference, "Model")
        examinee.finish_building(self._key, self._options.patience.build)
        return examinee

    @cached_property
    def _form(self) -> Mapping[str, Any]:
        """What the reference's output looks like. From here on the eager worker can hand outputs over."""
        case = self._key.cases[0]
        self._eager.take_state(self._key, case)
        self._desk.write(0, self._key.inputs(case))
        self._desk.publish()
        self._eager.sit(self._desk)
        self._eager.run()
        form = self._eager.describe()
        self._written = self._desk.touched()
        self._eager.release()
        self._eager.hold_tray(Tray(form, self._weights.slots, 1))
        return form

    @cached_property
    def _refusal(self) -> str:
        """Why no candidate of this task can be judged; "" if it can."""
        if self._form and self._written:
            return f"the reference writes to its {self._written}: not judged"
        first = self._key.cases[0]
        spread = self._verification(self._eager).spread(first)
        self._eager.release()
        if spread:
            return f"the reference is random: {spread}"
        if self._standard(first) is None:
            return "PyTorch's own output is far from the float64 truth on the reference's own inputs"
        return ""

    @cached_property
    def _track(self) -> Track:
        """Sized by what the reference costs in eager mode."""
        self._eager.sit(self._desk)
        call_ns = min(clock(self._eager, 1) for _ in range(3))
        trip = round_trip(self._eager)
        self._eager.release()
        share = self._options.memory // 8
        nbytes = self._desk.nbytes + sum(slot.end for slot in self._tray(1).calls[0])
        count = timing.calls_per_sample(call_ns - trip, trip, nbytes, share)
        desk = self._owned(Desk(self._key.inputs(self._key.cases[0]), count))
        self._eager.hold_tray(self._tray(count))
        fresh = FreshInputs(lambda seed: inputs.drawn(self._key.reference, seed), self._key.seeds, POOL)
        return Track(desk, fresh, trip)

    @cached_property
    def _baselines(self) -> Baselines:
        compiling = self._start_compiling() if "compile" in self._options.baselines else None
        degenerate = self._refusal or self._judge_task()
        missing = self._finish_compiling(compiling) if compiling else "not asked for"
        measured = self._measure(None if missing else compiling)
        return Baselines(measured, (("compile", missing),) if missing else (), degenerate)

    def _judge_task(self) -> str:
        """Prepares the answers of all cases, and says why they tell too little; "" where they tell enough."""
        groups: dict[int, list[adequacy.Outputs]] = {}
        for case in self._key.cases:
            if self._standard(case):
                groups.setdefault(case.weights, []).append(self._key.answer(case).outputs)
        return adequacy.degenerate(tuple(groups.values()), self._demand(self._key.cases[0]).allowed)

    # Baselines

    def _start_compiling(self) -> Examinee:
        """Sets torch.compile to work in a worker, on inputs of its own, without waiting for it."""
        cache = {} if self._options.cache is None else {"TORCHINDUCTOR_CACHE_DIR": str(self._options.cache)}
        examinee = self._stack.enter_context(self._admit(cache))
        examinee.start_building(self._key, self._task.reference, "Model", "torch.compile")
        desk = self._owned(Desk(self._key.inputs(self._key.cases[0]), 1))
        desk.write(0, self._key.inputs(self._key.cases[0]))
        desk.publish()
        examinee.sit(desk)
        examinee.start_running()
        return examinee

    def _finish_compiling(self, examinee: Examinee) -> str:
        """Why there is no compiled baseline, in which case its worker is ended; "" where it is ready."""
        try:
            examinee.worker.hear(self._options.patience.compile)
            examinee.release()
            examinee.take_state(self._key, self._key.cases[0])
            examinee.hold_tray(self._tray(self._track.desk.count))
            if self._measured_standard(examinee, self._key.cases[0]) is None:
                raise Fault("its output is far from the float64 truth")
        except Fault as fault:
            self._examinees.remove(examinee)
            examinee.worker.end()
            return str(fault)
        return ""

    def _measure(self, compiled: Examinee | None) -> tuple[Measured, ...]:
        """Eager and compiled in ABBA order on the same fresh inputs. The faster one is what candidates must beat."""
        runners: dict[BaselineName, Examinee] = {"eager": self._eager}
        if compiled:
            runners["compile"] = compiled
        samples: dict[BaselineName, list[float]] = {name: [] for name in runners}
        for number in range(BASELINE_PAIRS + 1):
            for name in list(runners)[:: 1 if number % 2 else -1]:
                samples[name].append(timing.quietest(lambda n=name: self._fresh_lap(runners[n])).ns)
        measured = tuple(Measured(name, tuple(taken[1:])) for name, taken in samples.items())
        fastest = min(measured, key=lambda one: statistics.median(one.samples_ns))
        self._fastest = runners[fastest.name]
        return measured

    @property
    def _chosen(self) -> Examinee:
        """The fastest baseline that is known so far."""
        return self._fastest or self._eager

    def _name(self, examinee: Examinee) -> BaselineName:
        return "eager" if examinee is self._eager else "compile"

    # Standards

    def _standard(self, case: Case) -> Standard | None:
        return self._measured_standard(self._chosen, case)

    def _measured_standard(self, baseline: Examinee, case: Case) -> Standard | None:
        _ = self._form
        if (baseline, case) not in self._standards:
            self._standards[baseline, case] = standard(baseline, self._desk, self._key, case)
        return self._standards[baseline, case]

    def _demand(self, case: Case) -> Standard:
        demand = self._standard(case)
        if demand is None:
            raise UsageError("the reference gives no usable output on its own inputs")
        return demand

    # Parts

    def _admit(self, variables: Mapping[str, str] | None = None) -> Examinee:
        examinee = Examinee(self._workshop.start(variables), self._weights, self._options.patience.call)
        self._examinees.append(examinee)
        return examinee

    def _tray(self, count: int) -> Tray:
        return Tray(self._form, self._weights.slots, count)

    def _owned(self, part: Any) -> Any:
        self._stack.callback(part.close)
        return part


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
