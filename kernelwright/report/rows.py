"""What happened, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from kernelwright.choose import describe
from kernelwright.core.candidate import Candidate, Handmade, Searched, Stored, Written
from kernelwright.core.certificate import Certificate
from kernelwright.core.codec import digest
from kernelwright.core.conversation import Conversation
from kernelwright.core.outcome import (
    Accepted,
    Accuracy,
    Adequacy,
    Baselines,
    Choice,
    FamilyError,
    Keep,
    Outcome,
    Rejected,
    Screened,
    Timing,
    Trial,
)
from kernelwright.core.spec import InputSpec, ScalarSpec, Target
from kernelwright.core.stats import interval, median_ms, speedup, spread, verdict
from kernelwright.core.task import Task
from kernelwright.judge.certificate import Finding

SHOWN = 12  # digits of a digest: enough to be unique in any store that fits on a disk
LABEL = 10  # columns of the word that a line starts with


def line(label: str, text: str) -> str:
    return f"{label:<{LABEL}} {text}"


def short(key: str) -> str:
    return key[:SHOWN]


def milliseconds(value: float) -> str:
    """Three significant digits, never in powers of ten: 0.0123 ms, 4.56 ms, 789 ms, 12345 ms."""
    return f"{value:.0f} ms" if abs(value) >= 100 else f"{value:#.3g} ms"


def event_lines(name: str, gain: float, event: Task | Baselines | Conversation | Trial | Choice) -> Iterator[str]:
    """One event of the flow, as it comes. `gain` is the least that the task's contract keeps."""
    match event:
        case Task():
            return task_lines(name, event)
        case Baselines():
            return baseline_lines(event)
        case Conversation():
            return iter((conversation_line(event),))
        case Trial():
            return iter((trial_line(event, gain),))
        case _:
            return choice_lines(event)


def task_lines(name: str, task: Task) -> Iterator[str]:
    """What was captured, and the machine that it is for."""
    yield line("captured", f"{name}({', '.join(map(input_text, task.inputs))})")
    yield line("task", f"{short(digest(task))} on {target_text(task.target)}")


def input_text(spec: InputSpec) -> str:
    if isinstance(spec, ScalarSpec):
        return repr(spec.value)
    return f"{spec.dtype}[{', '.join(map(str, spec.shape))}]"


def target_text(target: Target) -> str:
    return ", ".join((f"{target.name} ({target.arch}, {cores_text(target.cores)})", *target.toolchain))


def cores_text(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def baseline_lines(baselines: Baselines) -> Iterator[str]:
    """How fast PyTorch is: the median, and the quartiles around it."""
    for measured in baselines.measured:
        low, high = spread(measured.samples_ns)
        middle = milliseconds(median_ms(measured.samples_ns))
        samples = f"{len(measured.samples_ns)} samples"
        yield line("baseline", f"{measured.name:<8}{middle}  quartiles {low:.3g} to {high:.3g}, {samples}")
    for name, reason in baselines.missing:
        yield line("baseline", f"{name:<8}missing: {reason}")
    if baselines.degenerate:
        yield line("degenerate", f"{baselines.degenerate}; a speed-up of this task tells little")


def trial_line(trial: Trial, gain: float) -> str:
    """One candidate: its fate, and where it came from."""
    engine = f"{trial.engine:<8}" if trial.engine else ""
    key = short(digest(trial.candidate))
    return line("candidate", f"{key}  {engine}{fate(trial.outcome, gain)}  ({origin_text(trial.candidate)})")


def fate(outcome: Outcome, gain: float) -> str:
    """What became of a candidate, and why."""
    match outcome:
        case Rejected(stage, reason):
            return f"rejected at {stage}: {reason}"
        case Screened(time_ns):
            return f"screened, {milliseconds(time_ns / 1e6)}"
        case Accepted(_, timing):
            return f"right, {milliseconds(median_ms(timing.candidate_ns))}, {describe(timing, gain)}"


def origin_text(candidate: Candidate) -> str:
    match candidate.origin:
        case Searched(plan):
            return ", ".join(step.name for step in plan.steps) or "as PyTorch has it"
        case Written(model, tokens=tokens):
            return f"written by {model}, {tokens} tokens"
        case Handmade(author):
            return f"by {author}"
        case Stored(key):
            return f"stored as {short(key)}"


def conversation_line(held: Conversation) -> str:
    """What one reply, or a few, took; and why they came to nothing, where they did."""
    cost = "price not known" if held.cost is None else f"${held.cost:.4f}"
    figures = f"{held.tokens} tokens, {cost}, {held.seconds:.1f} s"
    error = f": {held.error.splitlines()[0]}" if held.error else ""
    return line("asked", f"{held.model} as {held.role}, branch {held.branch}: {figures}{error}")


def choice_lines(choice: Choice) -> Iterator[str]:
    """The decision, with the figures that it rests on."""
    if not isinstance(choice, Keep):
        yield line("fall back", f"PyTorch is kept ({choice.baseline}): {choice.reason}")
        return
    low, high = choice.interval
    yield line("keep", f"{choice.gain:.2f}x, 95% interval {low:.2f} to {high:.2f}{from_to(choice.trial.outcome)}")
    if isinstance(choice.trial.outcome, Accepted):
        yield line("accuracy", accuracy_text(choice.trial.outcome.accuracy))


def from_to(outcome: Outcome) -> str:
    if not isinstance(outcome, Accepted):
        return ""
    timing = outcome.timing
    before, after = milliseconds(median_ms(timing.baseline_ns)), milliseconds(median_ms(timing.candidate_ns))
    return f": {timing.baseline} {before}, kernel {after}"


def accuracy_text(accuracy: Accuracy) -> str:
    """The family that comes nearest to its limit."""
    same = "" if accuracy.deterministic else "; differs a little from run to run"
    if not accuracy.families:
        return f"against {accuracy.oracle}{same}"
    worst = nearest_to_limit(accuracy)
    return (
        f"{worst.error:.1e} from {accuracy.oracle} in the worst row, {worst.allowed:.1e} allowed, "
        f"PyTorch itself {worst.baseline_error:.1e} (inputs: {worst.family}){same}"
    )


def nearest_to_limit(accuracy: Accuracy) -> FamilyError:
    return max(accuracy.families, key=lambda family: family.error / family.allowed if family.allowed else family.error)


def judgement_lines(outcome: Rejected | Accepted, gain: float) -> Iterator[str]:
    """What the judge says of one file: the verdict first, then what it rests on."""
    yield headline(outcome, gain)
    if isinstance(outcome, Rejected):
        yield from (" " * (LABEL + 1) + printable(each) for each in outcome.detail.splitlines())
        return
    yield line("kernel", time_text(outcome.timing))
    yield line("accuracy", accuracy_text(outcome.accuracy))
    if outcome.memory:
        ours, theirs = bytes_text(outcome.memory.candidate), bytes_text(outcome.memory.baseline)
        yield line("memory", f"{ours} at its peak, {outcome.timing.baseline} {theirs}")


def headline(outcome: Rejected | Accepted, gain: float) -> str:
    """`ACCEPTED 2.10x [2.09, 2.11] of compile`, or why not."""
    if isinstance(outcome, Rejected):
        return printable(f"REJECTED {outcome.stage}: {outcome.reason}")
    low, high = interval(outcome.timing)
    figures = f"{speedup(outcome.timing):.2f}x [{low:.2f}, {high:.2f}] of {outcome.timing.baseline}"
    told = verdict(outcome.timing, gain)
    return f"ACCEPTED {figures}" if told == "FASTER" else f"RIGHT, NOT FASTER {figures}: {told}"


def time_text(timing: Timing) -> str:
    """Both medians over all pairs, and what no kernel can beat."""
    ours, theirs = milliseconds(median_ms(timing.candidate_ns)), milliseconds(median_ms(timing.baseline_ns))
    floor = f"; no kernel can take less than {milliseconds(timing.floor_ns / 1e6)}" if timing.floor_ns else ""
    strict = "; timed again under stricter settings" if timing.strict else ""
    return f"{ours}, {timing.baseline} {theirs}, {len(timing.candidate_ns)} pairs{floor}{strict}"


def certificate_lines(name: str, certificate: Certificate, verbose: bool) -> Iterator[str]:
    """A judgement whole: the verdict, the question, PyTorch's own times, and what to know about them."""
    outcome, baselines = certificate.outcome, certificate.baselines
    yield from judgement_lines(outcome, certificate.task.contract.gain)
    if verbose and isinstance(outcome, Accepted):
        yield from family_lines(outcome.accuracy)
    yield from task_lines(name, certificate.task)
    if baselines:
        yield from baseline_lines(baselines)
        yield from adequacy_lines(baselines.adequacy)
    yield line("precision", PRECISION[certificate.task.contract.precision])
    yield line("sandbox", SANDBOXES.get(certificate.environment.sandbox, certificate.environment.sandbox))


PRECISION = {
    "parity": "as exact as PyTorch's own arithmetic (parity)",
    "tf32": "TF32 allowed to both sides (tf32)",
}
SANDBOXES = {"none": "none: the candidate's code ran as you, in a process of its own"}


def family_lines(accuracy: Accuracy) -> Iterator[str]:
    """Each family of inputs: how far the kernel is from the truth, how far PyTorch is, and how far it may be."""
    head = ("FAMILY", "OUTPUT", "ERROR", "PYTORCH", "ALLOWED", "")
    yield from table(head, [
        (one.family, str(one.output), f"{one.error:.2e}", f"{one.baseline_error:.2e}", f"{one.allowed:.2e}",
         "" if one.binding else "reported only")
        for one in accuracy.families
    ])  # fmt: skip


def adequacy_lines(adequacy: Adequacy | None) -> Iterator[str]:
    """What this task cannot tell from right, and what honest arithmetic it would refuse."""
    if adequacy is None:
        return
    told = f"this task cannot tell {', '.join(adequacy.survived)}" if adequacy.survived else "all told from right"
    yield line("adequacy", f"{len(adequacy.tried)} wrong outputs tried; {told}")
    for refused in adequacy.refused:
        yield line("adequacy", f"an honest variant is refused: {refused}")


def finding_line(finding: Finding) -> str:
    """One question about a certificate, its answer, and why."""
    return f"{finding.question:<14} {finding.answer:<22} {printable(finding.told)}".rstrip()


def printable(text: str) -> str:
    """Without what moves a terminal's cursor: the text may be anybody's."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def bytes_text(count: int) -> str:
    """Three significant digits: 512 B, 1.5 KiB, 96 MiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1000:
            return f"{count} B" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"


def slower_reason(timing: Timing, gain: float) -> str:
    """Why a right kernel is not accepted: its figures, beside those it would have needed."""
    return f"right, but not surely {gain:.2f}x as fast: {describe(timing, gain)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def choice_cell(choice: Choice | None) -> str:
    if choice is None:
        return "undecided"
    return f"keep {choice.gain:.2f}x" if isinstance(choice, Keep) else "fall back"


def day_and_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ", "minutes")
