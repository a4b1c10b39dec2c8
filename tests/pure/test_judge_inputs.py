"""The inputs and weights that candidates are tried on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from kernelwright.capture.source import Reference
from kernelwright.core.task import Contract
from kernelwright.judge.answers import seeds as secrets
from kernelwright.judge.families import DISTINCT, MOVED, OFFSET, ONE_CHANGED, PLAIN, VIEWS, Family
from kernelwright.judge.inputs import Case, FreshInputs, cases, drawn, rerandomised


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


EVERY = (PLAIN, ONE_CHANGED, OFFSET, *MOVED, *VIEWS)
SHAPES = ((), (1,), (70,), (5, 64), (2, 3, 8, 8), (0, 4))
BY_NAME = {family.name: family for family in EVERY}


def applied(name: str, value: Tensor, seed: int = 0) -> Tensor:
    moved = BY_NAME[name].apply(value, torch.Generator().manual_seed(seed))
    assert isinstance(moved, Tensor)
    return moved


@pytest.mark.parametrize("family", EVERY, ids=lambda family: family.name)
def test_families_move_floating_inputs_only_and_keep_what_they_look_like(family: Family) -> None:
    generator, whole = torch.Generator().manual_seed(1), torch.tensor([1, 2])
    assert family.apply(whole, generator) is whole
    assert family.apply(5, generator) == 5
    for shape, dtype in itertools.product(SHAPES, (torch.float32, torch.bfloat16, torch.float16, torch.float64)):
        value = torch.randn(shape).to(dtype)
        before = value.clone()
        moved = family.apply(value, generator)
        assert isinstance(moved, Tensor) and torch.equal(value, before)
        assert (moved.dtype, moved.shape, moved.stride()) == (value.dtype, value.shape, value.stride())


@pytest.mark.parametrize("family", MOVED, ids=lambda family: family.name)
def test_every_family_moves_what_a_generator_usually_draws(family: Family) -> None:
    for value in (torch.randn(40, 64), torch.rand(2, 3, 16, 16), torch.rand(5000)):
        assert not torch.equal(applied(family.name, value), value)


def test_families_by_hand() -> None:
    value = torch.tensor([1.0, -3.0])
    results = {family.name: applied(family.name, value).tolist() for family in MOVED}
    assert results["scaled 64"] == [64.0, -192.0]
    assert results["shifted"] == [3.0, -1.0]
    assert results["negated"] == [-1.0, 3.0]
    assert results["sorted"] == [-3.0, 1.0]
    assert results["exact small integers"] == [1.0, -3.0]
    assert sum(results["cancellation"]) == pytest.approx(-(2.0**-10))


@pytest.mark.parametrize("name", ["mixed-scale rows", "ties", "sorted", "one perturbed element"])
def test_what_binds_without_being_a_scale_stays_within_what_was_drawn(name: str) -> None:
    value = torch.rand(30, 50) + 0.01
    moved = applied(name, value)
    assert moved.min() > 0 and moved.max() <= value.max()
    if name != "mixed-scale rows":
        assert torch.isin(moved, value).all()


def test_mixed_scales_are_one_to_a_row_and_far_apart() -> None:
    factors = applied("mixed-scale rows", torch.ones(200, 50) + torch.rand(200, 1)) / (torch.ones(200, 50))
    assert (factors == factors[:, :1]).all()
    assert factors.max() / factors.min() > 32
    planes = applied("mixed-scale rows", torch.ones(4, 5, 6, 7).add_(torch.rand(())))
    assert (planes == planes[:, :, :1, :1]).all() and planes.unique().numel() == 20


def test_every_row_has_a_spike_and_few_have_many() -> None:
    value = torch.rand(500, 40) + 1
    spikes = applied("sparse spikes", value) >= 64
    assert spikes[:, -4:].any(dim=1).all() and spikes.float().mean() < 0.1


def test_ties_are_many() -> None:
    assert applied("ties", torch.randn(1000)).unique().numel() <= DISTINCT


def test_sorted_rows_start_anywhere_so_that_columns_stay_mixed() -> None:
    moved = applied("sorted", torch.rand(200, 64))
    assert (moved.diff(dim=1) < 0).sum(1).le(1).all()
    assert torch.equal(moved[0], moved[0].sort().values)
    assert moved.var(0).min() > 0.04  # of 1/12


def test_one_element_is_changed_by_much() -> None:
    value = torch.rand(30, 40)
    changed = applied("one perturbed element", value) != value
    assert changed.sum() == 1
    assert (applied("one perturbed element", value, 1) != value).nonzero().tolist() != changed.nonzero().tolist()


@pytest.mark.parametrize("family", MOVED, ids=lambda family: family.name)
def test_structure_outlives_every_family(family: Family) -> None:
    triangle, masks = torch.rand(64, 64).triu(), torch.full((64, 64), -torch.inf).triu(1)
    assert torch.equal(applied(family.name, triangle).tril(-1), triangle.tril(-1))
    assert torch.equal(applied(family.name, masks).isinf(), masks.isinf())
    square = torch.rand(64, 64)
    symmetric = applied(family.name, square + square.t())
    assert torch.equal(symmetric, symmetric.t()) or family.name == "cancellation"
    ordered = applied(family.name, torch.rand(64).sort().values)
    assert torch.equal(ordered, ordered.sort().values) or family.robust or family.name == "mixed-scale rows"


def test_views_have_other_strides_and_the_same_values() -> None:
    task = reference(lambda: [torch.randn(6, 8), torch.arange(5)])
    plain = drawn(task, 3)
    for family in VIEWS:
        for one, other in zip(plain, drawn(task, 3, family), strict=True):
            assert isinstance(one, Tensor) and isinstance(other, Tensor)
            assert torch.equal(one, other)
    assert drawn(task, 3, BY_NAME["transposed storage"])[0].stride() == (1, 6)  # type: ignore[union-attr]
    assert drawn(task, 3, BY_NAME["sliced storage"])[0].stride() == (11, 1)  # type: ignore[union-attr]


def asked(floating: bool = True, **terms: Any) -> tuple[Case, ...]:
    return cases(itertools.count(), Contract(**terms), floating=floating, weights=3)


def test_every_family_and_every_set_of_weights_is_asked() -> None:
    assert {case.family for case in asked()} == {PLAIN, ONE_CHANGED, OFFSET, *MOVED}
    assert {(case.weights, case.delivery) for case in asked()} == {
        (0, "load_state_dict"), (1, "load_state_dict"), (2, "in place"),
    }  # fmt: skip
    assert [case.weights for case in asked()[:3]] == [0, 0, 0]
    assert [case.name for case in asked(floating=False)] == ["plain", "offset storage", "plain, new weights"]


def test_each_case_has_a_seed_of_its_own_but_the_one_that_changes_an_element_of_another() -> None:
    plain, changed, *others = asked()
    assert plain.seed == changed.seed
    assert len({case.seed for case in (plain, *others)}) == len(others) + 1


def test_the_contract_says_what_binds_and_which_layouts_are_asked() -> None:
    assert {case.name for case in asked() if not case.binding} == {
        "exact small integers", "cancellation", "rows scaled up",
    }  # fmt: skip
    assert all(case.binding for case in asked(robustness="binding"))
    layouts = {case.family.layout for case in asked(layouts="any")}
    assert layouts == {"as drawn", "offset", "transposed", "sliced"}


def test_a_master_seed_gives_the_same_seeds_again_for_each_purpose() -> None:
    def first(master: bytes, purpose: str) -> list[int]:
        return list(itertools.islice(secrets(master, purpose), 5))

    assert first(b"m" * 32, "cases") == first(b"m" * 32, "cases")
    assert not set(first(b"m" * 32, "cases")) & {*first(b"m" * 32, "timing"), *first(b"n" * 32, "cases")}
    assert all(0 <= seed < 2**63 for seed in first(b"m" * 32, "cases"))


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
