"""Two runs over the same problems: what got faster, slower, newly kept, newly lost. Pure.

Where both kept a kernel, the ratio of their median times decides. Its 95 % interval, by bootstrap of both runs'
samples, lies wholly above the least gain of the contract (faster), below its inverse (slower), or neither (unchanged).
The samples of one run come from few processes, and copies of one kernel differ by up to 10 % from process to process,
because of where memory lies. So a change of a few percent is worth looking at in more than two runs.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

from kernelwright.core.outcome import Accepted, Keep, Trial
from kernelwright.core.run import Entry, Failed, Run, Solved
from kernelwright.core.stats import RESAMPLES

Change = Literal["faster", "slower", "newly kept", "newly lost", "unchanged"]
CHANGES: tuple[Change, ...] = get_args(Change)


@dataclass(frozen=True, slots=True)
class Compared:
    """One problem in both runs. `ratio` is time in A over time in B, above 1 where B is faster; None where one or both
    kept PyTorch. `before` and `after` say what each run came to."""

    name: str
    change: Change
    before: str
    after: str
    ratio: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it. `different` are problems that were not the same in both: scaled otherwise, or edited."""

    compared: tuple[Compared, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    different: tuple[str, ...]
    warnings: tuple[str, ...]


def compare(a: Run, entries_a: Sequence[Entry], b: Run, entries_b: Sequence[Entry]) -> Comparison:
    before, after = _by_name(entries_a), _by_name(entries_b)
    both = [name for name in before if name in after]
    same = [name for name in both if before[name].problem.reference == after[name].problem.reference]
    gain = max(a.contract.gain, b.contract.gain)
    return Comparison(
        tuple(compared(before[name], after[name], gain) for name in same),
        tuple(name for name in before if name not in after),
        tuple(name for name in after if name not in before),
        tuple(name for name in both if name not in same),
        tuple(_warnings(a, b)),
    )


def compared(before: Entry, after: Entry, gain: float) -> Compared:
    """What became of one problem. `gain` is the least ratio that counts as a change."""
    told = before.problem.name, outcome(before), outcome(after)
    old, new = kernel_samples(before), kernel_samples(after)
    if not old or not new:
        change: Change = "newly kept" if new else "newly lost" if old else "unchanged"
        return Compared(told[0], change, *told[1:])
    low, high = ratio_interval(old, new)
    change = "faster" if low > gain else "slower" if high < 1 / gain else "unchanged"
    return Compared(told[0], change, *told[1:], statistics.median(old) / statistics.median(new), (low, high))


def ratio_interval(old: Sequence[float], new: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval at 95 % of median(old) / median(new), both resampled; from a seeded generator."""
    draw = random.Random(seed)
    ratios = sorted(_median_again(old, draw) / _median_again(new, draw) for _ in range(RESAMPLES))
    return ratios[int(0.025 * RESAMPLES)], ratios[ceil(0.975 * RESAMPLES) - 1]


def kernel_samples(entry: Entry) -> tuple[float, ...]:
    """Nanoseconds a call of the kernel that was kept; none where PyTorch was."""
    match entry.result:
        case Solved(choice=Keep(trial=Trial(outcome=Accepted(timing=timing)))):
            return timing.candidate_ns
        case _:
            return ()


def outcome(entry: Entry) -> str:
    """What a problem came to, in a few words."""
    match entry.result:
        case Failed(stage):
            return f"failed ({stage})"
        case Solved(choice=Keep(gain=gain)):
            return f"{gain:.2f}x"
        case _:
            return "PyTorch kept"


def _median_again(samples: Sequence[float], draw: random.Random) -> float:
    return statistics.median(draw.choices(samples, k=len(samples)))


def _by_name(entries: Sequence[Entry]) -> Mapping[str, Entry]:
    return {entry.problem.name: entry for entry in entries}


def _warnings(a: Run, b: Run) -> Iterator[str]:
    one, other = a.environment, b.environment
    if (one.target.name, one.threads) != (other.target.name, other.threads):
        yield (
            f"the machines differ: {one.target.name}, {one.threads} threads; "
            f"{other.target.name}, {other.threads} threads. Times do not compare"
        )
    if (one.torch, one.python) != (other.torch, other.python):
        yield f"versions differ: torch {one.torch}, {other.torch}; Python {one.python}, {other.python}"
    if a.contract != b.contract:
        yield f"the contracts differ: {a.contract}; {b.contract}"
    for name, value in a.options:
        if name != "store" and dict(b.options).get(name, value) != value:
            yield f"the option {name} differs: {value or 'none'}; {dict(b.options)[name] or 'none'}"
