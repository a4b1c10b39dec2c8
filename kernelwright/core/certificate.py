"""What the judge found of one candidate, with all that it takes to ask again."""

from __future__ import annotations

from dataclasses import dataclass

from kernelwright.core.candidate import Candidate
from kernelwright.core.outcome import Accepted, Baselines, Environment, Rejected
from kernelwright.core.task import Task

FORMAT = 1  # of the file; raise it when this noun changes, or what a master seed stands for


@dataclass(frozen=True, slots=True)
class Stated:
    """What can be worked out from the rest of a certificate, written down so that a reader need not.

    Digests are SHA-256: of the whole task, of the reference's text, of the candidate's text. The other figures are
    functions of the raw samples; None where the candidate was not timed.
    """

    task: str
    reference: str
    candidate: str
    accepted: bool  # right, and surely faster than the contract's least gain
    verdict: str | None = None
    speedup: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """One judgement. A claim like any other: nobody has signed it, and `kernelwright verify` asks again.

    master: the secret seed that all inputs and weights came from, as hex; no secret once the verdict stands.
    baselines: None where the candidate was refused before PyTorch was measured.
    """

    format: int
    kernelwright: str
    date: str  # ISO 8601, UTC
    task: Task
    candidate: Candidate
    environment: Environment
    master: str
    outcome: Rejected | Accepted
    baselines: Baselines | None
    stated: Stated
