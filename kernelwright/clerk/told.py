"""What an author outside may be told of a refusal: never the judge's inputs, seeds or expected values.

What comes before the judge's own inputs are seen, audit and build, is told in full. Of the rest the stage, the family
of inputs and the place are told, and how many times the difference is what is allowed. A worker's own words may hold
what it was given, so they are left out; `Clerk.judge` has the candidate fail again on inputs that are no secret.
"""

from __future__ import annotations

import re
from dataclasses import replace

from kernelwright.core.outcome import Rejected

NUMBER = r"[-+.\w]+"
MISMATCH = re.compile(rf"at (\[[\d, ]*\]): got ({NUMBER}), expected ({NUMBER})(?:, allowed ({NUMBER}))?$")
FORM = re.compile(r"(the output|output \d+) has (shape|dtype|device) .*(, expected [\w\[\], ]+)$")
PLACE = re.compile(
    r'^(?:family "[^"]{1,60}"|a timed call|, |: |output \d+|state \'[\w.]+\'|second run on the same bytes)*'
)
HARMLESS = re.compile(
    r"output \d+ of one call changes when the next call runs: memory is reused"
    r"|(a timed call overwrote )?(input \d+|memory beside an input)( was overwritten; the reference leaves it alone)?"
    r"|state '[\w.]+' is not what was given; the reference leaves it alone"
    r"|the output is a \w+, expected a \w+"
    r"|(the output|output \d+) shares memory with [a-z]+ ['\w.]+; the reference's does not"
    r"|did not return within \d+ s|the process (exited with status \d+|died of \w+|was killed by the judge)"
    r"|the reference writes to its input \d+: not judged"
    r"|PyTorch's own output is far from the float64 truth on the reference's own inputs"
)
RANDOM = "the reference is random"  # which values showed it is no business of an author
WITHHELD = "it fails there; the words are withheld, because they may show the judge's inputs"


def told(refusal: Rejected) -> Rejected:
    """The same refusal in words that hold no secret."""
    if refusal.stage in ("audit", "build"):
        return refusal
    return replace(refusal, reason=_without_secrets(refusal.reason), detail="")


def is_withheld(refusal: Rejected) -> bool:
    return refusal.reason.endswith(WITHHELD)


def _without_secrets(reason: str) -> str:
    if reason.startswith(RANDOM):
        return RANDOM
    place = PLACE.match(reason)
    before = place[0] if place else ""
    if found := MISMATCH.search(reason):
        return f"{before.rstrip(', :')} at {found[1]}: {_how_far(*found.group(2, 3, 4))}".lstrip()
    if found := FORM.search(reason):
        return f"{before}{found[1]} has another {found[2]}{found[3]}"
    if found := HARMLESS.search(reason):
        prefix = reason[: found.start()]
        if found.end() == len(reason) and (PLACE.fullmatch(prefix) or not prefix):
            return reason
    return f"{before.rstrip(', :')}: {WITHHELD}".lstrip(": ")


def _how_far(got: str, wanted: str, allowed: str | None) -> str:
    try:
        times = abs(float(got) - float(wanted)) / float(allowed or "nan")
    except (ValueError, ZeroDivisionError):
        times = float("nan")
    if times > 0 and times != float("inf"):
        return f"off by {times:.3g} times what is allowed"
    return "not what the reference computes"
