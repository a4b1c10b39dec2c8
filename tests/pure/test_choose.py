from __future__ import annotations

from kernelwright.choose import choose, fastest, fate
from kernelwright.core.codec import digest
from kernelwright.core.outcome import Fallback, Keep, Rejected, Screened
from tests.pure.samples import BASELINES, accepted, trial


def test_the_fastest_right_kernel_is_kept_with_its_gain() -> None:
    trials = [trial("a", accepted(1.2)), trial("b", accepted(1.6)), trial("c", Rejected("verify", "got 0, expected 1"))]
    choice = choose(BASELINES, trials, 1.03)
    assert isinstance(choice, Keep)
    assert choice.trial == trials[1]
    assert abs(choice.gain - 1.6) < 1e-9


def test_every_other_trial_has_its_reason() -> None:
    trials = [trial("a", accepted(1.2)), trial("b", accepted(1.6)), trial("c", Rejected("verify", "got 0, expected 1"))]
    choice = choose(BASELINES, trials, 1.03)
    reasons = {passed.candidate: passed.reason for passed in choice.passed}
    assert reasons == {
        digest(trials[0].candidate): "right, 1.20x of compile [1.20, 1.20]: FASTER",
        digest(trials[2].candidate): "verify: got 0, expected 1",
    }


def test_right_but_not_surely_faster_falls_back() -> None:
    choice = choose(BASELINES, [trial("a", accepted(1.02)), trial("b", accepted(1.05, jitter=0.2))], 1.03)
    assert isinstance(choice, Fallback)
    assert choice.baseline == "compile"
    assert "no kernel is surely faster" in choice.reason


def test_a_screening_alone_keeps_nothing() -> None:
    choice = choose(BASELINES, [trial("a", Screened(1.0))], 1.03)
    assert isinstance(choice, Fallback)


def test_the_last_outcome_of_a_candidate_counts() -> None:
    choice = choose(BASELINES, [trial("a", accepted(2.0)), trial("a", Rejected("verify", "late"), 1)], 1.03)
    assert isinstance(choice, Fallback)


def test_nothing_proposed_falls_back() -> None:
    choice = choose(BASELINES, [], 1.03)
    assert isinstance(choice, Fallback)
    assert choice.reason == "nothing was proposed"


def test_the_baseline_is_the_faster_of_eager_and_compile() -> None:
    assert fastest(BASELINES) == "compile"


def test_a_fate_is_one_line() -> None:
    assert fate(trial("a", Screened(2.5e6)), 1.03) == "screened at 2.500 ms, not among the best"
