"""The writer: one message that says where a branch stands, answered with a whole candidate file."""

from __future__ import annotations

from collections.abc import Iterator

from kernelwright.core.conversation import Message
from kernelwright.core.spec import Target
from kernelwright.engines.agent.dialogue import DATA, View, is_right, line_of, quoted, time_ns
from kernelwright.engines.agent.languages import rules
from kernelwright.engines.agent.place import Place
from kernelwright.engines.agent.told import milliseconds, told

REMEMBERED = 8  # attempts that are listed

ROLE = """\
You write fast kernels for PyTorch modules. A judge builds each file that you send, compares its results with a float64
run of the reference on inputs that you do not see (other seeds, scales, shifts, signs, weights), and times it beside
eager PyTorch and torch.compile on fresh inputs. Only a file that is right on all of them and faster than both is kept.
So compute the same function for any input and any weights of these shapes: no shortcut that holds for some values only,
nothing remembered from an earlier call, no lower precision than the reference's.

Reply with the whole file in one ```python block, and a sentence or two before it on what it does.
"""


def system(target: Target) -> Message:
    return Message("system", f"{ROLE}\n{DATA}\n{rules(target)}")


def state(seen: View, place: Place, advice: str, gain: float) -> Message:
    """Where the branch stands and what it is to do now."""
    return Message("user", "\n\n".join(state_parts(seen, place, advice, gain)))


def state_parts(seen: View, place: Place, advice: str, gain: float) -> Iterator[str]:
    yield f"# Round {place.round + 1}"
    if seen.attempts:
        first = max(len(seen.attempts) - REMEMBERED, 0)
        lines = [line_of(i + 1, trial, gain) for i, trial in enumerate(seen.attempts) if i >= first]
        yield "What became of your files so far:\n\n" + "\n".join(lines)
    if seen.best:
        whose = "yours" if seen.best in seen.attempts else f"from engine {seen.best.engine}"
        found = told(seen.best.outcome, seen.best.candidate.source, gain)
        yield f"The fastest right kernel so far, {milliseconds(time_ns(seen.best))}, {whose} ({found}):"
        yield quoted(seen.best.candidate.source)
    if seen.last and seen.last != seen.best:
        yield f"Your last file:\n\n{quoted(seen.last.candidate.source)}"
        yield "What the judge said of it:\n\n" + quoted(told(seen.last.outcome, seen.last.candidate.source, gain))
    if advice:
        yield f"A colleague who looked at the figures recommends:\n\n{quoted(advice)}"
    yield now(seen, place.branch)


def now(seen: View, branch: int) -> str:
    if seen.last and not is_right(seen.last):
        return "Find out why it was rejected, and send the whole file again, mended."
    if seen.best:
        return "Send a whole file that is right and faster than the fastest so far."
    apart = " Colleagues are at work on the most obvious plan: choose another." if branch else ""
    return f"Send a first file. Being right comes first; then as fast as you can.{apart}"
