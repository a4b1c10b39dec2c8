"""What happened, as JSON values for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from kernelwright.core.candidate import Candidate
from kernelwright.core.certificate import Certificate
from kernelwright.core.codec import digest, encode
from kernelwright.core.conversation import Conversation
from kernelwright.core.outcome import Accepted, Accuracy, Baselines, Choice, Keep, Outcome, Rejected, Screened, Trial
from kernelwright.core.stats import interval, median_ms, speedup, verdict
from kernelwright.core.task import Task
from kernelwright.judge.certificate import VALUES, Finding, Paper, as_data
from kernelwright.report.rows import headline, nearest_to_limit, slower_reason
from kernelwright.store import Record

Facts = dict[str, Any]
Event = Task | Baselines | Conversation | Trial | Choice


def text(value: object) -> str:
    """JSON as the standard has it: an infinity or NaN, which JSON lacks, becomes a string."""
    return json.dumps(finite(value), indent=2, allow_nan=False)


def finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def optimized(events: Sequence[Event], choice: Choice, source: str | None, recalled: bool) -> Facts:
    """The whole of one `optimize`, from what was told. `source` is the kernel's file, where one was kept."""
    (task,) = (event for event in events if isinstance(event, Task))
    baselines = [event for event in events if isinstance(event, Baselines)][-1]
    trials = [event for event in events if isinstance(event, Trial)]
    return {
        **decided(choice),
        "baseline": medians(baselines),
        **kept(choice),
        "source": source,
        "trials": [tried(trial, task.contract.gain) for trial in trials],
        "conversations": [held(event) for event in events if isinstance(event, Conversation)],
        "degenerate": bool(baselines.degenerate),
        "degenerate_reason": baselines.degenerate,
        "recalled": recalled,
        "task": digest(task),
        "target": plain(task.target),
    }


def held(conversation: Conversation) -> Facts:
    """One conversation without its texts, which are in a file of their own."""
    figures = plain(conversation)
    return {"conversation": digest(conversation), **{key: figures[key] for key in figures if key != "messages"}}


def decided(choice: Choice) -> Facts:
    if isinstance(choice, Keep):
        return {"choice": "keep", "speedup": choice.gain, "interval": list(choice.interval), "reason": ""}
    return {"choice": "fallback", "speedup": 1.0, "interval": [1.0, 1.0], "reason": choice.reason}


def medians(baselines: Baselines) -> Facts:
    """Median milliseconds a call; null with a reason for a baseline that could not be had."""
    times: Facts = {"eager_ms": None, "compile_ms": None}
    times |= {f"{measured.name}_ms": median_ms(measured.samples_ns) for measured in baselines.measured}
    return times | {"missing": dict(baselines.missing)}


def kept(choice: Choice) -> Facts:
    """Time and accuracy of the kernel that is kept; nulls where none is."""
    if isinstance(choice, Keep) and isinstance(choice.trial.outcome, Accepted):
        outcome = choice.trial.outcome
        return {"kernel_ms": median_ms(outcome.timing.candidate_ns), "accuracy": accuracy(outcome.accuracy)}
    return {"kernel_ms": None, "accuracy": None}


def accuracy(found: Accuracy) -> Facts:
    families = [plain(family) for family in found.families]
    worst = plain(nearest_to_limit(found)) if found.families else None
    return {"oracle": found.oracle, "deterministic": found.deterministic, "worst": worst, "families": families}


def plain(value: object) -> Facts:
    """A noun's fields, without its name."""
    return {key: item for key, item in encode(value).items() if key != "is"}


def tried(trial: Trial, gain: float) -> Facts:
    return {"round": trial.round, "engine": trial.engine, **proposed(trial.candidate), **fate(trial.outcome, gain)}


def proposed(candidate: Candidate) -> Facts:
    return {"candidate": digest(candidate), "origin": encode(candidate.origin)}


def fate(outcome: Outcome, gain: float) -> Facts:
    match outcome:
        case Rejected(stage, reason, detail):
            return {"outcome": "rejected", "stage": stage, "reason": reason, "detail": detail}
        case Screened(time_ns):
            return {"outcome": "screened", "ms": time_ns / 1e6}
        case Accepted():
            return {"outcome": "right", **timed(outcome, gain)}


TIMED = ("ms", "baseline", "baseline_ms", "speedup", "interval", "verdict")


def timed(outcome: Accepted, gain: float) -> Facts:
    timing = outcome.timing
    return {
        "ms": median_ms(timing.candidate_ns),
        "baseline": timing.baseline,
        "baseline_ms": median_ms(timing.baseline_ns),
        "speedup": speedup(timing),
        "interval": list(interval(timing)),
        "verdict": verdict(timing, gain),
    }


def recorded(record: Record) -> Facts:
    """One task as the store knows it."""
    return {
        "task": record.digest,
        "trials": record.trials,
        **(decided(record.choice) if record.choice else {"choice": None}),
        "kernel": digest(record.choice.trial.candidate) if isinstance(record.choice, Keep) else None,
        "baseline": medians(record.baselines) if record.baselines else None,
        "inputs": [plain(spec) for spec in record.task.inputs],
        "target": plain(record.task.target),
        "updated": record.updated,
    }


def judged(outcome: Rejected | Accepted, gain: float) -> Facts:
    """What the judge says of one file. Accepted means right and surely faster; the keys are always the same."""
    if isinstance(outcome, Rejected):
        return {"accepted": False, **plain(outcome), **dict.fromkeys((*TIMED, "accuracy"))}
    facts = {**timed(outcome, gain), "accuracy": accuracy(outcome.accuracy)}
    if facts["verdict"] == "FASTER":
        return {"accepted": True, "stage": None, "reason": "", "detail": "", **facts}
    return {"accepted": False, "stage": "time", "reason": slower_reason(outcome.timing, gain), "detail": "", **facts}


def certified(certificate: Certificate) -> Facts:
    """The judgement, what this task and machine add to it, and the whole certificate."""
    outcome, baselines = certificate.outcome, certificate.baselines
    measured = outcome if isinstance(outcome, Accepted) else None
    return {
        **judged(outcome, certificate.task.contract.gain),
        "headline": headline(outcome, certificate.task.contract.gain),
        "pytorch": medians(baselines) if baselines else None,
        "degenerate": baselines.degenerate if baselines else None,
        "adequacy": plain(baselines.adequacy) if baselines and baselines.adequacy else None,
        "memory": plain(measured.memory) if measured and measured.memory else None,
        "floor_ms": measured.timing.floor_ns / 1e6 if measured and measured.timing.floor_ns else None,
        "precision": certificate.task.contract.precision,
        "sandbox": certificate.environment.sandbox,
        "certificate": as_data(certificate),
    }


def verified(paper: Paper, findings: Sequence[Finding]) -> Facts:
    """Whether a certificate holds, question by question. True only where nothing was refuted or left without values."""
    answers = {finding.answer for finding in findings}
    answered = all(finding.question != VALUES for finding in findings)
    checks = [{"question": one.question, "answer": one.answer, "told": one.told} for one in findings]
    return {
        "holds": "does not hold" not in answers and answered,
        "checks": checks,
        "headline": headline(paper.certificate.outcome, paper.certificate.task.contract.gain),
        "date": paper.certificate.date,
        "digest": paper.data["digest"],
    }
