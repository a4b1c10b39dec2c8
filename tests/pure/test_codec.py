from __future__ import annotations

import dataclasses

import pytest

from kernelwright.core import codec
from kernelwright.core.candidate import Candidate, Plan, Searched, Step
from kernelwright.core.outcome import Rejected
from kernelwright.core.task import Contract
from tests.pure.samples import BASELINES, TASK, accepted, trial


@pytest.mark.parametrize("value", [TASK, BASELINES, trial("x", accepted(2.0)), trial("x", Rejected("build", "no"))])
def test_a_value_comes_back_equal(value: object) -> None:
    assert codec.loads(codec.dumps(value)) == value


def test_a_plan_with_parameters_comes_back_equal() -> None:
    plan = Plan((Step("matmul", "fc", (("tile", 12), ("split", True), ("name", "a"))),))
    value = Candidate("t", "source", Searched(plan, 3))
    assert codec.loads(codec.dumps(value)) == value


def test_any_field_changes_the_digest() -> None:
    changed = [
        dataclasses.replace(TASK, reference=TASK.reference + " "),
        dataclasses.replace(TASK, inputs=()),
        dataclasses.replace(TASK, target=dataclasses.replace(TASK.target, arch="avx512")),
        dataclasses.replace(TASK, contract=Contract(gain=1.05)),
    ]
    assert len({codec.digest(task) for task in [TASK, *changed]}) == 5


def test_what_has_no_stable_identity_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot encode"):
        codec.encode([1, 2])


def test_a_noun_or_field_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown noun 'Verdict'"):
        codec.loads('{"is": "Verdict"}')
    with pytest.raises(ValueError, match="cannot read Screened"):
        codec.loads('{"is": "Screened", "time_ns": 1.0, "certainty": 2}')
