from __future__ import annotations

from dataclasses import replace

import pytest

from kernelwright.choose import keep
from kernelwright.core.outcome import Accepted, Fallback
from kernelwright.core.run import Entry, Failed, Problem, Run, Solved
from kernelwright.report import run_rows
from kernelwright.report.comparison import Comparison, compare
from tests.pure.samples import BASELINES, ENVIRONMENT, accepted, trial

RUN = Run(1, "suite", "cpu", ENVIRONMENT, "2026-01-01", (("scale", "1"), ("store", "x")))
FAILED = Failed("timeout", "not done after 60 s")
FALLBACK = Solved("a task", BASELINES, Fallback("eager", "no kernel is surely faster"), ())


def kept(speedup: float, jitter: float = 0.0) -> Solved:
    """A kernel that takes 8 ms / speedup; `jitter` spreads its samples."""
    outcome = accepted(speedup)
    times = tuple(time * (1 + jitter * (-1) ** i) for i, time in enumerate(outcome.timing.candidate_ns))
    winner = trial("winner", Accepted(outcome.accuracy, replace(outcome.timing, candidate_ns=times)))
    return Solved("a task", BASELINES, keep(winner), (winner,))


def entry(result: Solved | Failed, name: str = "one", text: str = "class Model: ...") -> Entry:
    return Entry(Problem(name, "", text), result, 1.0)


def both(a: Entry, b: Entry, run: Run = RUN) -> Comparison:
    return compare(RUN, (a,), run, (b,))


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (kept(2.0), kept(3.0), "faster"),
        (kept(3.0), kept(2.0), "slower"),
        (kept(2.0), kept(2.02), "unchanged"),
        (kept(2.0), kept(2.2, jitter=0.5), "unchanged"),
        (FALLBACK, kept(2.0), "newly kept"),
        (FAILED, kept(2.0), "newly kept"),
        (kept(2.0), FALLBACK, "newly lost"),
        (kept(2.0), FAILED, "newly lost"),
        (FALLBACK, FAILED, "unchanged"),
    ],
)
def test_a_problem_changes_where_the_whole_interval_says_so(
    before: Solved | Failed, after: Solved | Failed, change: str
) -> None:
    (found,) = both(entry(before), entry(after)).compared
    assert found.change == change


def test_the_ratio_is_time_over_time_with_its_interval() -> None:
    (found,) = both(entry(kept(2.0)), entry(kept(3.0))).compared
    assert found.ratio == pytest.approx(1.5)
    assert found.interval == pytest.approx((1.5, 1.5))


def test_problems_of_one_run_alone_are_named() -> None:
    found = compare(RUN, (entry(FALLBACK, "a"),), RUN, (entry(FALLBACK, "b"),))
    assert (found.only_a, found.only_b, found.compared) == (("a",), ("b",), ())


def test_a_problem_in_other_sizes_is_not_compared() -> None:
    found = both(entry(kept(2.0)), entry(kept(3.0), text="class Model: smaller"))
    assert (found.different, found.compared) == (("one",), ())


def test_another_machine_or_scale_is_warned_of_and_another_store_is_not() -> None:
    elsewhere = replace(RUN.environment, threads=64)
    other = replace(RUN, environment=elsewhere, options=(("scale", "0.1"), ("store", "y")))
    machine, scale = both(entry(FALLBACK), entry(FALLBACK), other).warnings
    assert "64 threads" in machine and "scale differs: 1; 0.1" in scale
    assert both(entry(FALLBACK), entry(FALLBACK)).warnings == ()


def test_a_comparison_is_told_change_by_change() -> None:
    lines = "\n".join(run_rows.comparison_lines(both(entry(kept(2.0)), entry(kept(3.0)))))
    assert "faster: 1" in lines and "1.50x" in lines and "slower" not in lines
