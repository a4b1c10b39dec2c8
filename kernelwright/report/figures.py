"""The statistics of a run: pure functions of its entries.

A speed-up is the judge's own figure, the median of paired ratios, against the baseline that the kernel raced: the
faster of eager and torch.compile. Against the other one it is that figure, times the ratio of the two medians of the
baselines' samples, which were taken in turns. With fallback, a problem for which PyTorch was kept, or that failed,
counts as 1.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from kernelwright.core.outcome import Accepted, Baselines, Keep
from kernelwright.core.run import Entry, Run, Solved
from kernelwright.core.stats import geometric_mean

Against = Literal["eager", "compile", "faster"]
AGAINST: tuple[Against, ...] = get_args(Against)
FAST = (1.0, 1.2, 1.5, 2.0)  # the p of fast_p: the share of all problems with a kernel more than p times as fast


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one level against one baseline. None where no problem gives that figure.

    counted: the problems that the speed-ups are over: all, less those whose speed-up against this baseline is unknown.
    mean: geometric, 1 for each problem without a kernel. mean_kept: geometric, over the kernels alone.
    median: with fallback. fast: the share of `counted` with a kernel more than p times as fast, for each p of FAST.
    correct: the share of `problems` for which a kernel was right, faster or not.
    light: median share of the speed of light that the kernels reach.
    seconds, tokens, cost: means for one problem.
    """

    level: str | None  # None over all levels
    against: Against
    precision: str
    degenerate: bool  # whether degenerate problems count
    problems: int
    counted: int
    kept: int
    failed: int
    mean: float | None
    mean_kept: float | None
    median: float | None
    fast: tuple[tuple[float, float], ...]
    correct: float
    light: float | None
    seconds: float
    tokens: float
    cost: float


def summaries(run: Run, entries: Sequence[Entry]) -> tuple[Summary, ...]:
    """Each level and all together, against each baseline, with and without degenerate problems."""
    told, precision = telling(entries), run.contract.precision
    return tuple(
        summary(chosen, level=level, against=against, precision=precision, degenerate=whole)
        for whole, over in ((True, entries), (False, told))
        for level in (*levels(entries), None)
        for against in AGAINST
        if (chosen := at_level(over, level))
    )


def summary(
    entries: Sequence[Entry], *, level: str | None, against: Against, precision: str, degenerate: bool
) -> Summary:
    """The figures of these entries; there is at least one."""
    known = [gain for entry in entries if (gain := speedup(entry, against)) is not None]
    gains = [gain for entry in entries if is_kept(entry) and (gain := speedup(entry, against)) is not None]
    shares = [share for entry in entries if (share := light(entry)) is not None]
    return Summary(
        level=level,
        against=against,
        precision=precision,
        degenerate=degenerate,
        problems=len(entries),
        counted=len(known),
        kept=sum(map(is_kept, entries)),
        failed=sum(not isinstance(entry.result, Solved) for entry in entries),
        mean=geometric_mean(known) if known else None,
        mean_kept=geometric_mean(gains) if gains else None,
        median=statistics.median(known) if known else None,
        fast=tuple((p, fast(gains, p, len(known))) for p in FAST),
        correct=statistics.fmean(map(is_right, entries)),
        light=statistics.median(shares) if shares else None,
        seconds=statistics.fmean(entry.seconds for entry in entries),
        tokens=statistics.fmean(entry.tokens for entry in entries),
        cost=statistics.fmean(entry.cost for entry in entries),
    )


def levels(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(sorted({entry.problem.level for entry in entries}))


def at_level(entries: Sequence[Entry], level: str | None) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if level is None or entry.problem.level == level)


def degenerate(entries: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    """The problems that can tell little, by name, each with the reason."""
    return tuple((entry.problem.name, why) for entry in entries if (why := degenerate_reason(entry)))


def telling(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Without the degenerate ones."""
    return tuple(entry for entry in entries if not degenerate_reason(entry))


def degenerate_reason(entry: Entry) -> str:
    return entry.result.baselines.degenerate if isinstance(entry.result, Solved) else ""


# One problem


def is_kept(entry: Entry) -> bool:
    return isinstance(entry.result, Solved) and isinstance(entry.result.choice, Keep)


def is_right(entry: Entry) -> bool:
    """Whether a candidate went through all stages of the judge, faster or not."""
    return isinstance(entry.result, Solved) and any(isinstance(t.outcome, Accepted) for t in entry.result.trials)


def speedup(entry: Entry, against: Against = "faster") -> float | None:
    """1 where PyTorch is kept or the problem failed. None where that baseline could not be had."""
    if not isinstance(entry.result, Solved):
        return 1.0
    took = baseline_ns(entry, against)
    if took is None:
        return None
    choice = entry.result.choice
    if not (isinstance(choice, Keep) and isinstance(choice.trial.outcome, Accepted)):
        return 1.0
    raced = medians(entry.result.baselines).get(choice.trial.outcome.timing.baseline, took)
    return choice.gain * took / raced


def baseline_ns(entry: Entry, against: Against = "faster") -> float | None:
    """Median nanoseconds of a call of PyTorch. None where that baseline could not be had."""
    if not isinstance(entry.result, Solved):
        return None
    found = medians(entry.result.baselines)
    return min(found.values(), default=None) if against == "faster" else found.get(against)


def medians(baselines: Baselines) -> dict[str, float]:
    return {measured.name: statistics.median(measured.samples_ns) for measured in baselines.measured}


def kernel_ns(entry: Entry) -> float | None:
    """Median nanoseconds of a call of the kernel that is kept; None where none is."""
    if not (isinstance(entry.result, Solved) and isinstance(entry.result.choice, Keep)):
        return None
    outcome = entry.result.choice.trial.outcome
    return statistics.median(outcome.timing.candidate_ns) if isinstance(outcome, Accepted) else None


def light(entry: Entry) -> float | None:
    """The share of the speed of light that the kernel reaches: the roofline's least time over its own."""
    took = kernel_ns(entry)
    if took is None or not isinstance(entry.result, Solved) or not entry.result.floor_ns:
        return None
    return entry.result.floor_ns / took


def fast(gains: Sequence[float], p: float, of: int) -> float:
    """fast_p: the share `of` so many problems that have a kernel more than p times as fast."""
    return sum(gain > p for gain in gains) / of if of else 0.0
