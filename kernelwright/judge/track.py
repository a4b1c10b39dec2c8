"""Where calls are timed: fresh inputs in the same shared storage, the judge's clock, all outputs handed over."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from kernelwright.judge import requests
from kernelwright.judge.desk import Desk
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.inputs import FreshInputs
from kernelwright.judge.timing import per_call

SETTLE = 0.008  # seconds; libgomp's threads spin for 5 to 8 ms after the judge's own parallel regions
EMPTY_TRIPS = 15
Outputs = Sequence[tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Lap:
    """Nanoseconds a call, every output, and the share of the time that threads stood in line for a core."""

    ns: float
    outputs: Outputs
    disturbance: float


class Track:
    """Samples of `desk.count` calls. One worker runs at a time; the others are to be paused by the caller."""

    def __init__(self, desk: Desk, fresh: FreshInputs, round_trip_ns: float) -> None:
        self.desk, self._fresh, self.round_trip_ns = desk, fresh, round_trip_ns

    def refresh(self) -> None:
        """New bytes for all calls, in the same place."""
        for call in range(self.desk.count):
            self._fresh.write(self.desk.own(call))
        self.desk.publish()

    def lap(self, examinee: Examinee) -> Lap:
        examinee.sit(self.desk)
        if self.desk.written:  # by whoever ran before
            self.desk.publish()
        before = examinee.worker.waited()
        elapsed = clock(examinee, self.desk.count)
        waited = examinee.worker.waited() - before
        outputs = tuple((*call, *self.desk.copies(i)) for i, call in enumerate(examinee.outputs(self.desk.count)))
        examinee.release()
        examinee.worker.pause()
        return Lap(per_call(elapsed, self.round_trip_ns, self.desk.count), outputs, max(waited, 0) / elapsed)


def clock(examinee: Examinee, count: int) -> int:
    """Nanoseconds for `count` calls, round trip included, once everything else has come to rest."""
    examinee.worker.pause()
    time.sleep(SETTLE)
    examinee.run(0)
    return examinee.worker.clock(requests.Run(count), examinee.seconds)


def round_trip(examinee: Examinee) -> float:
    """Nanoseconds for no call at all. Measured on PyTorch's own worker: a candidate could slow down its own."""
    return statistics.median(clock(examinee, 0) for _ in range(EMPTY_TRIPS))
