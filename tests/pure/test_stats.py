from __future__ import annotations

import random

import pytest

from kernelwright.core.outcome import Timing
from kernelwright.core.stats import geometric_mean, interval, speedup, spread, verdict


def paired(ratio: float, noise: float, pairs: int = 20, seed: int = 1) -> Timing:
    draw = random.Random(seed)
    drift = [1 + 0.3 * draw.random() for _ in range(pairs)]
    baseline = tuple(1e6 * ratio * d * (1 + noise * draw.gauss(0, 1)) for d in drift)
    candidate = tuple(1e6 * d * (1 + noise * draw.gauss(0, 1)) for d in drift)
    return Timing("eager", baseline, candidate)


def test_drift_that_both_sides_share_cancels() -> None:
    assert speedup(paired(2.0, 0.0)) == pytest.approx(2.0)


def test_the_interval_holds_the_median() -> None:
    timing = paired(1.3, 0.05)
    low, high = interval(timing)
    assert low <= speedup(timing) <= high


def test_the_same_samples_give_the_same_interval() -> None:
    assert interval(paired(1.3, 0.05)) == interval(paired(1.3, 0.05))


@pytest.mark.parametrize(
    ("ratio", "noise", "wanted"),
    [
        (1.5, 0.01, "FASTER"),
        (1.0, 0.002, "SAME"),
        (0.8, 0.01, "SLOWER"),
        (1.03, 0.05, "UNSURE"),
        (1.02, 0.001, "SAME"),
        (0.995, 0.0005, "SAME"),  # as copies on a GPU are
        (0.95, 0.02, "SLOWER"),
    ],
)
def test_the_verdict_asks_the_whole_interval(ratio: float, noise: float, wanted: str) -> None:
    assert verdict(paired(ratio, noise), 1.03) == wanted


def test_one_lucky_sample_makes_nothing_faster() -> None:
    timing = Timing("eager", (1e6,) * 9 + (9e6,), (1e6,) * 10)
    assert verdict(timing, 1.03) == "SAME"


def test_six_pairs_of_a_busy_machine_make_nothing_faster() -> None:
    """Two copies of one module, microseconds a call, as a shared GPU machine once took them: five of six say faster."""
    timing = Timing("eager", (69.1, 92.8, 95.7, 75.0, 79.0, 94.9), (71.4, 66.4, 61.6, 59.1, 53.0, 84.8))
    assert interval(timing)[0] > 1.03
    assert verdict(timing, 1.03) == "UNSURE"


def test_means_and_quartiles() -> None:
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert spread([1e6, 2e6, 3e6, 4e6, 5e6]) == (2.0, 4.0)
    assert spread([7e6]) == (7.0, 7.0)
