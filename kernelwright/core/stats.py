"""Statistics of paired timings. Pure functions of raw samples."""

from __future__ import annotations

import functools
import math
import random
import statistics
from collections.abc import Sequence
from typing import Literal

from kernelwright.core.outcome import Timing

Verdict = Literal["FASTER", "SAME", "SLOWER", "UNSURE"]

RESAMPLES = 2000
SURE = 0.99  # confidence where one error in twenty is too many
ALIKE = 0.99  # a speed-up that two processes of one program have by where they lie and when they began


def log_ratios(timing: Timing) -> tuple[float, ...]:
    """ln(baseline / candidate) for each pair: positive where the candidate is faster."""
    return tuple(math.log(b / c) for b, c in zip(timing.baseline_ns, timing.candidate_ns, strict=True))


def speedup(timing: Timing) -> float:
    """Baseline time over candidate time, by the median of the paired log-ratios."""
    return math.exp(statistics.median(log_ratios(timing)))


def interval(timing: Timing, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the speed-up (Efron, 1979), from a seeded generator."""
    medians = _resampled(log_ratios(timing), seed)
    tail = (1 - confidence) / 2
    low, high = medians[int(tail * RESAMPLES)], medians[math.ceil((1 - tail) * RESAMPLES) - 1]
    return math.exp(low), math.exp(high)


@functools.lru_cache(maxsize=32)
def _resampled(ratios: tuple[float, ...], seed: int) -> tuple[float, ...]:
    """Medians of resamples, sorted. Kept: the same pairs are asked for several confidences, one after the other."""
    draw = random.Random(seed)
    return tuple(sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)))


def verdict(timing: Timing, gain: float) -> Verdict:
    """FASTER where surely above the gain that is worth keeping, SLOWER where surely below 0.99, SAME where near 1.

    Few pairs on a busy machine are above the gain by chance more often than their 95 % interval says. On a GPU the
    interval is so narrow that copies lie surely below 1, by half a percent.
    """
    least, most = interval(timing, SURE)
    if least > gain:
        return "FASTER"
    if most < ALIKE:
        return "SLOWER"
    low, high = interval(timing)
    if low > 1 / gain and high < gain:
        return "SAME"
    return "UNSURE"


def median_ms(samples_ns: Sequence[float]) -> float:
    return statistics.median(samples_ns) / 1e6


def spread(samples_ns: Sequence[float]) -> tuple[float, float]:
    """First and third quartile, in milliseconds."""
    if len(samples_ns) < 2:
        return samples_ns[0] / 1e6, samples_ns[0] / 1e6
    low, _, high = statistics.quantiles(samples_ns, n=4, method="inclusive")
    return low / 1e6, high / 1e6


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))
