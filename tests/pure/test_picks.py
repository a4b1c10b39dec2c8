"""Outputs that are positions: which operator chose them is seen, and ties may be broken either way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kernelwright.judge.picks import Pick, Picks

X = torch.tensor([[1.0, 5.0, 5.0, 0.0], [2.0, 2.0, 2.0, 1.0]])


def pick_of(compute: Callable[[Tensor], Tensor], x: Tensor = X) -> Pick | None:
    with Picks() as watch:
        output = compute(x)
    return watch.of([output]).get(0)


SEEN: dict[str, Callable[[Tensor], Tensor]] = {
    "argmax": lambda x: x.argmax(-1),
    "argmin, dimension kept": lambda x: x.argmin(0, keepdim=True),
    "max": lambda x: x.max(1).indices,
    "topk": lambda x: x.topk(2, 0).indices,
    "sort": lambda x: x.sort(-1).indices,
    "argsort": lambda x: x.argsort(1),
    "after other work": lambda x: (x * 2).exp().argmax(1),
}
UNSEEN: dict[str, Callable[[Tensor], Tensor]] = {
    "changed afterwards": lambda x: x.argmax(-1).add_(1),
    "another tensor": lambda x: x.argmax(-1) + 0,
    "over everything": lambda x: x.argmax(),
    "a stable sort": lambda x: x.sort(dim=1, stable=True).indices,
    "the values": lambda x: x.max(1).values,
    "a comparison": lambda x: x > 1,
}


@pytest.mark.parametrize("name", SEEN)
def test_where_positions_point_is_seen(name: str) -> None:
    pick = pick_of(SEEN[name])
    assert pick and pick.source.shape == X.shape


@pytest.mark.parametrize("name", UNSEEN)
def test_what_is_no_operators_choice_stays_exact(name: str) -> None:
    assert pick_of(UNSEEN[name]) is None


def settled(compute: Callable[[Tensor], Tensor], got: list[object]) -> bool:
    """Whether these positions are as good as the oracle's."""
    pick, wanted = pick_of(compute), compute(X)
    assert pick
    return torch.equal(pick.settled(torch.tensor(got), wanted, 1e-6), wanted)


def test_any_of_the_tied_positions_is_right() -> None:
    assert settled(lambda x: x.argmax(-1), [2, 1])
    assert settled(lambda x: x.argmax(-1, keepdim=True), [[1], [2]])
    assert not settled(lambda x: x.argmax(-1), [0, 1])
    assert not settled(lambda x: x.argmax(-1), [2, 3])


@pytest.mark.parametrize("position", [-1, 4, 2**40])
def test_a_position_that_there_is_not_is_wrong(position: int) -> None:
    assert not settled(lambda x: x.argmax(-1), [position, 0])


def test_a_sort_names_every_position_once() -> None:
    assert settled(lambda x: x.sort(-1).indices, [[3, 0, 2, 1], [3, 2, 0, 1]])
    assert not settled(lambda x: x.sort(-1).indices, [[3, 0, 1, 1], [3, 0, 1, 2]])
    assert not settled(lambda x: x.sort(-1).indices, [[0, 3, 1, 2], [3, 0, 1, 2]])


def test_values_tie_within_rounding_only() -> None:
    x = torch.tensor([[1.0, 1.0 + 2e-7, 1.1]]).double()
    pick = pick_of(lambda value: value.argmin(1), x)
    assert pick
    wanted = torch.tensor([0])
    assert torch.equal(pick.settled(torch.tensor([1]), wanted, 1e-6), wanted)
    assert not torch.equal(pick.settled(torch.tensor([2]), wanted, 1e-6), wanted)


def test_infinities_do_not_make_everything_tie() -> None:
    x = torch.tensor([[torch.inf, 3.0, 4.0]])
    pick = pick_of(lambda value: value.argmin(1), x)
    assert pick
    assert not torch.equal(pick.settled(torch.tensor([2]), torch.tensor([1]), 1e-6), torch.tensor([1]))
