"""The analyst: from the figures of the fastest right kernel to one recommendation."""

from __future__ import annotations

from collections.abc import Iterator

from kernelwright.core.conversation import Message
from kernelwright.core.spec import Target
from kernelwright.engines.agent.dialogue import DATA, Complaint, View, line_of, quoted, time_ns
from kernelwright.engines.agent.languages import rules
from kernelwright.engines.agent.told import milliseconds, told

LONGEST = 3000  # characters of a recommendation that go on to the writer

ROLE = """\
You are a performance analyst. From a kernel, its time, the roofline of the machine and, where there are some, a
profile and the compiler's report, you say where the time goes and recommend one change: the one that promises most. A
colleague will write it. Reply with at most 150 words of prose, no code: first what bounds the kernel now, then the
change and why it should help. Never recommend lower precision, or anything that holds for some inputs only.
"""


def system(target: Target) -> Message:
    return Message("system", f"{ROLE}\n{DATA}\n{rules(target)}")


def question(seen: View, profile: str, gain: float) -> Message:
    return Message("user", "\n\n".join(question_parts(seen, profile, gain)))


def question_parts(seen: View, profile: str, gain: float) -> Iterator[str]:
    assert seen.best, "an analyst is asked about a kernel that is right"
    found = told(seen.best.outcome, seen.best.candidate.source, gain)
    yield f"The fastest right kernel so far takes {milliseconds(time_ns(seen.best))} a call; the judge: {found}."
    yield quoted(seen.best.candidate.source)
    if profile:
        yield f"Its profile and the compiler's report:\n\n{quoted(profile)}"
    tried = [line_of(i + 1, trial, gain) for i, trial in enumerate(seen.attempts)][-8:]
    if tried:
        yield "What was tried before, oldest first:\n\n" + "\n".join(tried)
    yield "What is the one change to make next?"


def recommendation(reply: str) -> str | Complaint:
    text = reply.strip()
    return text[:LONGEST] if text else Complaint("The reply is empty. Recommend one change in a few sentences.")
