"""Does a candidate do the work of later calls early? All inputs of a sample are there when its first call is made.

While a sample runs, the judge replaces the inputs of its last call. Who comes to them in turn finds the new bytes; who
has read all inputs in the first call hands over what belongs to bytes that are gone.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

from kernelwright.judge import numerics, requests
from kernelwright.judge.courtroom import Courtroom
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.objection import Objection

SAMPLES = 16  # at most; on a GPU, every other one comes too late to prove anything
EARLIEST, LATEST = 0.1, 0.35  # of a sample's time, when the bytes are replaced
IN_TIME = 0.6  # of the time until the last call begins: replaced by then, the bytes were there for it
PROOF = 2  # samples; one may be the accident of a call that took much longer than its neighbours


@dataclass(frozen=True, slots=True)
class Replaced:
    """Shares of the sample: when the new bytes were there, and when the last call began if all took alike."""

    there: float
    needed: float
    followed: bool

    @property
    def foreseen(self) -> bool:
        return not self.followed and self.there < IN_TIME * self.needed


def check_foresight(court: Courtroom, candidate: Examinee, call_ns: float) -> None:
    """`call_ns`: what a call of the candidate takes."""
    if court.track.desk.count < 2:
        return
    draw = random.SystemRandom()
    with _on_different_cores(candidate.worker.pid):
        shares = (draw.uniform(EARLIEST, LATEST) for _ in range(SAMPLES))
        proofs = (share for share in shares if _replace(court, candidate, call_ns, share).foreseen)
        found = len(tuple(islice(proofs, PROOF)))
    if found == PROOF:
        raise Objection("time", "the work of later calls is done early: a call ignores inputs that came before it")


def _replace(court: Courtroom, candidate: Examinee, call_ns: float, share: float) -> Replaced:
    track, desk = court.track, court.track.desk
    track.refresh()
    last = desk.count - 1
    late = desk.draft(last, track.other_bytes())
    court.hush()
    candidate.sit(desk)
    candidate.run(0)
    candidate.worker.pause()
    desk.publish()
    start = time.perf_counter()
    candidate.worker.tell(requests.Run(desk.count))
    time.sleep(share * desk.count * call_ns / 1e9)  # asleep: awake it would keep the worker from this core
    desk.replace(last, late)
    there = time.perf_counter() - start
    candidate.worker.hear(candidate.seconds)
    whole = time.perf_counter() - start
    desk.accept(last, late)
    followed = _is_right(court, candidate)
    candidate.release()
    candidate.worker.pause()
    return Replaced(there / whole, last / desk.count, followed)


@contextmanager
def _on_different_cores(pid: int) -> Iterator[None]:
    """Else this process may not wake before the worker is done. Only Linux can be told."""
    if not hasattr(os, "sched_setaffinity") or len(cores := os.sched_getaffinity(0)) < 2:
        yield
        return
    mine = {min(cores)}
    os.sched_setaffinity(0, mine)
    os.sched_setaffinity(pid, cores - mine)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, cores)


def _is_right(court: Courtroom, candidate: Examinee) -> bool:
    """Whether the last call's outputs belong to the bytes that its inputs hold now."""
    desk = court.track.desk
    got = candidate.outputs(desk.count)[-1]
    truth = court.key.oracle.answer(desk.arguments(desk.count - 1), court.key.states[0])
    allowed = court.standard(court.first).allowed
    return all(
        numerics.deviation(one, wanted).error <= limit
        for one, wanted, limit in zip(got, truth.outputs, allowed, strict=False)
    )
