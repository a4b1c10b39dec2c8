"""What the judge found, and what was decided from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kernelwright.core.candidate import Candidate
from kernelwright.core.spec import Target

Stage = Literal["audit", "build", "verify", "time"]


@dataclass(frozen=True, slots=True)
class FamilyError:
    """Worst row of one output over one family of inputs. Errors are relative to the row's largest magnitude.

    binding: whether an error above `allowed` rejects; else the family is only reported.
    """

    family: str
    output: int
    error: float
    baseline_error: float
    allowed: float
    binding: bool = True


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far a candidate is from the float64 oracle, family by family."""

    oracle: str  # "float64", or what had to stand in for it
    families: tuple[FamilyError, ...]
    deterministic: bool = True
    spread: float = 0.0  # by which two of the reference's own runs on the same bytes differ


@dataclass(frozen=True, slots=True)
class Timing:
    """Paired samples, nanoseconds a call, on the judge's clock. Sample i of both sides saw the same inputs.

    floor_ns: the least time that the bytes which no kernel can avoid take on this machine; 0 where it is not known.
    strict: whether a speed-up above 10 was timed a second time, on new draws in new processes.
    """

    baseline: str  # "eager" or "compile"
    baseline_ns: tuple[float, ...]
    candidate_ns: tuple[float, ...]
    floor_ns: float = 0.0
    strict: bool = False


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """Bytes that one call needed beyond what was in use before it, outputs included."""

    baseline: int
    candidate: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The stage that objected, and why in one line that names the value which caused it."""

    stage: Stage
    reason: str
    detail: str = ""  # compiler log, first mismatch


@dataclass(frozen=True, slots=True)
class Screened:
    """Built, right on one set of inputs, timed briefly. No promise beyond that."""

    time_ns: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """Right by the contract, and timed. Whether it is faster is a function of the samples."""

    accuracy: Accuracy
    timing: Timing
    memory: PeakMemory | None = None  # None where the machine does not tell


Outcome = Rejected | Screened | Accepted


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine and versions that an outcome was found with."""

    target: Target
    torch: str
    python: str
    threads: int
    kernelwright: str
    sandbox: str = "none"  # what confined the candidate: "sandlock", "bubblewrap", "sandbox-exec", "none"


@dataclass(frozen=True, slots=True)
class Trial:
    """One line of history."""

    round: int
    engine: str
    candidate: Candidate
    outcome: Outcome
    environment: Environment


@dataclass(frozen=True, slots=True)
class Measured:
    """One way PyTorch itself can run the task: samples in nanoseconds a call, and its own error."""

    name: Literal["eager", "compile"]
    samples_ns: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Adequacy:
    """What a task can tell, found by judging wrong outputs of the judge's own making before any candidate is seen.

    tried, survived: wrong outputs by name, and those that pass for right: "this task cannot tell last row zeroed".
    refused: honest variants of PyTorch's own output that the rule does not accept, each with the reason; best empty.
    """

    tried: tuple[str, ...]
    survived: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Baselines:
    """What a candidate has to beat. `missing` says why a baseline could not be had."""

    measured: tuple[Measured, ...]
    missing: tuple[tuple[str, str], ...] = ()
    degenerate: str = ""  # why this task can tell little: "the output does not depend on the input"
    adequacy: Adequacy | None = None  # None where no candidate can be judged at all


@dataclass(frozen=True, slots=True)
class Passed:
    """A trial that was not chosen, by its candidate's digest, and why."""

    candidate: str
    reason: str


@dataclass(frozen=True, slots=True)
class Keep:
    """A kernel is kept."""

    trial: Trial
    gain: float
    interval: tuple[float, float]
    passed: tuple[Passed, ...] = ()


@dataclass(frozen=True, slots=True)
class Fallback:
    """PyTorch is kept."""

    baseline: str
    reason: str
    passed: tuple[Passed, ...] = ()


Choice = Keep | Fallback
