"""What the clerk has to say, as JSON values for programs."""

from __future__ import annotations

from kernelwright.clerk.clerk import Clerk, Submission
from kernelwright.clerk.sight import Applicable, Sight
from kernelwright.core.codec import digest
from kernelwright.core.outcome import Accepted, Keep, Rejected, Trial
from kernelwright.core.task import Task
from kernelwright.judge.profiling import Profile
from kernelwright.report import facts, rows
from kernelwright.report.facts import Facts

ADVISORY = "the candidate's own worker says so: advice, proof of nothing"


def opened(name: str, task: Task) -> Facts:
    """The handle by which the task is called from here on, and what was asked."""
    return {
        "task": digest(task),
        "name": name,
        "inputs": [facts.plain(spec) for spec in task.inputs],
        "target": facts.plain(task.target),
        "contract": facts.plain(task.contract),
    }


def shown(clerk: Clerk) -> Facts:
    """Everything there is to see: graph, roofline, PyTorch's times, tricks, the best so far."""
    return {
        **opened(clerk.subject.name, clerk.task),
        "reference": clerk.task.reference,
        **seen(clerk.see()),
        "baseline": facts.medians(clerk.baselines()),
        "tricks": [named(each) for each in clerk.tricks()],
        "best": best(clerk, with_source=False),
    }


def seen(sight: Sight) -> Facts:
    roofline = facts.plain(sight.roofline)
    return {
        "graph": [facts.plain(value) for value in sight.values],
        "flops": sight.flops,
        "bytes": sight.nbytes,
        "floor_ms": sight.floor_ms,
        "roofline": roofline,
    }


def named(trick: Applicable) -> Facts:
    return {"name": trick.name, "sites": list(trick.sites), "doc": trick.doc}


def tried(trial: Trial, gain: float) -> Facts:
    """A trial as it may be told. `accepted`: right and surely faster."""
    outcome = trial.outcome
    assert isinstance(outcome, (Rejected, Accepted)), f"an examination ends in neither, but in {outcome}"
    return {**facts.proposed(trial.candidate), "engine": trial.engine, **facts.judged(outcome, gain)}


def profiled(found: Profile | Rejected) -> Facts:
    if isinstance(found, Rejected):
        return {"profiled": False, "stage": found.stage, "reason": found.reason, "detail": found.detail}
    operators = [facts.plain(each) for each in found.operators]
    return {"profiled": True, "note": ADVISORY, "operators": operators, "compiler": list(found.compiler)}


def best(clerk: Clerk, with_source: bool = True) -> Facts | None:
    trial = clerk.best()
    if trial is None:
        return None
    found = {**tried(trial, clerk.task.contract.gain), "from": rows.origin_text(trial.candidate)}
    return {**found, "source": trial.candidate.source} if with_source else found


def submitted(submission: Submission, gain: float) -> Facts:
    kept = isinstance(submission.choice, Keep)
    why = "" if kept else _why_not(submission.trial, gain)
    return {
        **tried(submission.trial, gain),
        "kept": kept,
        "written": str(submission.written) if submission.written else None,
        "why": why,
    }


def _why_not(trial: Trial, gain: float) -> str:
    judged = facts.judged(trial.outcome, gain) if isinstance(trial.outcome, (Rejected, Accepted)) else {}
    if judged.get("accepted"):
        return "right and faster than PyTorch, but the kernel that is kept so far is faster still"
    return f"{judged.get('stage')}: {judged.get('reason')}"
