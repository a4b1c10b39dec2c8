"""Where calls are timed: fresh inputs in the same shared storage, cold caches, the judge's clock, all outputs kept."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kernelwright.judge.caches import Caches
from kernelwright.judge.desk import Desk
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.inputs import FreshInputs
from kernelwright.judge.sight import Answer, Clocked, Sight, plan_looks
from kernelwright.judge.timing import per_call

SETTLE = 0.008  # seconds; libgomp's threads spin for 5 to 8 ms after the judge's own parallel regions
EMPTY_TRIPS = 15
Outputs = Sequence[tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Lap:
    """One sample: nanoseconds a call, every output, and what else happened meanwhile.

    disturbance: share of the time that threads stood in line for a core; 1 where the sample is no good at all.
    cores: how many its threads used or stood in line for. busy: whether the device worked where it should have idled.
    change: how an output differs from what it was when the call returned; "" where it doesn't.
    """

    ns: float
    outputs: Outputs
    disturbance: float
    cores: float
    busy: bool
    change: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the clock says of some calls."""

    clocked: Clocked
    waited_ns: int
    cpu_ns: int
    busy: bool


class Clock:
    """Times calls of one worker while the others are stopped. What a worker sees is new only once the clock runs."""

    def __init__(self, sight: Sight, caches: Caches) -> None:
        self.sight, self._caches = sight, caches
        self._draw = random.SystemRandom()

    def time(self, examinee: Examinee, desk: Desk, count: int, earlier: Answer | None = None) -> Reading:
        """The inputs of the desk are published while the worker is stopped; it is stopped again at its answer.

        earlier: the answer whose outputs are looked at instead of those of these calls.
        """
        looks = plan_looks(examinee.tray.calls[: count or 1], self._draw)
        examinee.sit(desk)
        examinee.run(0)
        examinee.worker.pause()
        desk.publish()
        busy = self._caches.evict()
        time.sleep(SETTLE)
        waited, used = examinee.worker.waited(), examinee.worker.cpu_ns()  # now that it has come to a stop
        clocked = self.sight.clock(examinee, count, looks, earlier)
        waited, used = examinee.worker.waited() - waited, examinee.worker.cpu_ns() - used
        return Reading(clocked, max(waited, 0), used, busy)

    def round_trip(self, examinee: Examinee, desk: Desk) -> float:
        """Nanoseconds for no call at all, looking at an earlier one's outputs included.

        To be asked of PyTorch's own worker: a candidate could slow down its own.
        """
        examinee.sit(desk)
        earlier = examinee.run()
        trips = [self.time(examinee, desk, 0, earlier).clocked.elapsed_ns for _ in range(EMPTY_TRIPS)]
        examinee.release()
        return statistics.median(trips)


@dataclass(frozen=True)
class Track:
    """Samples of `desk.count` calls. One worker runs at a time; the others are to be paused by the caller."""

    desk: Desk
    fresh: FreshInputs
    clock: Clock
    round_trip_ns: float

    def refresh(self) -> None:
        """New values for all calls, in the judge's own copy; a lap publishes them."""
        for call in range(self.desk.count):
            self.fresh.write(self.desk.own(call))

    def refresh_strictly(self) -> None:
        """New draws of the generator for all calls, no mixtures."""
        for call in range(self.desk.count):
            self.fresh.draw(self.desk.own(call))

    def other_bytes(self) -> list[Tensor]:
        """Fresh inputs for one call, which no desk has yet."""
        values = [torch.empty_like(own) for own in self.desk.own(0)]
        self.fresh.write(values)
        return values

    def lap(self, examinee: Examinee) -> Lap:
        count = self.desk.count
        reading = self.clock.time(examinee, self.desk, count)
        outputs = tuple((*call, *self.desk.copies(i)) for i, call in enumerate(examinee.outputs(count)))
        change = next((told for seen in reading.clocked.glimpses if (told := seen.change(outputs))), "")
        examinee.release()
        examinee.worker.pause()
        elapsed = reading.clocked.elapsed_ns
        spoilt = reading.busy or reading.clocked.fresh
        return Lap(
            ns=max(per_call(elapsed, self.round_trip_ns, count), reading.clocked.device_ns / count),
            outputs=outputs,
            disturbance=1.0 if spoilt else reading.waited_ns / elapsed,
            cores=(reading.cpu_ns + reading.waited_ns) / elapsed,
            busy=reading.busy,
            change=change,
        )
