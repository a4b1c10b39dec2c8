"""Linear layers merged, recurrent cells opened."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from kernelwright.tricks.merge_linears import merge_linears
from kernelwright.tricks.merge_steps import merge_steps
from kernelwright.tricks.open_cell import open_cell
from tests.pure.rewriting import at_each_site, calls, captured, captured_together, everywhere, never, random_inputs

aten = torch.ops.aten


def test_layers_that_read_the_same_input_become_one() -> None:
    parts = {"q": nn.Linear(6, 4), "k": nn.Linear(6, 4, bias=False), "v": nn.Linear(6, 5)}
    graph = captured(lambda m, x: (m.q(x) @ m.k(x).mT, m.v(x)), (2, 7, 6), **parts)
    (new,) = at_each_site(merge_linears, graph, *random_inputs((2, 7, 6)))
    (merged,) = calls(new, aten.linear)
    assert merged.name == "q_k_v"
    assert {"q", "k", "v"} <= {node.name for node in calls(new)}
    assert merge_linears.sites(new) == ()


def test_the_same_layers_in_every_step_of_a_loop_are_merged_together() -> None:
    def loop(module: Any, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            x = torch.sigmoid(module.gate(x)) * torch.tanh(module.new(x))
        return x

    graph = captured(loop, (9, 6), gate=nn.Linear(6, 6), new=nn.Linear(6, 6))
    (new,) = at_each_site(merge_linears, graph, *random_inputs((9, 6)))
    assert len(calls(new, aten.linear)) == 3
    assert len(calls(new, aten.cat)) == 2


def test_weights_made_after_the_first_layer_move_before_it() -> None:
    graph = captured(
        lambda m, x: torch.relu(m.q(x)) + nn.functional.linear(x, m.q.weight * 2 + 1), (9, 6), q=nn.Linear(6, 4)
    )
    (new,) = at_each_site(merge_linears, graph, *random_inputs((9, 6)))
    assert len(calls(new, aten.linear)) == 1


def test_layers_stay_apart_where_merging_is_wrong_or_useless() -> None:
    formulas = [
        lambda m, x: m.q(x) + m.q(x + 1),
        lambda m, x: (x @ m.q.weight.T, nn.functional.linear(x * 3, x[:6] @ x[:6].T)),
        lambda m, x: (m.wide(x.T), m.wide(x.T + 0)),
        lambda m, x: ((y := x[:2]) @ y.T, m.small(y), m.k(y)),
        lambda m, x: (m.q(z := x * 2), nn.functional.linear(z, x[:3])),
    ]
    parts = {"q": nn.Linear(6, 4), "k": nn.Linear(6, 4), "wide": nn.Linear(9, 2), "small": nn.Linear(6, 4)}
    never(merge_linears, captured_together(formulas, (9, 6), **parts))


def _steps(module: Any, x: torch.Tensor) -> torch.Tensor:
    state = torch.zeros(x.shape[0], 4)
    for step in range(x.shape[1]):
        state = torch.tanh(module.inner(x[:, step]) + module.outer(state))
    return state


def test_the_input_projections_of_a_loop_become_one_layer() -> None:
    graph = captured(_steps, (3, 5, 6), inner=nn.Linear(6, 4), outer=nn.Linear(4, 4))
    (new,) = at_each_site(merge_steps, graph, *random_inputs((3, 5, 6)))
    assert len(calls(graph, aten.linear)) - len(calls(new, aten.linear)) == 4
    assert merge_steps.sites(new) == ()


def test_steps_taken_by_iteration_and_by_slices_become_one_layer() -> None:
    formulas = [
        lambda m, x: torch.stack([m.one(step) for step in x]),
        lambda m, x: torch.cat([m.two(part) for part in x.split(2, 1)], 1),
        lambda m, x: m.three(x[:, ::2]).sum() + m.three(x[:, 1::2]).sum(),
    ]
    graph = captured_together(formulas, (3, 5, 6), one=nn.Linear(6, 4), two=nn.Linear(6, 4), three=nn.Linear(6, 4))
    assert len(at_each_site(merge_steps, graph, *random_inputs((3, 5, 6)))) == 3


def test_steps_stay_apart_where_merging_is_wrong_or_useless() -> None:
    formulas = [
        lambda m, x: m.one(x[:, 0]) + m.one(x[:, 1]),
        lambda m, x: m.two(x[0, 0]) + m.two(x[0, 1, None])[0],
        lambda m, x: m.three(x[..., :2]) + m.three(x[..., 2:4]) + m.three(x[..., 4:]),
        lambda m, x: m.four(x[:, 0]) + nn.functional.linear(x[:, 1], m.four.weight),
        lambda m, x: m.five(x[0]) + m.five(x[:, 0][:1]),
    ]
    parts = {
        "one": nn.Linear(6, 4),
        "two": nn.Linear(6, 4),
        "three": nn.Linear(2, 4),
        "four": nn.Linear(6, 4),
        "five": nn.Linear(6, 4),
    }
    never(merge_steps, captured_together(formulas, (5, 5, 6), **parts))


@pytest.mark.parametrize(
    "cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell, lambda *sizes: nn.RNNCell(*sizes, nonlinearity="relu")]
)
@pytest.mark.parametrize("bias", [True, False])
def test_cells_of_one_weight_open_together(cell, bias: bool) -> None:
    def loop(module: Any, x: torch.Tensor) -> object:
        state = None
        for step in range(x.shape[1]):
            state = module.cell(x[:, step], state)
        return state

    made = cell(6, 4) if bias else (cell(6, 4, False) if isinstance(cell, type) else cell(6, 4))
    graph = captured(loop, (3, 4, 6), cell=made)
    (new,) = at_each_site(open_cell, graph, *random_inputs((3, 4, 6)))
    assert len(calls(new, aten.linear)) == 8
    merged = everywhere(merge_steps, new, *random_inputs((3, 4, 6)))
    assert len(calls(merged, aten.linear)) == 5


def test_only_cells_are_opened() -> None:
    never(open_cell, captured(lambda m, x: m.lstm(x)[0] + 1, (3, 4, 6), lstm=nn.LSTM(6, 4, batch_first=True)))


def test_a_loop_of_cells_with_two_outputs_keeps_both() -> None:
    graph = captured(lambda m, x: m.cell(x), (3, 6), cell=nn.LSTMCell(6, 4))
    at_each_site(open_cell, graph, *random_inputs((3, 6)))
