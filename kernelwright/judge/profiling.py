"""Where a candidate spends its time: what its worker says of a few calls on inputs that are no secret."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kernelwright.judge import requests
from kernelwright.judge.courtroom import Courtroom
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.processes import Fault

PUBLIC_SEED = 0  # of inputs that an author may see
COUNT = 10
SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator's share of a call: how often, and microseconds without what it calls."""

    name: str
    calls: float
    self_us: float


@dataclass(frozen=True, slots=True)
class Profile:
    """The worker's own words: advice for an author, proof of nothing."""

    operators: tuple[Operator, ...]
    compiler: tuple[str, ...]

    def __str__(self) -> str:
        shares = [f"{one.self_us:9.1f} us in {one.calls:g} calls of {one.name}" for one in self.operators]
        return "\n".join(("Time of one call by operator:", *shares, *self.compiler))


def profiled(court: Courtroom, examinee: Examinee) -> Profile:
    """A few calls under torch's profiler, on the weights given and on inputs of a public seed. Raises Fault."""
    desk = court.public_desk(court.key.drawn(PUBLIC_SEED))
    examinee.take_state(court.key, court.first)
    examinee.sit(desk)
    alone = tuple(court.key.init_inputs) if court.unconfined else None  # a sandbox is closed to Nsight Compute
    answer = examinee.worker.ask(requests.Profile(COUNT, alone), SECONDS)
    try:
        found = tuple(_operator(each) for each in answer["operators"])
        return Profile(found, tuple(str(line)[:300] for line in answer["compiler"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Fault(f"described no profile: {str(answer)[:200]}") from error


def _operator(told: dict[str, Any]) -> Operator:
    calls, self_us = float(told["calls"]), float(told["self_us"])
    if not math.isfinite(calls + self_us):
        raise ValueError(f"no number: {told}")
    return Operator(str(told["name"])[:80], calls, self_us)
