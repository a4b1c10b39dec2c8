"""A certificate's candidate judged again: on the recorded inputs, on new secret ones, and against the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import Protocol

from kernelwright.capture import source
from kernelwright.core.candidate import Candidate
from kernelwright.core.certificate import Certificate
from kernelwright.core.outcome import Accepted, Accuracy, Environment, FamilyError, Rejected, Timing
from kernelwright.core.stats import interval, speedup, verdict
from kernelwright.judge.certificate import VALUES, Finding

RECORDED, FRESH = "recorded seed", "new seeds"
SHOWN = 60  # characters of a machine's own name for something


class Judge(Protocol):
    """What a replay asks of a judge."""

    @property
    def environment(self) -> Environment: ...

    def check(self, candidate: Candidate) -> Rejected | Accuracy: ...

    def examine(self, candidate: Candidate) -> Rejected | Accepted: ...


Open = Callable[[bytes | None], AbstractContextManager[Judge]]  # with this master seed; None: a new one
Found = Rejected | Accuracy | Accepted


def replay(certificate: Certificate, judging: Open, *, timed: bool) -> Iterator[Finding]:
    """Each question as soon as it is answered. The reference's text runs in this process."""
    yield _check_inputs(certificate)
    late = isinstance(certificate.outcome, Rejected) and certificate.outcome.stage == "time"
    if late and not timed:
        yield Finding(VALUES, "cannot be checked here", "timed calls were at fault: verify without --no-timing")
        return
    with judging(bytes.fromhex(certificate.master)) as judge:
        apart = differences(certificate.environment, judge.environment)
        found = judge.examine(certificate.candidate) if late else judge.check(certificate.candidate)
        yield compare_fates(RECORDED, certificate.outcome, found)
        yield from compare_errors(certificate.outcome, found, apart)
    with judging(None) as judge:
        found = judge.examine(certificate.candidate) if timed else judge.check(certificate.candidate)
        yield compare_fates(FRESH, certificate.outcome, found)
        yield from compare_times(certificate, found, apart)


def _check_inputs(certificate: Certificate) -> Finding:
    """What the certificate says of the inputs, against what the reference makes."""
    drawn = source.draw_inputs(source.load(certificate.task.reference), seed=0)
    made = tuple(source.spec_of(value) for value in drawn)
    told = certificate.task.inputs
    if len(made) != len(told):
        return Finding("inputs", "does not hold", f"the reference makes {len(made)}, the certificate has {len(told)}")
    for position, (one, other) in enumerate(zip(made, told, strict=True)):
        if one != other:
            return Finding("inputs", "does not hold", f"input {position} is {one}, the certificate says {other}")
    return Finding("inputs", "holds", f"{len(made)}, as the reference makes them")


def differences(there: Environment, here: Environment) -> tuple[str, ...]:
    """How this machine differs from the one that a certificate was made on."""
    pairs = [(field.name, getattr(there, field.name), getattr(here, field.name)) for field in fields(Environment)]
    pairs += [(field.name, getattr(there.target, field.name), getattr(here.target, field.name))
              for field in fields(there.target)]  # fmt: skip
    return tuple(
        f"{name}: {_shown(one)} there, {_shown(other)} here"
        for name, one, other in pairs
        if one != other and name != "target"
    )


def _shown(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text[:SHOWN] or "nothing"


def compare_fates(question: str, told: Rejected | Accepted, found: Found) -> Finding:
    """Right again where it was right, refused again at the same stage where it was refused."""
    if isinstance(found, Rejected):
        same = isinstance(told, Rejected) and told.stage == found.stage
        still = "still " if same else ""
        return Finding(
            question, "holds" if same else "does not hold", f"{still}rejected at {found.stage}: {found.reason}"
        )
    if isinstance(told, Rejected):
        return Finding(question, "does not hold", f"right here; the certificate says rejected at {told.stage}")
    accuracy = found.accuracy if isinstance(found, Accepted) else found
    return Finding(question, "holds", f"right again in all {len(accuracy.families)} comparisons with {accuracy.oracle}")


def compare_errors(told: Rejected | Accepted, found: Found, apart: tuple[str, ...]) -> Iterator[Finding]:
    """The same inputs on the same machine give the same errors, as nearly as two runs of one kernel must agree."""
    if not isinstance(told, Accepted) or isinstance(found, Rejected):
        return
    if apart:
        yield Finding("same errors", "cannot be checked here", "; ".join(apart))
        return
    accuracy = found.accuracy if isinstance(found, Accepted) else found
    ours = {(one.family, one.output): one for one in accuracy.families}
    both = [(one, ours[one.family, one.output]) for one in told.accuracy.families if (one.family, one.output) in ours]
    yield _same_errors(both) if both else Finding("same errors", "does not hold", "no family of the record is found")


def _same_errors(both: list[tuple[FamilyError, FamilyError]]) -> Finding:
    off = [(one, other) for one, other in both if one.error != other.error]
    if not off:
        return Finding("same errors", "holds", f"bitwise, all {len(both)}")
    worst, here = max(off, key=lambda pair: abs(pair[0].error - pair[1].error) / max(pair[1].allowed, 1e-300))
    told = (
        f"{len(off)} of {len(both)} differ, the most {worst.family!r}: {worst.error:.3g} there, {here.error:.3g} here, "
        f"{here.allowed:.2g} allowed"
    )
    near = abs(worst.error - here.error) <= here.allowed / 4
    return Finding("same errors", "holds" if near else "does not hold", told)


def compare_times(certificate: Certificate, found: Found, apart: tuple[str, ...]) -> Iterator[Finding]:
    """Faster again where it was faster. Another machine can confirm that, and can't refute it."""
    told = certificate.outcome
    if not isinstance(told, Accepted) or not isinstance(found, Accepted):
        return
    gain = certificate.task.contract.gain
    there, here = verdict(told.timing, gain), verdict(found.timing, gain)
    text = f"{_figures(told.timing)} {there} there, {_figures(found.timing)} {here} here; {_overlap(told, found)}"
    if there == "UNSURE" or (there == "FASTER") == (here == "FASTER"):
        yield Finding("speed", "holds", "; ".join((text, *apart)))
    elif apart:
        yield Finding("speed", "cannot be checked here", "; ".join((text, *apart)))
    else:
        yield Finding("speed", "does not hold", text)


def _figures(timing: Timing) -> str:
    low, high = interval(timing)
    return f"{speedup(timing):.2f}x of {timing.baseline} [{low:.2f}, {high:.2f}]"


def _overlap(one: Accepted, other: Accepted) -> str:
    (low, high), (other_low, other_high) = interval(one.timing), interval(other.timing)
    apart = low > other_high or other_low > high
    return "the intervals lie apart" if apart else "the intervals overlap"
