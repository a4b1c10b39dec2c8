"""Small values of every noun, for tests that need one."""

from __future__ import annotations

from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.outcome import (
    Accepted,
    Accuracy,
    Baselines,
    Environment,
    FamilyError,
    Measured,
    Outcome,
    Timing,
    Trial,
)
from kernelwright.core.spec import Target, TensorSpec
from kernelwright.core.task import Task

TARGET = Target("cpu", "avx2", "a machine", ("g++ 12", "torch 2.13.0"), 2)
TASK = Task("class Model: ...", (TensorSpec((4, 8), (8, 1), "float32"),), TARGET)
ENVIRONMENT = Environment(TARGET, "2.13.0", "3.11", 2, "0.1.0")
BASELINES = Baselines((Measured("eager", (10e6,) * 4), Measured("compile", (8e6,) * 4)))


def candidate(source: str) -> Candidate:
    return Candidate("a task", source, Handmade("a test"))


def trial(source: str, outcome: Outcome, number: int = 0) -> Trial:
    return Trial(number, "search", candidate(source), outcome, ENVIRONMENT)


def accepted(speedup: float, pairs: int = 12, jitter: float = 0.0) -> Accepted:
    """Right, and `speedup` times as fast as a baseline of 8 ms; `jitter` spreads the samples."""
    baseline = tuple(8e6 * (1 + jitter * (-1) ** pair) for pair in range(pairs))
    timing = Timing("compile", baseline, (8e6 / speedup,) * pairs)
    return Accepted(Accuracy("float64", (FamilyError("plain", 0, 1e-7, 1e-7, 4e-7),)), timing)
