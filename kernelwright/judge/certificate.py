"""Certificates as text, and what can be checked of one by reading it: no candidate runs here, and no tensor."""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from kernelwright.core.candidate import Candidate
from kernelwright.core.certificate import FORMAT, Certificate, Stated
from kernelwright.core.codec import decode, digest, encode
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accepted, Baselines, Environment, Rejected, Timing
from kernelwright.core.stats import interval, speedup, verdict
from kernelwright.core.task import Task
from kernelwright.core.typed import conform, spell

VALUES = "values"  # the question that stays open where no candidate can be judged here
LONGEST = 64 << 20  # characters of a certificate
PLAUSIBLE = (1e-3, 1e18)  # nanoseconds that a call may take
MOST_PAIRS = 10_000
CLOSE = 1e-9  # relative; figures are worked out again by the same arithmetic, maybe by another libm

Answer = Literal["holds", "does not hold", "cannot be checked here"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one question about a certificate, and the values that say why."""

    question: str
    answer: Answer
    told: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A certificate, and the very JSON values that it was read from. Well-formed; nothing in it is believed yet."""

    certificate: Certificate
    data: Mapping[str, Any]


def issue(
    task: Task,
    candidate: Candidate,
    outcome: Rejected | Accepted,
    environment: Environment,
    *,
    baselines: Baselines | None,
    master: bytes,
    now: datetime,
) -> Certificate:
    """What the judge found, with the figures that follow from it."""
    date = now.isoformat(timespec="seconds")
    found = (environment, master.hex(), outcome, baselines, stated(task, candidate, outcome))
    return Certificate(FORMAT, environment.kernelwright, date, task, candidate, *found)


def stated(task: Task, candidate: Candidate, outcome: Rejected | Accepted) -> Stated:
    keys = (digest(task), text_digest(task.reference), text_digest(candidate.source))
    if isinstance(outcome, Rejected):
        return Stated(*keys, accepted=False)
    timing, gain = outcome.timing, task.contract.gain
    told = verdict(timing, gain)
    return Stated(*keys, told == "FASTER", told, speedup(timing), interval(timing))


def text_digest(text: str) -> str:
    """What `sha256sum` says of the file."""
    return hashlib.sha256(text.encode()).hexdigest()


def as_data(certificate: Certificate) -> dict[str, Any]:
    """Standard JSON values; the last is the digest of all others."""
    data = spell(encode(certificate))
    return {**data, "digest": content_digest(data)}


def content_digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of the JSON without its digest: keys sorted, no spaces, ASCII."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    return text_digest(json.dumps(rest, sort_keys=True, separators=(",", ":")))


def write(certificate: Certificate) -> str:
    return json.dumps(as_data(certificate), indent=1, allow_nan=False) + "\n"


def read(text: str) -> Paper:
    """Raises UsageError where this is no whole certificate of a format that is known here."""
    data = _json(text)
    if not isinstance(data, dict) or data.get("is") != "Certificate":
        raise UsageError("not a certificate: wanted the JSON object that 'kernelwright judge --certificate' writes")
    if data.get("format") != FORMAT:
        told = f"format {str(data.get('format'))[:20]!r}, and this kernelwright reads format {FORMAT}"
        raise UsageError(f"the certificate has {told}; verify it with the version that wrote it, or a newer one")
    if not isinstance(data.get("digest"), str):
        raise UsageError("the certificate has no digest at its end: part of the file is missing; get it whole")
    try:
        certificate = conform(decode({key: value for key, value in data.items() if key != "digest"}), Certificate)
        _check_words(certificate)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the certificate cannot be read: {error}; get it whole, as it was written") from error
    return Paper(certificate, data)


def _json(text: str) -> Any:
    if len(text) > LONGEST:
        raise UsageError(f"not a certificate: {len(text)} characters, and none has more than {LONGEST}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not a certificate: the file is not JSON, or not all of it: {str(error)[:200]}") from error


def _check_words(certificate: Certificate) -> None:
    if not re.fullmatch(r"([0-9a-f]{2}){1,64}", certificate.master):
        raise ValueError(f"master is {certificate.master!r:.80}, wanted bytes as hex")
    if not 0 < certificate.task.contract.gain < math.inf:
        raise ValueError(f"the contract's gain is {certificate.task.contract.gain}, wanted a number above 0")
    certificate.task.reference.encode()  # half of a surrogate pair is no text
    certificate.candidate.source.encode()


def check_text(paper: Paper) -> Iterator[Finding]:
    """Whether the parts of a certificate agree with each other. Anyone can make a false one that does."""
    certificate = paper.certificate
    yield _agreement("content", paper.data["digest"], content_digest(paper.data))
    yield from _check_digests(certificate.stated, paper.data)
    outcome = certificate.outcome
    if isinstance(outcome, Accepted):
        yield _check_errors(outcome)
        yield _check_samples(certificate, outcome)
    if isinstance(outcome, Rejected) or not _bad_samples(outcome.timing):
        yield _check_figures(certificate)


def _check_digests(told: Stated, data: Mapping[str, Any]) -> Iterator[Finding]:
    """Of the JSON itself: a field that a later version adds changes no digest of an old certificate."""
    task, candidate = data["task"], data["candidate"]
    yield _agreement("task", told.task, content_digest(task))
    if candidate["task"] != told.task:
        yield Finding("task", "does not hold", f"the candidate was written for task {candidate['task']:.12}")
    yield _agreement("reference", told.reference, text_digest(task["reference"]))
    yield _agreement("candidate", told.candidate, text_digest(candidate["source"]))


def _agreement(question: str, told: str, found: str) -> Finding:
    if told == found:
        return Finding(question, "holds", f"digest {found[:12]}")
    return Finding(question, "does not hold", f"its digest is {found[:12]}, the certificate says {told[:12]}")


def _check_errors(outcome: Accepted) -> Finding:
    over = [one for one in outcome.accuracy.families if one.binding and not one.error <= one.allowed]
    if over:
        told = f"{over[0].error:.2g} on {over[0].family!r}, with {over[0].allowed:.2g} allowed"
        return Finding("errors", "does not hold", told)
    if not outcome.accuracy.families:
        return Finding("errors", "does not hold", "none is recorded, so nothing was compared")
    return Finding("errors", "holds", f"{len(outcome.accuracy.families)}, each within what is allowed")


def _check_samples(certificate: Certificate, outcome: Accepted) -> Finding:
    timing = outcome.timing
    bad = _bad_samples(timing) or _bad_baseline(timing, certificate.baselines)
    told = f"{len(timing.candidate_ns)} pairs of calls, against {timing.baseline}"
    return Finding("samples", "does not hold" if bad else "holds", bad or told)


def _bad_samples(timing: Timing) -> str:
    ours, theirs = timing.candidate_ns, timing.baseline_ns
    if len(ours) != len(theirs) or not 0 < len(ours) <= MOST_PAIRS:
        return f"{len(theirs)} of the baseline and {len(ours)} of the candidate, wanted pairs"
    odd = [value for value in (*ours, *theirs) if not PLAUSIBLE[0] < value < PLAUSIBLE[1]]
    if odd:
        return f"a call of {odd[0]} ns"
    quickest = statistics.median(ours)
    return f"{quickest:.6g} ns a call, below the floor of {timing.floor_ns:.6g}" if quickest < timing.floor_ns else ""


def _bad_baseline(timing: Timing, baselines: Baselines | None) -> str:
    """Whether the race was against the fastest of what was measured."""
    measured = baselines.measured if baselines else ()
    medians = {one.name: statistics.median(one.samples_ns) for one in measured if one.samples_ns}
    if not medians:
        return "PyTorch's own times are missing"
    fastest = min(medians, key=lambda name: medians[name])
    return "" if timing.baseline == fastest else f"{timing.baseline} was raced, and {fastest} is faster"


def _check_figures(certificate: Certificate) -> Finding:
    """Verdict, speed-up and interval, worked out again."""
    wanted = stated(certificate.task, certificate.candidate, certificate.outcome)
    told = certificate.stated
    if (told.accepted, told.verdict) != (wanted.accepted, wanted.verdict):
        return Finding("figures", "does not hold", f"{_verdict(told)} is stated, the record says {_verdict(wanted)}")
    for name, stands, follows in zip(("speed-up", "from", "to"), _numbers(told), _numbers(wanted), strict=True):
        if not math.isclose(stands, follows, rel_tol=CLOSE):
            return Finding("figures", "does not hold", f"{name} {stands:.6g} is stated, the samples say {follows:.6g}")
    return Finding("figures", "holds", f"{_verdict(wanted)}, as the record says")


def _verdict(told: Stated) -> str:
    return f"{told.verdict or 'not timed'}, {'accepted' if told.accepted else 'not accepted'}"


def _numbers(told: Stated) -> tuple[float, float, float]:
    return (told.speedup or 0.0, *(told.interval or (0.0, 0.0)))
