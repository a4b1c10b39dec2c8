"""What of an outcome a model may be told. Pure.

The judge draws its inputs once for all candidates of a run, so a candidate must not carry them out of the worker. Two
ways lead out: values in a reason, and whatever text a candidate makes up (an exception's message, a type's name, what
it printed). So after the build, at which a candidate has seen nothing hidden, only the judge's own sentences are told,
with the values taken out: family, output, position, how many times too large the error is, shapes, and the class and
line of an exception. What is left are tens of bits a candidate, against megabytes of inputs.
"""

from __future__ import annotations

import builtins
import math
import re
import statistics
from functools import lru_cache

from kernelwright.core.outcome import Accepted, Accuracy, Outcome, Rejected, Screened, Timing
from kernelwright.core.stats import interval, speedup, verdict

DETAIL = 4000  # characters of a compiler's log or a traceback
PATH = re.compile(r"(/[\w.+@-]+)+/(?=[\w.+@-])")

NAME = r"(?:family \"[\w .,;:+=*/()-]{1,60}\"(?:, case \d{1,3} of \d{1,3})?|a timed call)"
ENTRY = r"(?:output \d{1,3}|state '[\w.]{1,80}')"
OUTPUT = r"(?:the output|output \d{1,3})"
OTHER = r"(?:input \d{1,3}|output \d{1,3}|state '[\w.]{1,80}')"
TOUCHED = r"(?:input \d{1,3}|memory beside an input)"
NUMBERS = r"\[[\d, ]{0,60}\]"
TYPE = r"(?:(?:float|bfloat|int|uint|complex)\d{1,3}|bool)"
FIGURE = r"[\d.e+-]{1,12}"
MISMATCH = re.compile(
    rf"(?P<where>{NAME}, (?:second run on the same bytes: )?{ENTRY}, at {NUMBERS}): "
    rf"got (?P<got>\S{{1,40}}), expected (?P<wanted>[^\s,]{{1,40}})(?:, allowed (?P<allowed>{FIGURE}))?"
)
OWN_WORDS = [  # of the judge
    rf"{OUTPUT} has shape {NUMBERS}, expected {NUMBERS}",
    rf"{OUTPUT} has dtype {TYPE}, expected {TYPE}",
    rf"{OUTPUT} has device (?:cpu|cuda|mps|meta), expected (?:cpu|cuda|mps)",
    rf"{OUTPUT} shares memory with {OTHER}; the reference's does not",
    rf"{OUTPUT} is new memory; the reference's shares it with {OTHER}, which it writes to",
    rf"{OUTPUT} holds \d{{1,3}} values, expected \d{{1,3}}",
    rf"{TOUCHED} was overwritten; the reference leaves it alone",
    rf"a timed call overwrote {TOUCHED}",
    r"state '[\w.]{1,80}' is not what was given; the reference leaves it alone",
    r"output \d{1,3} of one call changes when later calls run: memory is reused",
    r"the work of later calls is done early: a call ignores inputs that came before it",
    r"wrote beside the memory for its outputs",
    r"the device is kept busy between calls: work goes on after the calls have returned",
    r"has \d{1,4} process\(es\) of its own while it is timed; it may have none",
    rf"uses {FIGURE} cores while it is timed; it was given \d{{1,4}} thread\(s\)",
    rf"impossible: {FIGURE} ns a call; the output alone takes this machine {FIGURE} ns to write",
    rf"did not return within {FIGURE} s",
    r"the process (?:killed by the judge|died of SIG[A-Z]{1,6}|exited with status \d{1,3})",
    rf"(?:started|used|wrote) more than {FIGURE} (?:processes|threads|GiB of memory|GiB to disk)",
]
OWN = re.compile(rf"(?:{NAME}: )?(?:{'|'.join(OWN_WORDS)})")
CHANGED = re.compile(r"(?P<what>output \d{1,3} of call \d{1,3} changed after the call had returned): at .*")
KIND = re.compile(
    rf"(?P<where>(?:{NAME}: )?{OUTPUT}) is a .{{0,80}}, (?P<wanted>expected a (?:Tensor|tuple|list|dict))"
)
FAMILY_WORDS: set[str] = set(
    """
    plain second seed scaled shifted negated new other weights mixed scale scales rows sparse spikes spiky ties tied
    sorted ascending cancellation cancelling exact small integers one element changed perturbed transposed sliced offset
    strided storage layout strides large negative positive zeros constant up down below zero
""".split()
)
STATE_WORDS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
RAISED = re.compile(r"(?P<kind>[A-Za-z]\w{0,60})(?::|$)")
LINE = re.compile(r'candidate\.py", line (\d{1,6})')
BUILT_IN = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)}
EXCEPTIONS = BUILT_IN | {"OutOfMemoryError", "BuildFailed"}


def told(outcome: Outcome, source: str, gain: float) -> str:
    """The outcome in words for a model. `source` is the candidate's own text; `gain` is what the contract wants."""
    match outcome:
        case Rejected():
            return rejection(outcome, source)
        case Screened(time_ns):
            return f"builds, is right on one set of inputs, and took {milliseconds(time_ns)} a call, timed briefly"
        case Accepted(accuracy, timing):
            return f"right on all inputs ({margin(accuracy)}); {race(timing, gain)}"


def milliseconds(time_ns: float) -> str:
    return f"{time_ns / 1e6:#.3g} ms"


def rejection(outcome: Rejected, source: str) -> str:
    head = f"rejected at {outcome.stage}: "
    if outcome.stage in ("audit", "build"):
        return head + PATH.sub("", "\n".join(filter(None, (outcome.reason, outcome.detail[-DETAIL:]))))
    return head + without_values(outcome, source)


def without_values(outcome: Rejected, source: str) -> str:
    """The judge's own sentence without what came from hidden inputs or from the candidate's mouth."""
    reason = outcome.reason
    if found := MISMATCH.fullmatch(reason):
        return f"{vetted(found['where'], source)}: {miss(found['got'], found['wanted'], found['allowed'])}"
    if OWN.fullmatch(reason):
        return vetted(reason, source)
    if found := CHANGED.fullmatch(reason):
        return found["what"]
    if found := KIND.fullmatch(reason):
        return f"{vetted(found['where'], source)} has another type, {found['wanted']}"
    if (found := RAISED.match(reason)) and found["kind"] in EXCEPTIONS:
        return f"raised {found['kind']}{at_line(outcome.detail, source)}"
    return "the candidate failed in a way that the judge does not describe to the one who wrote it"


def vetted(sentence: str, source: str) -> str:
    """A worker can forge a sentence of the judge's, but the names in it must be names that there are."""
    words = STATE_WORDS | set(re.findall(r"\w+", source))
    sentence = re.sub(
        r'family "([^"]*)"', lambda found: _known(found, FAMILY_WORDS, r"[ ,-]+", "some inputs"), sentence
    )
    return re.sub(r"state '([^']*)'", lambda found: _known(found, words, r"\.", "some state"), sentence)


def _known(found: re.Match[str], words: set[str], between: str, otherwise: str) -> str:
    parts = re.split(between, found[1])
    return found[0] if all(part in words or re.fullmatch(r"[\d.]{1,5}", part) for part in parts) else otherwise


def miss(got: str, wanted: str, allowed: str | None) -> str:
    """How a value misses, without telling either of them."""
    ours, theirs, limit = number(got), number(wanted), number(allowed or "")
    if ours is None or theirs is None:
        return "a wrong value"
    if not math.isfinite(ours) or not math.isfinite(theirs):
        return f"{sort_of(ours)} where {sort_of(theirs)} is right"
    if not limit:
        return "a wrong value, where values have to be exact"
    return f"the error is about {abs(ours - theirs) / limit:.0e} times what is allowed"


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def sort_of(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "an infinity" if math.isinf(value) else "a finite number"


def at_line(detail: str, source: str) -> str:
    """The last line of the candidate's own text in a traceback, quoted from that text."""
    numbers = [int(found) for found in LINE.findall(detail)]
    lines = source.splitlines()
    if not numbers or not 0 < numbers[-1] <= len(lines):
        return ""
    return f" at line {numbers[-1]}: `{lines[numbers[-1] - 1].strip()}`"


def margin(accuracy: Accuracy) -> str:
    """How much of the tolerance is used up."""
    shares = [family.error / family.allowed for family in accuracy.families if family.allowed]
    same = "" if accuracy.deterministic else "; differs a little from run to run"
    return f"the largest error is {max(shares, default=0.0):.0%} of what is allowed{same}"


@lru_cache(maxsize=256)  # the interval takes 2000 resamplings, and every prompt names it again
def race(timing: Timing, gain: float) -> str:
    """`1.62x of eager (0.50 ms against 0.81 ms), 95 % interval 1.58 to 1.66: FASTER`."""
    low, high = interval(timing)
    ours, theirs = (milliseconds(statistics.median(side)) for side in (timing.candidate_ns, timing.baseline_ns))
    floor = f"; the bytes that no kernel avoids take {milliseconds(timing.floor_ns)}" if timing.floor_ns else ""
    return (
        f"{speedup(timing):.2f}x of {timing.baseline} ({ours} against {theirs}), "
        f"95 % interval {low:.2f} to {high:.2f}, wanted above {gain}: {verdict(timing, gain)}{floor}"
    )
