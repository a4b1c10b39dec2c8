from __future__ import annotations

import pytest

from kernelwright.choose import keep
from kernelwright.core.outcome import Baselines, Choice, Fallback, Measured, Trial
from kernelwright.core.run import Entry, Failed, Problem, Run, Solved
from kernelwright.report import figures
from kernelwright.report.figures import Summary, speedup
from tests.pure.samples import BASELINES, ENVIRONMENT, accepted, trial

EAGER_ALONE = Baselines((Measured("eager", (8e6,) * 4),), (("compile", "does not compile"),))
DEGENERATE = Baselines(BASELINES.measured, degenerate="the output does not depend on the input")


def solved(choice: Choice, *trials: Trial, baselines: Baselines = BASELINES) -> Solved:
    return Solved("a task", baselines, choice, trials, floor_ns=1e6)


def kept(gain: float, baselines: Baselines = BASELINES) -> Solved:
    winner = trial("winner", accepted(gain))
    return solved(keep(winner), winner, baselines=baselines)


def fallback(*trials: Trial, baselines: Baselines = BASELINES) -> Solved:
    return solved(Fallback("compile", "no kernel is surely faster"), *trials, baselines=baselines)


def entry(name: str, result: Solved | Failed, level: str = "1") -> Entry:
    return Entry(Problem(f"level{level}/{name}", level, "class Model: ..."), result, seconds=10.0, tokens=100, cost=0.5)


def run_over(*entries: Entry) -> tuple[Summary, ...]:
    run = Run(1, "suite", "cpu", ENVIRONMENT, "2026-01-01", problems=tuple(one.problem.name for one in entries))
    return figures.summaries(run, entries)


def overall(*entries: Entry, against: str = "faster", degenerate: bool = True) -> Summary:
    (found,) = (one for one in run_over(*entries)
                if (one.level, one.against, one.degenerate) == (None, against, degenerate))  # fmt: skip
    return found


def test_pytorch_kept_and_a_failure_count_as_one_with_fallback() -> None:
    found = overall(entry("a", kept(4.0)), entry("b", fallback()), entry("c", Failed("crash", "it died")))
    assert found.mean == pytest.approx(4 ** (1 / 3))
    assert found.median == 1.0
    assert (found.problems, found.kept, found.failed) == (3, 1, 1)


def test_without_fallback_only_kernels_count() -> None:
    found = overall(entry("a", kept(4.0)), entry("b", kept(2.25)), entry("c", fallback()))
    assert found.mean_kept == pytest.approx(3.0)
    assert overall(entry("c", fallback())).mean_kept is None


def test_against_eager_a_kernel_gains_what_compile_gained_too() -> None:
    one = entry("a", kept(2.0))  # raced compile at 8 ms; eager takes 10 ms
    assert [speedup(one, against) for against in figures.AGAINST] == pytest.approx([2.5, 2.0, 2.0])


def test_a_baseline_that_could_not_be_had_is_left_out() -> None:
    found = overall(entry("a", kept(2.0)), entry("b", fallback(baselines=EAGER_ALONE)), against="compile")
    assert (found.problems, found.counted) == (2, 1)
    assert found.mean == pytest.approx(2.0)


def test_fast_p_is_a_share_of_all_problems_and_strict() -> None:
    found = overall(entry("a", kept(2.0)), entry("b", kept(1.3)), entry("c", fallback()), entry("d", fallback()))
    assert [round(share, 3) for _, share in found.fast] == [0.5, 0.5, 0.25, 0.0]


def test_a_right_candidate_counts_as_correct_without_being_faster() -> None:
    slow = fallback(trial("slow", accepted(0.5)))
    found = overall(entry("a", slow), entry("b", fallback()), entry("c", Failed("broken", "no Model")))
    assert found.correct == pytest.approx(1 / 3)


def test_degenerate_problems_are_counted_apart_and_listed_with_their_reason() -> None:
    both = (entry("a", kept(2.0)), entry("b", kept(8.0, DEGENERATE)))
    assert overall(*both).mean == pytest.approx(4.0)
    assert overall(*both, degenerate=False).mean == pytest.approx(2.0)
    assert figures.degenerate(both) == (("level1/b", DEGENERATE.degenerate),)


def test_each_level_has_its_own_figures_and_all_come_last() -> None:
    found = run_over(entry("a", kept(2.0)), entry("b", fallback(), level="2"))
    means = [(one.level, one.mean) for one in found if one.against == "faster" and one.degenerate]
    assert means == [("1", pytest.approx(2.0)), ("2", 1.0), (None, pytest.approx(2**0.5))]


def test_the_share_of_the_speed_of_light_is_the_floor_over_the_kernels_time() -> None:
    assert figures.light(entry("a", kept(2.0))) == pytest.approx(0.25)  # 1 ms of 4 ms
    assert figures.light(entry("b", fallback())) is None


def test_costs_are_means_for_one_problem_and_precision_stands_on_all() -> None:
    found = run_over(entry("a", kept(2.0)), entry("b", fallback()))
    assert {(one.seconds, one.tokens, one.cost, one.precision) for one in found} == {(10.0, 100.0, 0.5, "parity")}


def test_no_entries_have_no_figures() -> None:
    assert run_over() == ()
