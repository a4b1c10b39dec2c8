"""What judging one task needs, prepared once and when it is first needed: answers, memory, baselines, a clock."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kernelwright.capture.source import Input
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Baselines, Measured
from kernelwright.judge import adequacy, inputs, timing
from kernelwright.judge.answers import AnswerKey
from kernelwright.judge.desk import Desk, Tray, Weights
from kernelwright.judge.examinee import PATIENCE, Examinee, Patience
from kernelwright.judge.inputs import Case, FreshInputs, State
from kernelwright.judge.processes import Fault, Workshop
from kernelwright.judge.track import Lap, Track, clock, round_trip
from kernelwright.judge.verify import Standard, Verification, attempt, standard

BaselineName = Literal["eager", "compile"]

BASELINE_PAIRS = 11
POOL = 3  # draws of the generator that timed inputs are mixed from


@dataclass(frozen=True, slots=True)
class Options:
    """How a judge works on this machine. `open_judge` says what each is."""

    threads: int
    cores: int
    baselines: Sequence[BaselineName] = ("eager", "compile")
    variables: Mapping[str, str] = field(default_factory=lambda: {"PATH": os.defpath})
    compiler: str = ""
    cache: Path | None = None
    patience: Patience = PATIENCE
    seconds: float = 8.0
    memory: int = 2 << 30
    tell: Callable[[str], None] = lambda stage: None


class Courtroom:
    """Everything that outlives one candidate. A context manager: no process and no memory of it is left behind."""

    def __init__(self, reference: str, state: State | None, options: Options) -> None:
        self.reference, self.options = reference, options
        self._state = state
        self._stack = ExitStack()
        self._present: list[Examinee] = []
        self._chosen: tuple[BaselineName, Examinee] | None = None
        self._standards: dict[tuple[Examinee, Case], Standard | None] = {}
        self._written = ""

    def __enter__(self) -> Courtroom:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    # Who is present

    def admit(self, stack: ExitStack, variables: Mapping[str, str] | None = None) -> Examinee:
        """A new worker, until `stack` is left."""
        examinee = stack.enter_context(
            Examinee(self._workshop.start(variables), self._weights, self.options.patience.call)
        )
        self._present.append(examinee)
        stack.callback(self._present.remove, examinee)
        return examinee

    def lap(self, examinee: Examinee) -> Lap:
        """One sample on the track, while everyone else is paused."""
        for other in self._present:
            other.worker.pause()
        return self.track.lap(examinee)

    def fresh_lap(self, examinee: Examinee) -> Lap:
        self.track.refresh()
        return self.lap(examinee)

    @cached_property
    def _workshop(self) -> Workshop:
        options = self.options
        return self._stack.enter_context(Workshop(options.variables, options.threads, options.compiler))

    # What is asked, and where

    @cached_property
    def key(self) -> AnswerKey:
        _ = self._workshop  # imports torch while the reference is loaded here
        return AnswerKey(self.reference, self._state, self.options.memory)

    @property
    def first(self) -> Case:
        """The reference's own inputs, on the given weights."""
        return self.key.cases[0]

    @cached_property
    def desk(self) -> Desk:
        return self._own_desk(1)

    @cached_property
    def track(self) -> Track:
        """Sized by what the reference costs in eager mode."""
        _ = self.form
        self._eager.sit(self.desk)
        call_ns = min(clock(self._eager, 1) for _ in range(3))
        trip = round_trip(self._eager)
        self._eager.release()
        nbytes = self.desk.nbytes + sum(slot.end for slot in self.tray(1).calls[0])
        count = timing.calls_per_sample(call_ns - trip, trip, nbytes, self.options.memory // 8)
        self._eager.hold_tray(self.tray(count))
        fresh = FreshInputs(lambda seed: inputs.drawn(self.key.reference, seed), self.key.seeds, POOL)
        return Track(self._own_desk(count), fresh, trip)

    @cached_property
    def _weights(self) -> Weights:
        return self._owned(Weights(self.key.states[0]))

    def tray(self, count: int) -> Tray:
        return Tray(self.form, self._weights.slots, count)

    def public_desk(self, drawn: Sequence[Input]) -> Desk:
        """A desk for inputs that are no secret."""
        desk: Desk = self._owned(Desk(drawn, 1))
        desk.write(0, drawn)
        desk.publish()
        return desk

    def _own_desk(self, count: int) -> Desk:
        return self._owned(Desk(self.key.inputs(self.first), count))

    def _owned(self, part: Any) -> Any:
        self._stack.callback(part.close)
        return part

    # What right looks like

    @cached_property
    def form(self) -> Mapping[str, Any]:
        """What the reference's output looks like. From here on the eager worker can hand outputs over."""
        eager = self._eager
        eager.take_state(self.key, self.first)
        eager.spoil()
        attempt(eager, self.desk, self.key, self.first)
        form = eager.describe()
        self._written = self.desk.touched()
        eager.release()
        eager.hold_tray(Tray(form, self._weights.slots, 1))
        return form

    @cached_property
    def refusal(self) -> str:
        """Why no candidate of this task can be judged; "" if it can."""
        if self.form and self._written:
            return f"the reference writes to its {self._written}: not judged"
        spread = self.verification(self._eager).spread(self.first)
        self._eager.release()
        if spread:
            return f"the reference is random: {spread}"
        if self._standard(self._eager, self.first) is None:
            return "PyTorch's own output is far from the float64 truth on the reference's own inputs"
        return ""

    def verification(self, examinee: Examinee) -> Verification:
        return Verification(examinee, self.desk, self.key, self.form)

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
            self._standards[baseline, case] = standard(baseline, self.desk, self.key, case)
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
        degenerate = self.refusal or self._too_little()
        missing = self._finish_compiling(compiling) if compiling else "not asked for"
        measured = self._measure(None if missing else compiling)
        return Baselines(measured, (("compile", missing),) if missing else (), degenerate)

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
        examinee = self.admit(stack, cache)
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
        for number in range(BASELINE_PAIRS + 1):
            for name in list(runners)[:: 1 if number % 2 else -1]:
                samples[name].append(timing.quietest(lambda n=name: self.fresh_lap(runners[n])).ns)
        measured = tuple(Measured(name, tuple(taken[1:])) for name, taken in samples.items())
        fastest = min(measured, key=lambda one: statistics.median(one.samples_ns))
        self._chosen = (fastest.name, runners[fastest.name])
        return measured

    def _too_little(self) -> str:
        """Prepares the answers of all cases, and says why they tell too little; "" where they tell enough."""
        groups: dict[int, list[adequacy.Outputs]] = {}
        for case in self.standards():
            groups.setdefault(case.weights, []).append(self.key.answer(case).outputs)
        return adequacy.degenerate(tuple(groups.values()), self.standard(self.first).allowed)
