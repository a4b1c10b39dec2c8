"""What a page says of a run, in words: pure functions of its entries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from kernelwright.core.candidate import Candidate, Searched, Written
from kernelwright.core.codec import digest
from kernelwright.core.conversation import Conversation
from kernelwright.core.outcome import Accepted, Choice, Environment, Keep, Rejected, Screened, Trial
from kernelwright.core.run import Entry, Failed, Run, Solved
from kernelwright.core.stats import median_ms, speedup, spread
from kernelwright.report import figures
from kernelwright.report.figures import Summary
from kernelwright.report.rows import milliseconds, origin_text, short

EVERYTHING = ("", "*")  # options that leave nothing out
DETAIL = 6000  # characters of a compiler's log that a page shows


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table of problems. None where there is no such figure."""

    name: str
    page: str
    level: str
    fate: str  # "kept", "fallback" or "failed"
    reason: str
    gain: float
    interval: tuple[float, float] | None
    degenerate: str
    baseline: str
    baseline_ms: float | None
    kernel_ms: float | None
    light: float | None
    trials: int
    seconds: float
    tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class Level:
    """One row of the table of levels: the same problems against each baseline, and without degenerate ones."""

    name: str
    faster: Summary
    eager: Summary
    compile: Summary
    telling: Summary | None  # None where all problems are degenerate


@dataclass(frozen=True, slots=True)
class Tried:
    """One row of the table of trials."""

    number: int
    round: int
    engine: str
    key: str
    origin: str
    fate: str  # "kept", "right", "screened" or "rejected"
    reason: str
    detail: str
    ms: float | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a message: prose, or code in one language."""

    text: str
    language: str | None = None


def page_of(name: str) -> str:
    """The file of a problem's page: one flat folder, so that no name leads out of it."""
    return f"{name.replace('/', '__')}.html"


def title(run: Run) -> str:
    return PurePath(run.suite).name or run.suite


# The first page


def setting(run: Run) -> tuple[str, ...]:
    """Everything that a figure of this run depends on, in short phrases."""
    count = len(run.problems)
    return (
        f"{count} problem" if count == 1 else f"{count} problems",
        f"precision class {run.contract.precision}",
        *machine(run.environment),
        f"device {run.device}",
        *(f"{name} {value}" for name, value in run.options if value not in EVERYTHING),
        f"started {run.started[:16].replace('T', ' ')} UTC",
    )


def machine(environment: Environment) -> tuple[str, ...]:
    target = environment.target
    threads = "1 thread" if environment.threads == 1 else f"{environment.threads} threads"
    toolchain = (part for part in target.toolchain if not part.startswith("torch"))
    return (f"{target.name} ({target.arch})", threads, f"PyTorch {environment.torch}", f"Python {environment.python}",
            *toolchain, f"kernelwright {environment.kernelwright}", f"sandbox {environment.sandbox}")  # fmt: skip


def lines(entries: Sequence[Entry]) -> list[Line]:
    """Failed ones last, else by speed-up."""
    return sorted(map(line, entries), key=lambda row: (row.fate == "failed", -row.gain, row.name))


def line(entry: Entry) -> Line:
    result = entry.result
    baseline, kernel = figures.baseline_ns(entry), figures.kernel_ns(entry)
    fate, reason, interval = settled(result)
    return Line(
        name=entry.problem.name,
        page=page_of(entry.problem.name),
        level=entry.problem.level,
        fate=fate,
        reason=reason,
        gain=figures.speedup(entry) or 1.0,
        interval=interval,
        degenerate=figures.degenerate_reason(entry),
        baseline=fastest(entry),
        baseline_ms=baseline / 1e6 if baseline else None,
        kernel_ms=kernel / 1e6 if kernel else None,
        light=figures.light(entry),
        trials=len(result.trials) if isinstance(result, Solved) else 0,
        seconds=entry.seconds,
        tokens=entry.tokens,
        cost=entry.cost,
    )


def settled(result: Solved | Failed) -> tuple[str, str, tuple[float, float] | None]:
    """The fate in one word, the reason, and the interval of what was kept."""
    if isinstance(result, Failed):
        return "failed", f"{result.stage}: {result.reason}", None
    if isinstance(result.choice, Keep):
        return "kept", origin_text(result.choice.trial.candidate), result.choice.interval
    return "fallback", result.choice.reason, None


def fastest(entry: Entry) -> str:
    """The name of the baseline that counts."""
    measured = entry.result.baselines.measured if isinstance(entry.result, Solved) else ()
    return min(measured, key=lambda one: median_ms(one.samples_ns)).name if measured else ""


def levels(found: Sequence[Summary]) -> list[Level]:
    by_key = {(summary.level, summary.against, summary.degenerate): summary for summary in found}
    names = [name for name in dict.fromkeys(summary.level for summary in found) if name != ""]
    return [
        Level(f"level {name}" if name else "all", by_key[name, "faster", True],
              by_key[name, "eager", True], by_key[name, "compile", True], by_key.get((name, "faster", False)))
        for name in names
    ]  # fmt: skip


def overall(found: Sequence[Summary], degenerate: bool = True) -> Summary | None:
    wanted = (None, "faster", degenerate)
    return next((one for one in found if (one.level, one.against, one.degenerate) == wanted), None)


# One problem


def shown(result: Solved | Failed) -> Trial | None:
    """The trial whose kernel a page shows: the kept one, else the right one that came nearest."""
    if isinstance(result, Failed):
        return None
    if isinstance(result.choice, Keep):
        return result.choice.trial
    right = [trial for trial in result.trials if isinstance(trial.outcome, Accepted)]
    return max(right, key=gained, default=None)


def gained(trial: Trial) -> float:
    return speedup(trial.outcome.timing) if isinstance(trial.outcome, Accepted) else 0.0


def tried(result: Solved | Failed) -> Iterator[Tried]:
    """Every trial in turn, with the reason for which it was or was not chosen."""
    if isinstance(result, Failed):
        return
    passed = {one.candidate: one.reason for one in result.choice.passed}
    kept = kept_at(result)
    for at, trial in enumerate(result.trials):
        key = digest(trial.candidate)
        fate, reason, detail, ms = outcome(trial)
        if fate == "right":
            fate, reason = ("kept", kept_reason(result.choice)) if at == kept else ("right", passed.get(key, reason))
        yield Tried(
            at + 1, trial.round + 1, trial.engine, short(key), provenance(trial.candidate), fate, reason, detail, ms
        )


def kept_at(result: Solved) -> int | None:
    """The place of the kept trial: the last of its candidate, which was examined again before it was kept."""
    if not isinstance(result.choice, Keep):
        return None
    kept = result.choice.trial.candidate
    places = (at for at, one in enumerate(result.trials) if one.candidate == kept and isinstance(one.outcome, Accepted))
    return max(places, default=None)


def outcome(trial: Trial) -> tuple[str, str, str, float | None]:
    """Fate, reason, detail, milliseconds."""
    match trial.outcome:
        case Rejected(stage, reason, detail):
            return "rejected", f"{stage}: {reason}", detail[:DETAIL], None
        case Screened(time_ns):
            return "screened", "not among the best of its round", "", time_ns / 1e6
        case Accepted(_, timing):
            return "right", f"{speedup(timing):.2f}× of {timing.baseline}", "", median_ms(timing.candidate_ns)


def kept_reason(choice: Choice) -> str:
    if not isinstance(choice, Keep):
        return ""
    low, high = choice.interval
    return f"{choice.gain:.2f}×, 95 % interval {low:.2f} to {high:.2f}"


def provenance(candidate: Candidate) -> str:
    """Where it came from, with every parameter of a plan."""
    match candidate.origin:
        case Searched(plan) if plan.steps:
            return " → ".join(f"{step.name}{parameters(step.parameters)}" for step in plan.steps)
        case Written(model, _, tokens, cost):
            return f"written by {model}: {tokens:,} tokens{price(cost)}"
        case _:
            return origin_text(candidate)


def price(cost: float) -> str:
    """Nothing where it is not known."""
    return f", ${cost:.2f}" if cost else ""


def parameters(found: Sequence[tuple[str, object]]) -> str:
    return f"({', '.join(f'{name} {value}' for name, value in found)})" if found else ""


def dialogues(result: Solved | Failed) -> list[tuple[Conversation, list[int]]]:
    """All that was said with language models, each with the numbers of the trials that came of it."""
    if isinstance(result, Failed):
        return []
    came_of: dict[str, list[int]] = {}
    for number, trial in enumerate(result.trials, 1):
        if isinstance(trial.candidate.origin, Written):
            came_of.setdefault(trial.candidate.origin.conversation, []).append(number)
    return [(held, came_of.get(digest(held), [])) for held in result.conversations]


def baselines(result: Solved | Failed) -> Iterator[tuple[str, str]]:
    """How fast PyTorch is: each baseline's name and time, or why it is missing."""
    if isinstance(result, Failed):
        return
    for measured in result.baselines.measured:
        low, high = spread(measured.samples_ns)
        yield measured.name, f"{milliseconds(median_ms(measured.samples_ns))} (quartiles {low:.3g} to {high:.3g})"
    yield from ((name, f"missing: {reason}") for name, reason in result.baselines.missing)


def verdict(result: Solved, trial: Trial) -> str:
    """What was found of the trial that a page shows."""
    reasons = {one.candidate: one.reason for one in result.choice.passed}
    return kept_reason(result.choice) or reasons.get(digest(trial.candidate), f"{gained(trial):.2f}×")


def stretches(text: str) -> Iterator[Stretch]:
    """A message cut at its ``` fences. A fence that is never closed runs to the end."""
    for at, piece in enumerate(text.split("```")):
        if at % 2 == 0:
            if piece.strip():
                yield Stretch(piece.strip())
            continue
        language, _, code = piece.partition("\n")
        yield Stretch(code, language.strip() or "text") if code else Stretch(piece, "text")


# Numbers as words


def times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}×" if value < 100 else f"{value:.0f}×"


def number(value: float | None) -> str:
    """Three significant digits, never in powers of ten."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def duration(seconds: float) -> str:
    """`42 s`, `7 min`, `3.2 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
