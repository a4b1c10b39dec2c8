"""What an author outside may be told of a trial: never the judge's inputs, seeds or expected values.

The engine of language models tells by the same rule. An author outside is told one thing more: what the candidate
itself says where it fails again, on inputs that are no secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kernelwright.core.outcome import Rejected, Trial
from kernelwright.engines.agent.told import without_values

SEEN_NOTHING = ("audit", "build")  # stages at which a candidate has seen nothing hidden
OF_THE_TASK = ("the reference ", "PyTorch's own output ")  # how the judge begins when no candidate can be judged


def told(trial: Trial, again: Callable[[], str]) -> Trial:
    """The trial in words that hold no secret. `again`: what the candidate says on inputs of a public seed."""
    refusal = trial.outcome
    if not isinstance(refusal, Rejected) or refusal.stage in SEEN_NOTHING:
        return trial
    if refusal.reason.startswith(OF_THE_TASK):
        return replace(trial, outcome=replace(refusal, reason=refusal.reason.partition(":")[0], detail=""))
    spoke = bool(refusal.detail)  # the judge's own objections have none
    reason = without_values(refusal, trial.candidate.source)
    return replace(trial, outcome=Rejected(refusal.stage, reason, again() if spoke else ""))
