"""What an author outside is told of a refusal."""

from __future__ import annotations

import pytest

from kernelwright.clerk.told import is_withheld, told
from kernelwright.core.outcome import Rejected


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        (
            'family "scaled 64", output 0, at [3, 417]: got 0.0, expected 1.25, allowed 0.0125',
            'family "scaled 64", output 0 at [3, 417]: off by 100 times what is allowed',
        ),
        (
            'family "plain", output 0, at [3]: got nan, expected 1.25, allowed 0.1',
            'family "plain", output 0 at [3]: not what the reference computes',
        ),
        (
            "a timed call, output 1, at [7]: got 4, expected 5",
            "a timed call, output 1 at [7]: not what the reference computes",
        ),
        (
            'family "plain": the output has shape [4, 271828], expected [4, 8]',
            'family "plain": the output has another shape, expected [4, 8]',
        ),
        ("the reference is random: output 0, at [1]: got 0.3, expected 0.4", "the reference is random"),
    ],
)
def test_the_place_and_how_far_are_told_and_no_value_is(reason: str, wanted: str) -> None:
    assert told(Rejected("verify", reason, "a traceback")) == Rejected("verify", wanted)


@pytest.mark.parametrize(
    "reason",
    [
        'family "plain": input 0 was overwritten; the reference leaves it alone',
        "output 0 of one call changes when the next call runs: memory is reused",
        "did not return within 10 s",
        "the process died of SIGSEGV",
    ],
)
def test_the_judges_own_sentences_stay_as_they_are(reason: str) -> None:
    assert told(Rejected("verify", reason)).reason == reason


@pytest.mark.parametrize(
    "reason",
    [
        "ValueError: 0.731058",
        "ValueError: did not return within 3 s",
        'family "plain": the output has value 0.731058, expected 0.5',
        "gave an answer that nobody asked for: {'saw': 0.731058}",
        "ValueError: input 0 was overwritten; the reference leaves it alone",
    ],
)
def test_a_workers_own_words_are_withheld(reason: str) -> None:
    refusal = told(Rejected("time", reason, "saw 0.731058"))
    assert is_withheld(refusal) and not refusal.detail and "Error" not in refusal.reason and "0.7" not in refusal.reason


def test_what_comes_before_the_judges_inputs_is_told_in_full() -> None:
    refusal = Rejected("build", "BuildFailed: c++ refused the kernel", "line 3: error: 'foo' was not declared")
    assert told(refusal) == refusal
