"""What an author outside is told of a trial."""

from __future__ import annotations

import pytest

from kernelwright.clerk.told import told
from kernelwright.core.outcome import Rejected
from tests.pure.samples import accepted, trial

MISMATCH = 'family "scaled 64", output 0, at [3, 417]: got 0.731058, expected 1.25, allowed 0.0125'


def refused(reason: str, detail: str = "") -> Rejected:
    """What is told of a candidate that was refused at verify, and that says so again on public inputs."""
    outcome = told(trial("text", Rejected("verify", reason, detail)), lambda: "said again").outcome
    assert isinstance(outcome, Rejected)
    return outcome


def test_a_wrong_value_is_placed_and_sized_but_not_shown() -> None:
    outcome = refused(MISMATCH)
    assert 'family "scaled 64", output 0, at [3, 417]' in outcome.reason and not outcome.detail
    assert "0.731" not in outcome.reason and "1.25" not in outcome.reason


@pytest.mark.parametrize("reason", ["ValueError: 0.731058", "gave an answer that nobody asked for: {'saw': 0.731058}"])
def test_what_a_candidate_says_is_heard_again_on_public_inputs(reason: str) -> None:
    outcome = refused(reason, "saw 0.731058")
    assert "0.731" not in outcome.reason and outcome.detail == "said again"


def test_a_task_that_cannot_be_judged_is_told_as_such() -> None:
    assert (
        refused("the reference is random: output 0, at [1]: got 0.3, expected 0.4").reason == "the reference is random"
    )


@pytest.mark.parametrize("outcome", [Rejected("build", "BuildFailed: c++ refused it", "line 3: error"), accepted(2.0)])
def test_what_holds_no_secret_is_told_in_full(outcome: Rejected) -> None:
    whole = trial("text", outcome)
    assert told(whole, lambda: "") == whole
