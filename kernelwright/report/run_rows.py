"""A run over a suite, and two of them compared, as lines for people and as JSON values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from kernelwright.core.outcome import Fallback
from kernelwright.core.run import Entry, Failed, Run
from kernelwright.core.stats import geometric_mean
from kernelwright.report import figures
from kernelwright.report.comparison import CHANGES, Compared, Comparison
from kernelwright.report.facts import Facts, decided, medians, plain
from kernelwright.report.figures import Against, Summary
from kernelwright.report.rows import line, table, target_text

HEAD = ("LEVEL", "PROBLEMS", "KEPT", "FAILED", "RIGHT", "MEAN", "OF KEPT", "MEDIAN", ">1.0", ">1.2", ">1.5", ">2.0",
        "OF LIGHT", "S/TASK")  # fmt: skip
BASELINES: dict[Against, str] = {
    "eager": "eager",
    "compile": "torch.compile",
    "faster": "the faster of eager and torch.compile",
}


def entry_line(number: int, of: int, entry: Entry) -> str:
    """`[ 3/12] level1/23_Softmax  keep 1.42x of compile [1.38, 1.46]  12.3 s`."""
    return f"[{number:>{len(str(of))}}/{of}] {entry.problem.name:<40} {fate(entry)}  {entry.seconds:.1f} s"


def fate(entry: Entry) -> str:
    if isinstance(entry.result, Failed):
        return f"failed ({entry.result.stage}): {entry.result.reason}"
    choice = entry.result.choice
    if isinstance(choice, Fallback):
        return f"PyTorch kept: {choice.reason}{degenerate_text(entry)}"
    low, high = choice.interval
    return f"keep {choice.gain:.2f}x [{low:.2f}, {high:.2f}]{degenerate_text(entry)}"


def degenerate_text(entry: Entry) -> str:
    return "  (degenerate)" if figures.degenerate_reason(entry) else ""


def standing(entries: Sequence[Entry], of: int, jobs: int) -> str:
    """How far a run is: `3/12 done, 2 kept, geometric mean 1.31x, about 4 min left`."""
    gains = [gain for entry in entries if (gain := figures.speedup(entry)) is not None]
    mean = f", geometric mean {geometric_mean(gains):.2f}x" if gains else ""
    kept = sum(map(figures.is_kept, entries))
    return f"{len(entries)}/{of} done, {kept} kept{mean}{left(entries, of, jobs)}"


def left(entries: Sequence[Entry], of: int, jobs: int) -> str:
    if not entries or len(entries) == of:
        return ""
    seconds = sum(entry.seconds for entry in entries) / len(entries) * (of - len(entries)) / jobs
    return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"


def summary_lines(run: Run, entries: Sequence[Entry]) -> Iterator[str]:
    """The figures of a run: each level against the faster baseline, all together against each of the two."""
    found = figures.summaries(run, entries)
    yield line("machine", f"{target_text(run.environment.target)}, {run.environment.threads} threads")
    for against, title in reversed(BASELINES.items()):
        chosen = [one for one in found if one.degenerate and one.against == against]
        yield from ("", f"Against {title}; precision class {run.contract.precision}; where PyTorch is kept: 1")
        yield from table(HEAD, [cells(one) for one in chosen])
    if left_out := figures.degenerate(entries):
        chosen = [one for one in found if not one.degenerate and one.against == "faster"]
        yield from ("", f"Without degenerate problems, against {BASELINES['faster']}")
        yield from table(HEAD, [cells(one) for one in chosen])
        yield from (line("degenerate", f"{name}: {reason}") for name, reason in left_out)


def cells(one: Summary) -> tuple[str, ...]:
    return (
        "all" if one.level is None else one.level or "-",
        str(one.problems) if one.counted == one.problems else f"{one.counted} of {one.problems}",
        *map(str, (one.kept, one.failed)),
        f"{one.correct:.0%}",
        *map(times, (one.mean, one.mean_kept, one.median)),
        *(f"{share:.0%}" for _, share in one.fast),
        "-" if one.light is None else f"{one.light:.0%}",
        f"{one.seconds:.0f}",
    )


def times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def run_facts(folder: Path, run: Run, entries: Sequence[Entry]) -> Facts:
    return {
        "run": str(folder),
        "suite": run.suite,
        "options": dict(run.options),
        "precision": run.contract.precision,
        "environment": plain(run.environment),
        "summaries": [plain(one) for one in figures.summaries(run, entries)],
        "degenerate": dict(figures.degenerate(entries)),
        "problems": [entry_facts(entry) for entry in entries],
    }


def entry_facts(entry: Entry) -> Facts:
    facts = {
        "name": entry.problem.name,
        "level": entry.problem.level,
        "scaling": [plain(one) for one in entry.problem.scaling],
        "seconds": entry.seconds,
        "tokens": entry.tokens,
        "cost": entry.cost,
    }
    if isinstance(entry.result, Failed):
        return {**facts, "choice": "failed", "speedup": 1.0, "stage": entry.result.stage, "reason": entry.result.reason}
    return {
        **facts,
        **decided(entry.result.choice),
        "baseline": medians(entry.result.baselines),
        "against": {against: figures.speedup(entry, against) for against in figures.AGAINST},
        "light": figures.light(entry),
    }


def comparison_lines(found: Comparison) -> Iterator[str]:
    yield from (line("warning", warning) for warning in found.warnings)
    for change in CHANGES:
        rows = [one for one in found.compared if one.change == change]
        if rows:
            yield from ("", f"{change}: {len(rows)}")
            yield from table(("PROBLEM", "A", "B", "TIME A/B", "95 % INTERVAL"), [compared_cells(one) for one in rows])
    for title, names in (("only in A", found.only_a), ("only in B", found.only_b), ("not the same", found.different)):
        if names:
            yield from ("", f"{title}: {', '.join(names)}")


def compared_cells(one: Compared) -> tuple[str, ...]:
    interval = "-" if one.interval is None else f"{one.interval[0]:.2f} to {one.interval[1]:.2f}"
    return one.name, one.before, one.after, times(one.ratio), interval


def comparison_facts(found: Comparison) -> Facts:
    return dataclasses.asdict(found)
