"""Trials to a choice: the fastest kernel that is right and surely faster, else PyTorch. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from kernelwright.core.codec import digest
from kernelwright.core.outcome import (
    Accepted,
    Baselines,
    Choice,
    Fallback,
    Keep,
    Passed,
    Rejected,
    Screened,
    Timing,
    Trial,
)
from kernelwright.core.stats import interval, median_ms, speedup, verdict


def choose(baselines: Baselines, trials: Sequence[Trial], gain: float) -> Choice:
    """Keep the trial that is surely fastest: the highest lower bound, where that is above `gain`; else fall back."""
    last = {digest(trial.candidate): trial for trial in trials}
    faster = [(interval(trial.outcome.timing)[0], key) for key, trial in last.items()
              if isinstance(trial.outcome, Accepted) and verdict(trial.outcome.timing, gain) == "FASTER"]  # fmt: skip
    if not faster:
        return Fallback(fastest(baselines), _why_none(last, gain), _passed(last, gain, None))
    _, best = max(faster)
    return keep(last[best], _passed(last, gain, best))


def keep(trial: Trial, passed: tuple[Passed, ...] = ()) -> Keep:
    """Keep this trial, whose outcome is Accepted, with its gain and interval."""
    assert isinstance(trial.outcome, Accepted), f"only an accepted trial can be kept, not {trial.outcome}"
    timing = trial.outcome.timing
    return Keep(trial, speedup(timing), interval(timing), passed)


def fastest(baselines: Baselines) -> str:
    """The name of the faster of eager and torch.compile."""
    return min(baselines.measured, key=lambda measured: median_ms(measured.samples_ns)).name


def fate(trial: Trial, gain: float) -> str:
    """What became of a trial, in one line."""
    match trial.outcome:
        case Rejected(stage, reason):
            return f"{stage}: {reason}"
        case Screened(time_ns):
            return f"screened at {time_ns / 1e6:.3f} ms, not among the best"
        case Accepted(_, timing):
            return f"right, {describe(timing, gain)}"


def describe(timing: Timing, gain: float) -> str:
    """`1.62x of eager [1.58, 1.66]: FASTER`."""
    low, high = interval(timing)
    return f"{speedup(timing):.2f}x of {timing.baseline} [{low:.2f}, {high:.2f}]: {verdict(timing, gain)}"


def _passed(last: dict[str, Trial], gain: float, best: str | None) -> tuple[Passed, ...]:
    return tuple(Passed(key, fate(trial, gain)) for key, trial in last.items() if key != best)


def _why_none(last: dict[str, Trial], gain: float) -> str:
    if not last:
        return "nothing was proposed"
    right = [trial.outcome.timing for trial in last.values() if isinstance(trial.outcome, Accepted)]
    if right:
        return f"no kernel is surely faster; the best is {describe(max(right, key=speedup), gain)}"
    return f"none of {len(last)} candidates was both right and fast enough to examine"
