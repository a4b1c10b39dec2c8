"""How long a call takes: how many calls make a sample, in which order sides go, when enough pairs are taken.

Pure decisions; whoever takes the samples is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

from kernelwright.core.outcome import Timing
from kernelwright.core.stats import interval

Side = Literal["baseline", "candidate"]
Pair = tuple[float, float]

LOOKS = (10, 20, 40)  # pairs after which to look whether more are needed
SURE = 0.99  # confidence of the early looks; three looks at 95 % would err more often than 5 %
FEWEST = 6  # pairs below which no time limit stops
ROUND_TRIPS = 30  # a sample takes at least so many empty round trips, so that their noise is small beside it
MOST_CALLS = 64


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


def take_pairs(take: Callable[[int], Pair], gain: float, seconds: float, now: Callable[[], float]) -> Iterator[Pair]:
    """Pairs until an early look is sure, or the last look or the time limit is reached."""
    deadline = now() + seconds
    pairs: list[Pair] = []
    for number in range(LOOKS[-1]):
        pairs.append(take(number))
        yield pairs[-1]
        if len(pairs) in LOOKS and decided(pairs, gain):
            return
        if len(pairs) >= FEWEST and now() >= deadline:
            return


def decided(pairs: list[Pair], gain: float) -> bool:
    """Whether the speed-up is surely above the gain that counts, or surely below it."""
    baseline, candidate = zip(*pairs, strict=True)
    low, high = interval(Timing("", tuple(baseline), tuple(candidate)), SURE)
    return low > gain or high < gain
