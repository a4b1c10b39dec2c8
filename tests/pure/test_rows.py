"""What people and programs are told is what was found."""

from __future__ import annotations

import json

import pytest

from kernelwright.choose import choose
from kernelwright.core.candidate import Candidate, Handmade, Origin, Plan, Searched, Step, Stored, Written
from kernelwright.core.codec import digest
from kernelwright.core.outcome import Accuracy, Baselines, Fallback, FamilyError, Keep, Measured, Rejected, Screened
from kernelwright.core.spec import ScalarSpec, TensorSpec
from kernelwright.report import facts, rows
from tests.pure.samples import BASELINES, TASK, accepted, trial

GAIN = TASK.contract.gain


def said(*events: object) -> str:
    return "\n".join(line for event in events for line in rows.event_lines("linear_tail", GAIN, event))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012345, "0.0123 ms"), (4.0, "4.00 ms"), (99.94, "99.9 ms"), (789.4, "789 ms"), (123456.0, "123456 ms")],
)
def test_milliseconds_have_three_digits_and_no_powers_of_ten(value: float, text: str) -> None:
    assert rows.milliseconds(value) == text


def test_the_captured_line_names_inputs_and_machine() -> None:
    captured = said(TASK)
    assert "linear_tail(float32[4, 8])" in captured
    assert digest(TASK)[:12] in captured
    assert "a machine (avx2, 2 cores), g++ 12, torch 2.13.0" in captured
    assert rows.input_text(ScalarSpec(2)) == "2"
    assert rows.input_text(TensorSpec((), (), "int64")) == "int64[]"


def test_baselines_show_their_spread_and_what_is_missing() -> None:
    shown = said(Baselines((Measured("eager", (1e6, 2e6, 3e6, 4e6, 5e6)),), (("compile", "no compiler"),), "constant"))
    assert "eager   3.00 ms  quartiles 2 to 4, 5 samples" in shown
    assert "compile missing: no compiler" in shown
    assert "degenerate constant;" in shown


def test_each_fate_has_its_reason() -> None:
    assert "rejected at verify: row 3 is zero" in said(trial("a", Rejected("verify", "row 3 is zero")))
    assert "screened, 4.20 ms" in said(trial("a", Screened(4.2e6)))
    assert "right, 4.00 ms, 2.00x of compile [2.00, 2.00]: FASTER" in said(trial("a", accepted(2.0)))
    assert "SLOWER" in said(trial("a", accepted(0.5)))


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Searched(Plan((Step("fold_sum", "x"), Step("matmul", "y")))), "fold_sum, matmul"),
        (Searched(Plan()), "as PyTorch has it"),
        (Written("a model", "0" * 64, 120, 0.5), "written by a model, 120 tokens"),
        (Handmade("kernel.py"), "by kernel.py"),
        (Stored("f" * 64), "stored as ffffffffffff"),
    ],
)
def test_a_candidate_says_where_it_came_from(origin: Origin, text: str) -> None:
    assert rows.origin_text(Candidate("t", "", origin)) == text


def test_a_kept_kernel_shows_gain_interval_times_and_accuracy() -> None:
    kept = said(choose(BASELINES, [trial("a", accepted(2.0))], GAIN))
    assert "2.00x, 95% interval 2.00 to 2.00: compile 8.00 ms, kernel 4.00 ms" in kept
    assert "1.0e-07 from float64 in the worst row, 4.0e-07 allowed" in kept


def test_a_fallback_shows_its_reason() -> None:
    assert "PyTorch is kept (compile): nothing was proposed" in said(choose(BASELINES, [], GAIN))


def test_the_family_nearest_to_its_limit_is_the_one_shown() -> None:
    far, near = FamilyError("far", 0, 1e-3, 0.0, 1.0), FamilyError("near", 0, 1e-7, 0.0, 2e-7)
    assert rows.nearest_to_limit(Accuracy("float64", (far, near))) == near


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert list(rows.table(("A", "B"), [("long", "x"), ("s", "y")])) == ["A     B", "long  x", "s     y"]
    assert list(rows.table(("A", "B"), [])) == ["A  B"]


def test_json_of_a_kept_kernel_holds_what_is_promised() -> None:
    one = trial("a", accepted(2.0))
    report = facts.optimized((TASK, BASELINES, one), choose(BASELINES, [one], GAIN), "out/kernel.py", recalled=False)
    report = json.loads(facts.text(report))
    assert (report["choice"], report["source"], report["degenerate"]) == ("keep", "out/kernel.py", False)
    assert report["speedup"] == pytest.approx(2.0)
    assert report["interval"] == pytest.approx([2.0, 2.0])
    assert (report["baseline"]["eager_ms"], report["baseline"]["compile_ms"]) == (10.0, 8.0)
    assert report["kernel_ms"] == pytest.approx(4.0)
    assert report["accuracy"]["worst"]["error"] == 1e-7
    assert [each["outcome"] for each in report["trials"]] == ["right"]


def test_json_of_a_fallback_is_one_and_a_reason() -> None:
    report = facts.optimized((TASK, BASELINES), Fallback("eager", "nothing was faster"), None, recalled=True)
    assert (report["choice"], report["speedup"], report["source"]) == ("fallback", 1.0, None)
    assert (report["reason"], report["recalled"], report["kernel_ms"]) == ("nothing was faster", True, None)


def test_json_says_null_for_a_baseline_that_could_not_be_had() -> None:
    found = facts.medians(Baselines((Measured("eager", (1e6,)),), (("compile", "no compiler"),)))
    assert found == {"eager_ms": 1.0, "compile_ms": None, "missing": {"compile": "no compiler"}}


def test_a_judgement_is_accepted_only_where_right_and_surely_faster() -> None:
    faster, slower = facts.judged(accepted(2.0), GAIN), facts.judged(accepted(0.5), GAIN)
    wrong = facts.judged(Rejected("verify", "row 3 is zero", "first mismatch at [3, 0]"), GAIN)
    assert (faster["accepted"], faster["stage"]) == (True, None)
    assert (slower["accepted"], slower["stage"]) == (False, "time")
    assert "0.50x of compile [0.50, 0.50]: SLOWER" in slower["reason"]
    assert (wrong["accepted"], wrong["stage"], wrong["reason"]) == (False, "verify", "row 3 is zero")
    assert faster.keys() == slower.keys() == wrong.keys()


def test_the_judgement_s_lines_agree_with_its_json() -> None:
    for outcome in (accepted(2.0), accepted(0.5), accepted(1.0), Rejected("build", "no ModelNew", "log\nmore log")):
        first = next(iter(rows.judgement_lines(outcome, GAIN)))
        assert first.startswith("ACCEPTED") == facts.judged(outcome, GAIN)["accepted"]
    assert any("more log" in line for line in rows.judgement_lines(outcome, GAIN))


def test_json_has_no_infinities() -> None:
    assert json.loads(facts.text({"error": [float("inf"), float("nan"), 1.0]})) == {"error": ["inf", "nan", 1.0]}


def test_a_keep_without_samples_is_still_shown() -> None:
    kept = Keep(trial("a", Screened(1e6)), 2.0, (1.5, 2.5))
    assert said(kept) == "keep       2.00x, 95% interval 1.50 to 2.50"
