"""How long a call takes: how many calls make a sample, in which order sides go, when enough pairs are taken.

Pure decisions; whoever takes the samples is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from kernelwright.core.outcome import Timing
from kernelwright.core.stats import SURE, interval, speedup, verdict

Side = Literal["baseline", "candidate"]

LOOKS = (20, 40, 80)  # pairs after which to look whether more are needed; ten called one copy in fifty slower
QUIET = 0.05  # share of a lap that threads may stand in line for a core
TRIES = 3  # for a quiet one
CONFIRMATIONS = {"eager": 2, "compile": 1}  # times that a small gain has to show again; compiling anew takes 5 s
CLEAR = 1.15  # a speed-up above this is no accident of where memory lies
FEWEST = 6  # pairs below which no time limit stops
ROUND_TRIPS = 30  # a sample takes at least so many empty round trips, so that their noise is small beside it
MOST_CALLS = 64
INCREDIBLE = 10.0  # a speed-up above this stands only after a second race under stricter rules
STRICT_PAIRS = 12


@dataclass(frozen=True, slots=True)
class Pair:
    """Nanoseconds a call of both sides on the same inputs, and the larger disturbance of the two."""

    baseline_ns: float
    candidate_ns: float
    disturbance: float = 0.0


class Disturbed(Protocol):
    @property
    def disturbance(self) -> float: ...


D = TypeVar("D", bound=Disturbed)


def quietest(take: Callable[[], D]) -> D:
    """The first that other processes left alone; of a few that they did not, the one they disturbed least."""
    taken: list[D] = []
    while not taken or (taken[-1].disturbance > QUIET and len(taken) < TRIES):
        taken.append(take())
    return min(taken, key=lambda one: one.disturbance)


def calls_per_sample(call_ns: float, round_trip_ns: float, bytes_a_call: int, memory: int) -> int:
    """Enough calls to drown the round trip, as far as their inputs and outputs fit into memory."""
    wanted = math.ceil(ROUND_TRIPS * round_trip_ns / max(call_ns, 1.0))
    return max(1, min(wanted, MOST_CALLS, memory // max(bytes_a_call, 1)))


def per_call(elapsed_ns: float, round_trip_ns: float, count: int) -> float:
    """The cost of one call. Never zero: a round trip that varies can't make work free."""
    return max(elapsed_ns - round_trip_ns, elapsed_ns / 100) / count


def order(pair: int) -> tuple[Side, Side]:
    """ABBA: each side goes first as often as second."""
    return ("baseline", "candidate") if pair % 2 == 0 else ("candidate", "baseline")


def take_pairs(
    take: Callable[[int], Pair],
    gain: float,
    seconds: float,
    now: Callable[[], float],
    looks: Sequence[int] = LOOKS,
) -> Iterator[Pair]:
    """Pairs until an early look is sure, or the last look or the time limit is reached.

    On a busy machine no early look is taken: bursts of other work fake a difference that more pairs even out.
    """
    deadline = now() + seconds
    pairs: list[Pair] = []
    for number in range(looks[-1]):
        pairs.append(quietest(lambda n=number: take(n)))
        yield pairs[-1]
        if len(pairs) in looks and all(pair.disturbance <= QUIET for pair in pairs) and decided(pairs, gain):
            return
        if len(pairs) >= FEWEST and now() >= deadline:
            return


def decided(pairs: Sequence[Pair], gain: float) -> bool:
    """Whether it is known how the speed-up lies to 1 and to the gain that counts."""
    return verdict(as_timing("", pairs), gain) != "UNSURE"


def doubtful(pairs: Sequence[Pair], gain: float) -> bool:
    """Whether these pairs say faster, but perhaps by so little that it may be an accident of these two processes."""
    return is_faster(pairs, gain) and interval(as_timing("", pairs), SURE)[0] < CLEAR


def incredible(pairs: Sequence[Pair]) -> bool:
    return speedup(as_timing("", pairs)) > INCREDIBLE


def is_faster(pairs: Sequence[Pair], gain: float) -> bool:
    return verdict(as_timing("", pairs), gain) == "FASTER"


def as_timing(baseline: str, pairs: Sequence[Pair], floor_ns: float = 0.0, strict: bool = False) -> Timing:
    sides = tuple(pair.baseline_ns for pair in pairs), tuple(pair.candidate_ns for pair in pairs)
    return Timing(baseline, *sides, floor_ns, strict)
