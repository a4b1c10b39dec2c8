"""The inputs and weights that candidates are tried on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from kernelwright.capture.source import Reference
from kernelwright.judge.inputs import FAMILIES, PLAIN, Family, FreshInputs, cases, drawn, rerandomised


def reference(get_inputs: object) -> Reference:
    return Reference("", torch.nn.Module, get_inputs, list)  # type: ignore[arg-type]


def test_a_seed_gives_the_same_inputs_again_whatever_generator_they_come_from() -> None:
    import random

    import numpy

    task = reference(lambda: [torch.randn(3), torch.tensor(random.random()), torch.tensor(numpy.random.rand())])
    first, again, other = drawn(task, 7), drawn(task, 7), drawn(task, 8)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))  # type: ignore[arg-type]
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))  # type: ignore[arg-type]


def test_drawing_leaves_the_callers_generators_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    drawn(reference(lambda: [torch.randn(3)]), 7)
    assert torch.equal(torch.rand(1), wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_move_floating_inputs_only(family: Family) -> None:
    floating, whole = torch.tensor([1.0, -3.0]), torch.tensor([1, 2])
    assert family.apply(whole) is whole
    assert family.apply(5) == 5
    moved = family.apply(floating)
    assert isinstance(moved, Tensor) and moved.dtype == floating.dtype
    assert torch.equal(moved, floating) == (family == PLAIN)


def test_families_by_hand() -> None:
    value = torch.tensor([1.0, -3.0])
    results = {family.name: family.apply(value).tolist() for family in FAMILIES}  # type: ignore[union-attr]
    assert results["scaled 64"] == [64.0, -192.0]
    assert results["shifted"] == [3.0, -1.0]
    assert results["negated"] == [-1.0, 3.0]


def test_every_family_and_every_set_of_weights_is_asked() -> None:
    asked = cases(itertools.count(), FAMILIES, weights=3)
    assert {case.family for case in asked} == set(FAMILIES)
    assert {(case.weights, case.delivery) for case in asked} == {
        (0, "load_state_dict"), (1, "load_state_dict"), (2, "in place"),
    }  # fmt: skip
    assert len({case.seed for case in asked}) == len(asked)
    assert [case.weights for case in asked[:2]] == [0, 0]


def test_other_weights_are_other_everywhere_and_variances_stay_positive() -> None:
    norm = torch.nn.BatchNorm1d(64).state_dict()
    fresh = rerandomised(norm, 1)
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert (fresh[name] != norm[name]).all(), name
        assert fresh[name].unique().numel() > 32, name
    assert (fresh["running_var"] > 0.5).all()
    assert torch.equal(fresh["num_batches_tracked"], norm["num_batches_tracked"])


def test_tied_weights_stay_tied_and_masks_stay_masks() -> None:
    weight, mask = torch.randn(8, 8), torch.full((4, 4), -torch.inf).triu(1)
    fresh = rerandomised({"a": weight, "b": weight, "mask": mask}, 1)
    assert torch.equal(fresh["a"], fresh["b"])
    assert torch.equal(fresh["mask"].isinf(), mask.isinf())


def test_fresh_inputs_are_always_new_and_keep_what_the_generator_promises() -> None:
    def draw(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        odds = torch.rand(50, generator=generator).softmax(0)
        return [odds, odds.sort().values, torch.randint(0, 5, (50,), generator=generator), odds.diag().tril()]

    fresh = FreshInputs(draw, seeds(), 3)
    seen = set()
    for _ in range(20):
        targets = [torch.empty_like(value) for value in draw(0)]
        fresh.write(targets)
        seen.add(tuple(targets[0].tolist()))
        assert torch.isclose(targets[0].sum(), torch.tensor(1.0))
        assert torch.equal(targets[1], targets[1].sort().values)
        assert set(targets[2].tolist()) <= {0, 1, 2, 3, 4}
        assert torch.equal(targets[3], targets[3].tril())
    assert len(seen) == 20


def test_inputs_without_floats_are_drawn_anew() -> None:
    fresh = FreshInputs(lambda seed: [torch.tensor([seed])], seeds(), 2)
    target = torch.zeros(1, dtype=torch.int64)
    seen = set()
    for _ in range(5):
        fresh.write([target])
        seen.add(int(target))
    assert len(seen) == 5


def seeds() -> Iterator[int]:
    return itertools.count(100)
