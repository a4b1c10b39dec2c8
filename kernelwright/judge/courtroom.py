"""What judging one task needs, prepared once and when it is first needed: answers, memory, baselines, a clock."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kernelwright.capture.source import Input
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Adequacy, Baselines, Measured
from kernelwright.core.task import Contract
from kernelwright.judge import adequacy, cuda, footprint, timing
from kernelwright.judge.answers import AnswerKey
from kernelwright.judge.caches import caches_of
from kernelwright.judge.desk import Desk, Tray, Weights, output_dtypes
from kernelwright.judge.examinee import PATIENCE, Examinee, Patience, Way
from kernelwright.judge.families import Layout
from kernelwright.judge.footprint import Footprint
from kernelwright.judge.inputs import Case, FreshInputs, State
from kernelwright.judge.limits import Limits
from kernelwright.judge.processes import Fault, Workshop
from kernelwright.judge.sandbox import Kind
from kernelwright.judge.sight import sight_of
from kernelwright.judge.track import Clock, Lap, Track
from kernelwright.judge.verify import Standard, Verification, attempt, standard

BaselineName = Literal["eager", "compile"]
Quiet = Callable[[], AbstractContextManager[object]]

BASELINE_PAIRS = 11
POOL = 3  # draws of the generator that timed inputs are mixed from


@dataclass(frozen=True, slots=True)
class Options:
    """How a judge works on this machine. `open_judge` says what each is."""

    way: Way
    threads: int
    cores: int
    baselines: Sequence[BaselineName] = ("eager", "compile")
    variables: Mapping[str, str] = field(default_factory=lambda: {"PATH": os.defpath})
    compiler: str = ""
    cache: Path | None = None
    patience: Patience = PATIENCE
    seconds: float = 6.0
    memory: int = 2 << 30
    master: bytes = field(default=b"", repr=False)
    adequacy: Adequacy | None = None
    sandbox: Kind = "none"
    limits: Limits | None = None
    quiet: Quiet = nullcontext
    tell: Callable[[str], None] = lambda stage: None

    @property
    def caches(self) -> tuple[Path, ...]:
        return (self.cache,) if self.cache else ()


class Courtroom:
    """Everything that outlives one candidate. A context manager: no process and no memory of it is left behind."""

    def __init__(self, reference: str, contract: Contract, state: State | None, options: Options) -> None:
        self.reference, self.contract, self.options = reference, contract, options
        self._state = state
        self._stack = ExitStack()
        self._present: list[Examinee] = []
        self._chosen: tuple[BaselineName, Examinee] | None = None
        self._standards: dict[tuple[Examinee, Case], Standard | None] = {}
        self._desks: dict[Layout, Desk] = {}

    def __enter__(self) -> Courtroom:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    # Who is present

    def admit(
        self, stack: ExitStack, variables: Mapping[str, str] | None = None, caches: Sequence[Path] = ()
    ) -> Examinee:
        """A new worker, until `stack` is left."""
        worker = self._workshop.start(variables, caches=caches)
        examinee = stack.enter_context(Examinee(worker, self._weights, self.options.patience.call, self.options.way))
        self._present.append(examinee)
        stack.callback(self._dismiss, examinee)
        return examinee

    def _dismiss(self, examinee: Examinee) -> None:
        self._present.remove(examinee)
        if "track" in self.__dict__:
            self.track.clock.sight.forget(examinee.worker)

    def lap(self, examinee: Examinee) -> Lap:
        """One sample on the track, while everyone else is paused."""
        self.hush()
        return self.track.lap(examinee)

    def hush(self) -> None:
        for one in self._present:
            one.worker.pause()

    def strays(self, candidate: Examinee) -> int:
        """How many processes there are below the template that are neither workers nor started by other workers."""
        others = [one for one in self._present if one is not candidate]
        known = {one.worker.pid for one in self._present}.union(*(one.worker.descendants() for one in others))
        return len(self._workshop.offspring() - known)

    def fresh_lap(self, examinee: Examinee) -> Lap:
        self.track.refresh()
        return self.lap(examinee)

    @cached_property
    def _workshop(self) -> Workshop:
        options = self.options
        opened = Workshop(options.variables, options.threads, options.compiler, options.sandbox, options.limits,
                          caches=options.caches, device=options.way.device)  # fmt: skip
        return self._stack.enter_context(opened)

    # What is asked, and where

    @cached_property
    def key(self) -> AnswerKey:
        _ = self._workshop  # imports torch while the reference is loaded here
        options = self.options
        return AnswerKey(self.reference, self.contract, self._state, options.memory, options.way.device, options.master)

    @property
    def first(self) -> Case:
        """The reference's own inputs, on the given weights."""
        return self.key.cases[0]

    @property
    def desk(self) -> Desk:
        return self.desk_for(self.first)

    def desk_for(self, case: Case) -> Desk:
        """Where this case is laid out. Cases whose inputs lie alike share one desk."""
        layout = case.family.layout
        if layout not in self._desks:
            self._desks[layout] = self._own_desk(1, case)
        return self._desks[layout]

    @cached_property
    def track(self) -> Track:
        """Sized by what the reference costs in eager mode."""
        _ = self.form
        clock = Clock(sight_of(self.options.way.device, self._eager), caches_of(self.options.way.device))
        with self.options.quiet():
            call_ns = min(clock.time(self._eager, self.desk, 1).clocked.elapsed_ns for _ in range(3))
            trip = clock.round_trip(self._eager, self.desk)
        nbytes = self.desk.nbytes + sum(slot.end for slot in self.tray(1).calls[0])
        count = timing.calls_per_sample(call_ns - trip, trip, nbytes, self._room)
        self._eager.hold_tray(self.tray(count))
        fresh = FreshInputs(self.key.drawn, self.key.seeds, POOL)
        return Track(self._own_desk(count), fresh, clock, trip)

    @property
    def _room(self) -> int:
        """Bytes that the inputs and outputs of one sample may take. There are up to ten copies of them."""
        return cuda.free_bytes() // 32 if self.options.way.device == "cuda" else self.options.memory // 8

    @cached_property
    def _weights(self) -> Weights:
        return self._owned(Weights(self.key.states[0]))

    def tray(self, count: int) -> Tray:
        return Tray(self.form, self._weights.slots, count, self.options.way.device)

    @property
    def unconfined(self) -> bool:
        return self._workshop.kind == "none"

    def public_desk(self, drawn: Sequence[Input]) -> Desk:
        """A desk for inputs that are no secret."""
        desk: Desk = self._owned(Desk(drawn, 1))
        desk.write(0, drawn)
        desk.publish()
        return desk

    def _own_desk(self, count: int, case: Case | None = None) -> Desk:
        case = case or self.first
        written = self.key.answer(self.first).written
        return self._owned(Desk(self.key.inputs(case), count, case.family.layout, written))

    def _owned(self, part: Any) -> Any:
        self._stack.callback(part.close)
        return part

    @cached_property
    def floor_ns(self) -> float:
        return footprint.floor_ns(footprint.output_bytes(self.form), self.options.way.device, self.options.threads)

    def peak(self, examinee: Examinee) -> int | None:
        """Bytes that a call on the reference's own inputs needs beyond what is in use before."""
        self.track.clock.sight.forget(examinee.worker)
        counted = Footprint(examinee, self.options.way.device)
        attempt(examinee, self.desk, self.key, self.first)
        peak = counted.peak()
        examinee.release()
        return peak

    @cached_property
    def baseline_peak(self) -> int | None:
        return self.peak(self.baseline)

    # What right looks like

    @cached_property
    def form(self) -> Mapping[str, Any]:
        """What the reference's output looks like. From here on the eager worker can hand outputs over."""
        eager = self._eager
        eager.take_state(self.key, self.first)
        eager.spoil()
        attempt(eager, self.desk, self.key, self.first)
        form = eager.describe()
        self.key.expect(output_dtypes(form))
        eager.release()
        eager.hold_tray(Tray(form, self._weights.slots, 1, self.options.way.device))
        return form

    @cached_property
    def refusal(self) -> str:
        """Why no candidate of this task can be judged; "" if it can."""
        _, told = self.spread
        if told:
            return f"the reference is random, so no output can be certified by its value: {told}"
        if self._standard(self._eager, self.first) is None:
            return "PyTorch's own output is far from the float64 truth on the reference's own inputs"
        return ""

    @cached_property
    def spread(self) -> tuple[float, str]:
        """By how much two of the reference's own runs on the same bytes differ; where, if rounding can't explain it."""
        found = self.verification(self._eager).spread(self.first)
        self._eager.release()
        return found

    def verification(self, examinee: Examinee) -> Verification:
        return Verification(examinee, self.desk_for, self.key, self.form)

    def standards(self) -> Mapping[Case, Standard]:
        """What each case demands, measured on the fastest baseline. Cases that can tell nothing are left out."""
        return {case: demand for case in self.key.cases if (demand := self._standard(self.baseline, case))}

    def standard(self, case: Case) -> Standard:
        demand = self._standard(self.baseline, case)
        if demand is None:
            raise UsageError("the reference gives no usable output on its own inputs")
        return demand

    def _standard(self, baseline: Examinee, case: Case) -> Standard | None:
        _ = self.form
        if (baseline, case) not in self._standards:
            self._standards[baseline, case] = standard(baseline, self.desk_for(case), self.key, case)
        return self._standards[baseline, case]

    # What is to be beaten

    @property
    def baseline(self) -> Examinee:
        """The fastest baseline that is known so far."""
        return self._chosen[1] if self._chosen else self._eager

    @property
    def baseline_name(self) -> BaselineName:
        return self._chosen[0] if self._chosen else "eager"

    def another_baseline(self, stack: ExitStack) -> Examinee:
        """The fastest baseline in a new worker, as warm as the first."""
        examinee = self._begin(stack, self.baseline_name)
        self._seat(examinee)
        examinee.spoil()
        attempt(examinee, self.desk, self.key, self.first)
        examinee.release()
        return examinee

    @cached_property
    def baselines(self) -> Baselines:
        """While torch.compile is at work, the answers to all cases are prepared."""
        compiling = self._start_compiling() if "compile" in self.options.baselines else None
        if compiling and not self.refusal:
            self.key.prepare()
        missing = self._finish_compiling(compiling) if compiling else "not asked for"
        measured = self._measure(None if missing else compiling)
        found = None if self.refusal else self.options.adequacy or self._assess()
        degenerate = self.refusal or (adequacy.degenerate(found) if found else "")
        return Baselines(measured, (("compile", missing),) if missing else (), degenerate, found)

    @cached_property
    def _eager(self) -> Examinee:
        _ = self.key.oracle  # a reference that fails on its own inputs is told from here, in its own words
        examinee = self._begin(self._stack, "eager")
        examinee.finish_building(self.key, self.options.patience.build)
        return examinee

    def _begin(self, stack: ExitStack, name: BaselineName) -> Examinee:
        if name == "eager":
            examinee = self.admit(stack)
            examinee.start_building(self.key, self.reference, "Model")
            return examinee
        cache = {} if self.options.cache is None else {"TORCHINDUCTOR_CACHE_DIR": str(self.options.cache)}
        examinee = self.admit(stack, cache, self.options.caches)
        examinee.seconds = self.options.patience.compile
        examinee.start_building(self.key, self.reference, "Model", "torch.compile")
        return examinee

    def _start_compiling(self) -> Examinee:
        """Sets torch.compile to work in a worker, on a desk of its own, without waiting for it."""
        examinee = self._begin(self._stack, "compile")
        desk = self._own_desk(1)
        desk.write(0, self.key.inputs(self.first))
        desk.publish()
        examinee.sit(desk)
        examinee.start_running()
        return examinee

    def _finish_compiling(self, examinee: Examinee) -> str:
        """Why there is no compiled baseline, in which case its worker is ended; "" where it is ready."""
        try:
            examinee.worker.hear(examinee.seconds)
            examinee.release()
            self._seat(examinee)
            if self._standard(examinee, self.first) is None:
                raise Fault("its output is far from the float64 truth")
        except Fault as fault:
            examinee.worker.end()
            return str(fault)
        return ""

    def _seat(self, examinee: Examinee) -> None:
        examinee.take_state(self.key, self.first)
        examinee.hold_tray(self.tray(self.track.desk.count))

    def _measure(self, compiled: Examinee | None) -> tuple[Measured, ...]:
        """Eager and compiled in ABBA order on fresh inputs. The faster one is what candidates must beat."""
        runners: dict[BaselineName, Examinee] = {"eager": self._eager}
        if compiled:
            runners["compile"] = compiled
        samples: dict[BaselineName, list[float]] = {name: [] for name in runners}
        with self.options.quiet():
            for number in range(BASELINE_PAIRS + 1):
                for name in list(runners)[:: 1 if number % 2 else -1]:
                    samples[name].append(timing.quietest(lambda n=name: self.fresh_lap(runners[n])).ns)
        measured = tuple(Measured(name, tuple(taken[1:])) for name, taken in samples.items())
        fastest = min(measured, key=lambda one: statistics.median(one.samples_ns))
        self._chosen = (fastest.name, runners[fastest.name])
        return measured

    def _assess(self) -> Adequacy:
        """What the cases can tell, by what the fastest baseline is held to; that baselines themselves are accepted."""
        binding = (case for case in self.key.cases if case.binding)
        found = adequacy.assess(
            self.key, ((c, demand) for c in binding if (demand := self._standard(self.baseline, c)))
        )
        return replace(found, refused=(*self._baselines_refused(), *found.refused))

    def _baselines_refused(self) -> Iterator[str]:
        """Each baseline by what the fastest one is held to, on the first case."""
        allowed = self.standard(self.first).allowed
        for (_, case), measured in self._standards.items():
            if case == self.first and measured:
                told = zip(measured.errors, allowed, strict=True)
                yield from (
                    f"PyTorch: error {error:.2g}, allowed {limit:.2g}" for error, limit in told if error > limit
                )
