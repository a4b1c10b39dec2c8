"""A candidate against the fastest baseline: in turn on the same fresh inputs, every output of a timed call compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from torch import Tensor

from kernelwright.judge import numerics, timing
from kernelwright.judge.courtroom import Courtroom
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.objection import Objection
from kernelwright.judge.processes import Fault
from kernelwright.judge.timing import Pair, Side
from kernelwright.judge.track import Lap, Outputs
from kernelwright.judge.verify import Standard, deviations, explain


class Race:
    """Two workers on the track of a courtroom."""

    def __init__(self, court: Courtroom, baseline: Examinee, candidate: Examinee) -> None:
        self._court = court
        self._sides: dict[Side, Examinee] = {"baseline": baseline, "candidate": candidate}
        for examinee in self._sides.values():
            examinee.take_state(court.key, court.first)
        self._pair(-1)  # warms both up

    def run(self, gain: float, looks: Sequence[int] = timing.LOOKS) -> tuple[Pair, ...]:
        return tuple(timing.take_pairs(self._pair, gain, self._court.options.seconds, time.monotonic, looks))

    def _pair(self, number: int) -> Pair:
        self._court.track.refresh()
        laps = {side: self._lap(self._sides[side]) for side in timing.order(number)}
        baseline, candidate = laps["baseline"], laps["candidate"]
        self._compare(candidate.outputs, baseline.outputs)
        return Pair(baseline.ns, candidate.ns, max(baseline.disturbance, candidate.disturbance))

    def _lap(self, examinee: Examinee) -> Lap:
        lap = self._court.lap(examinee)
        touched = self._court.track.desk.touched()
        if touched:
            raise Fault(f"a timed call overwrote {touched}")
        return lap

    def _compare(self, got: Outputs, wanted: Outputs) -> None:
        """Against the baseline's outputs, which may be as wrong as the candidate's. The oracle has the last word."""
        demand = self._court.standard(self._court.first)
        for call, (ours, theirs) in enumerate(zip(got, wanted, strict=True)):
            pairs = zip(ours, theirs, demand.allowed, strict=False)
            if not all(numerics.deviation(one, other).error <= 2 * allowed for one, other, allowed in pairs):
                self._appeal(call, ours, theirs, demand)

    def _appeal(self, call: int, got: Sequence[Tensor], baseline: Sequence[Tensor], demand: Standard) -> None:
        key = self._court.key
        answer = key.oracle.answer(self._court.track.desk.arguments(call), key.states[0])
        returned = replace(answer, changed={})  # state goes on from call to call
        found = deviations(got, returned, baseline, key.tie)
        for name, deviation, allowed in zip(returned.names, found, demand.allowed, strict=False):
            if not deviation.error <= allowed:
                raise Objection("time", f"a timed call, {name}, {explain(deviation, allowed)}")


def run_until_sure(
    court: Courtroom, candidate: Examinee, again: Callable[[ExitStack], Examinee], gain: float
) -> tuple[Pair, ...]:
    """All pairs. A small gain has to show in new processes too: where memory lies makes copies differ by up to 10 %."""
    pairs = Race(court, court.baseline, candidate).run(gain)
    count = len(pairs)
    for _ in range(timing.CONFIRMATIONS[court.baseline_name]):
        if not timing.doubtful(pairs, gain):
            break
        with ExitStack() as stack:
            pairs += Race(court, court.another_baseline(stack), again(stack)).run(gain, (count,))
    return pairs
