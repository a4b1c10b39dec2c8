"""A candidate against the fastest baseline: in turn on the same fresh inputs, every output of a timed call compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from torch import Tensor

from kernelwright.judge import numerics, timing
from kernelwright.judge.courtroom import Courtroom
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.foresight import check_foresight
from kernelwright.judge.objection import Objection
from kernelwright.judge.processes import Fault
from kernelwright.judge.timing import Pair, Side
from kernelwright.judge.track import Lap, Outputs
from kernelwright.judge.verify import Standard, deviations, explain

IDLE = 6  # laps in a row after which a device that is busy between calls is no accident
SPARE = 0.25  # cores that may be used beyond one a thread: PyTorch has a thread or two of its own

Again = Callable[[ExitStack], Examinee]


class Race:
    """Two workers on the track of a courtroom."""

    def __init__(self, court: Courtroom, baseline: Examinee, candidate: Examinee) -> None:
        self._court, self._track = court, court.track
        self._sides: dict[Side, Examinee] = {"baseline": baseline, "candidate": candidate}
        self._busy = 0
        self._cores: list[float] = []
        for examinee in self._sides.values():
            examinee.take_state(court.key, court.first)
        self._pair(-1)  # warms both up
        self._cores.clear()

    def run(self, gain: float, looks: Sequence[int] = timing.LOOKS) -> tuple[Pair, ...]:
        pairs = tuple(timing.take_pairs(self._pair, gain, self._court.options.seconds, time.monotonic, looks))
        self._check_cores()
        return pairs

    def run_strictly(self) -> tuple[Pair, ...]:
        """Each pair on new draws of the generator, its last call judged by the oracle itself."""
        pairs = tuple(timing.quietest(lambda n=number: self._strict_pair(n)) for number in range(timing.STRICT_PAIRS))
        self._check_cores()
        return pairs

    def _pair(self, number: int) -> Pair:
        self._track.refresh()
        baseline, candidate = self._laps(number)
        self._compare(candidate.outputs, baseline.outputs)
        return _paired(baseline, candidate)

    def _strict_pair(self, number: int) -> Pair:
        self._track.refresh_strictly()
        baseline, candidate = self._laps(number)
        demand = self._court.standard(self._court.first)
        self._appeal(len(candidate.outputs) - 1, candidate.outputs[-1], baseline.outputs[-1], demand)
        self._compare(candidate.outputs, baseline.outputs)
        return _paired(baseline, candidate)

    def _laps(self, number: int) -> tuple[Lap, Lap]:
        laps = {side: self._lap(self._sides[side]) for side in timing.order(number)}
        self._check_lap(laps["candidate"])
        return laps["baseline"], laps["candidate"]

    def _lap(self, examinee: Examinee) -> Lap:
        lap = self._court.lap(examinee)
        touched = self._track.desk.touched()
        if touched:
            raise Fault(f"a timed call overwrote {touched}")
        self._busy = self._busy + 1 if lap.busy else 0
        if self._busy >= IDLE:
            raise Objection("time", "the device is kept busy between calls: work goes on after the calls have returned")
        return lap

    def _check_lap(self, lap: Lap) -> None:
        if lap.change:
            raise Objection("time", lap.change)
        strays = self._court.strays(self._sides["candidate"])
        if strays:
            raise Objection("time", f"has {strays} process(es) of its own while it is timed; it may have none")
        self._cores.append(lap.cores)

    def _check_cores(self) -> None:
        """More threads than PyTorch was given would be no fair comparison."""
        threads, used = self._court.options.threads, statistics.median(self._cores)
        if used > threads + SPARE:
            raise Objection("time", f"uses {used:.1f} cores while it is timed; it was given {threads} thread(s)")

    def _compare(self, got: Outputs, wanted: Outputs) -> None:
        """Against the baseline's outputs, which may be as wrong as the candidate's. The oracle has the last word."""
        demand = self._court.standard(self._court.first)
        for call, (ours, theirs) in enumerate(zip(got, wanted, strict=True)):
            pairs = zip(ours, theirs, demand.allowed, strict=False)
            if not all(numerics.deviation(one, other).error <= 2 * allowed for one, other, allowed in pairs):
                self._appeal(call, ours, theirs, demand)

    def _appeal(self, call: int, got: Sequence[Tensor], baseline: Sequence[Tensor], demand: Standard) -> None:
        key = self._court.key
        answer = key.oracle.answer(self._track.desk.arguments(call), key.states[0])
        returned = replace(answer, changed={})  # state goes on from call to call
        found = deviations(got, returned, baseline, key.tie)
        for name, deviation, allowed in zip(returned.names, found, demand.allowed, strict=False):
            if not deviation.error <= allowed:
                raise Objection("time", f"a timed call, {name}, {explain(deviation, allowed)}")


def _paired(baseline: Lap, candidate: Lap) -> Pair:
    return Pair(baseline.ns, candidate.ns, max(baseline.disturbance, candidate.disturbance))


def run_until_sure(court: Courtroom, candidate: Examinee, again: Again, gain: float) -> tuple[tuple[Pair, ...], bool]:
    """All pairs, and whether they were taken strictly.

    A small gain has to show in new processes too: where memory lies makes copies differ by up to 10 %. A gain that is
    hard to believe is timed anew under stricter rules, and only what shows there counts.
    """
    pairs = Race(court, court.baseline, candidate).run(gain)
    if timing.incredible(pairs):
        with ExitStack() as stack:
            pairs, strict = Race(court, court.another_baseline(stack), again(stack)).run_strictly(), True
    else:
        pairs, strict = _until_sure(court, pairs, again, gain), False
    if timing.is_faster(pairs, gain):
        check_foresight(court, candidate, statistics.median(pair.candidate_ns for pair in pairs))
    return pairs, strict


def _until_sure(court: Courtroom, pairs: tuple[Pair, ...], again: Again, gain: float) -> tuple[Pair, ...]:
    """These pairs, and more of them in new processes while they say faster by little."""
    count = len(pairs)
    for _ in range(timing.CONFIRMATIONS[court.baseline_name]):
        if not timing.doubtful(pairs, gain):
            break
        with ExitStack() as stack:
            pairs += Race(court, court.another_baseline(stack), again(stack)).run(gain, (count,))
    return pairs


def check_floor(pairs: Sequence[Pair], floor_ns: float) -> None:
    """No kernel is faster than its output can be written."""
    taken = statistics.median(pair.candidate_ns for pair in pairs)
    if taken < floor_ns:
        told = f"{taken:.3g} ns a call; the output alone takes this machine {floor_ns:.3g} ns to write"
        raise Objection("time", f"impossible: {told}")
