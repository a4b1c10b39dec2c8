"""How samples are sized and ordered, and when there are enough of them."""

from __future__ import annotations

import random

import pytest

from kernelwright.judge.timing import (
    FEWEST,
    LOOKS,
    MOST_CALLS,
    Pair,
    calls_per_sample,
    doubtful,
    order,
    per_call,
    quietest,
    take_pairs,
)


def counted(ratio: float, noise: float, seconds: float = 1e9, step: float = 0.0, disturbance: float = 0.0) -> int:
    """Pairs taken when the baseline takes `ratio` times as long, and each pair takes `step` seconds."""
    draw = random.Random(1)
    clock = iter(range(10**6))
    pairs = take_pairs(
        lambda _: Pair(ratio * draw.lognormvariate(0, noise), draw.lognormvariate(0, noise), disturbance),
        1.03, seconds, lambda: next(clock) * step,
    )  # fmt: skip
    return len(list(pairs))


@pytest.mark.parametrize(
    ("ratio", "noise", "pairs"), [(2.0, 0.05, LOOKS[0]), (0.5, 0.05, LOOKS[0]), (1.03, 0.05, LOOKS[-1])]
)
def test_what_is_clear_is_decided_at_the_first_look_and_what_is_not_at_the_last(
    ratio: float, noise: float, pairs: int
) -> None:
    assert counted(ratio, noise) == pairs


def test_time_runs_out_but_not_before_a_few_pairs() -> None:
    assert counted(1.03, 0.05, seconds=0.0, step=1.0) == FEWEST
    assert counted(1.03, 0.05, seconds=25.0, step=1.0) < LOOKS[-1]


def test_a_busy_machine_gets_no_early_verdict() -> None:
    assert counted(2.0, 0.05, disturbance=0.5) == LOOKS[-1]


def test_disturbed_pairs_are_taken_again_a_few_times() -> None:
    shares = iter([0.9, 0.3, 0.5, 0.0])
    assert quietest(lambda: Pair(1.0, 1.0, next(shares))).disturbance == 0.3
    assert quietest(lambda: Pair(1.0, 1.0, next(shares))).disturbance == 0.0


def test_a_small_gain_is_doubtful_and_a_large_one_is_not() -> None:
    assert doubtful([Pair(1.10, 1.0)] * 10, 1.03)
    assert doubtful([Pair(1.10, 1.0), Pair(1.50, 1.0)] * 5, 1.03)  # perhaps small
    assert not doubtful([Pair(1.50, 1.0)] * 10, 1.03)
    assert not doubtful([Pair(1.00, 1.0)] * 10, 1.03)


def test_each_side_goes_first_as_often_as_second() -> None:
    firsts = [order(pair)[0] for pair in range(4)]
    assert firsts == ["baseline", "candidate", "baseline", "candidate"]
    assert all(set(order(pair)) == {"baseline", "candidate"} for pair in range(4))


def test_short_calls_are_bundled_as_memory_allows() -> None:
    assert calls_per_sample(50e6, 1e5, 1, 1 << 30) == 1
    assert calls_per_sample(1e6, 1e5, 1, 1 << 30) == 3
    assert calls_per_sample(10.0, 1e5, 1, 1 << 30) == MOST_CALLS
    assert calls_per_sample(-5.0, 1e5, 1, 1 << 30) == MOST_CALLS
    assert calls_per_sample(10.0, 1e5, 1 << 29, 1 << 30) == 2
    assert calls_per_sample(10.0, 1e5, 1 << 31, 1 << 30) == 1


def test_a_call_always_costs_something() -> None:
    assert per_call(1100.0, 100.0, 10) == 100.0
    assert per_call(90.0, 100.0, 1) > 0
