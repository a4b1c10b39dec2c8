"""Open recurrent cells into linear layers and pointwise gates.

    lstm_cell(x, (h, c), V, W, a, b)  ->  g = linear(x, V, a) + linear(h, W, b), in four parts
                                          c' = sigmoid(g1) * c + sigmoid(g0) * tanh(g2)
                                          h' = sigmoid(g3) * tanh(c')
    gru_cell(x, h, V, W, a, b)        ->  likewise, with reset and update gates
    rnn_tanh_cell, rnn_relu_cell      ->  tanh, relu of the sum

Legal: always. All cells of one weight are opened together: a loop is wanted open or whole.
Faster: the gates become one kernel, and the input projections of all steps one product (merge_steps).
Accuracy: the formulas that PyTorch itself computes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import fx

from kernelwright.graph.edit import call, is_call, shape, take_over
from kernelwright.graph.query import arguments
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

CELLS = (aten.lstm_cell.default, aten.gru_cell.default, aten.rnn_tanh_cell.default, aten.rnn_relu_cell.default)


def _refusal(node: fx.Node) -> str:
    if not is_call(node, *CELLS):
        return "no recurrent cell"
    if len(shape(node.args[0])) != 2:  # type: ignore[arg-type]
        return "has no batch dimension"
    first = _cells(node)[0]
    return "" if first is node else f"opened with {first.name}"


def _cells(node: fx.Node) -> list[fx.Node]:
    """The cells of the same weights, in graph order."""
    weight = arguments(node)["w_hh"]
    return sorted(user for user in weight.users if is_call(user, node.target))


def _rewrite(node: fx.Node) -> None:
    for cell in _cells(node):
        _open(cell)


def _open(cell: fx.Node) -> None:
    given = arguments(cell)
    if is_call(cell, aten.lstm_cell.default):
        _open_lstm(cell, *given["hx"])
        return
    of_input, of_state = _projections(cell, given["hx"])
    if is_call(cell, aten.gru_cell.default):
        take_over(cell, _gru(cell, given["hx"], of_input, of_state))
    else:
        function = aten.tanh.default if is_call(cell, aten.rnn_tanh_cell.default) else aten.relu.default
        take_over(cell, call(cell, function, call(cell, aten.add.Tensor, of_input, of_state)))


def _projections(cell: fx.Node, state: fx.Node) -> tuple[fx.Node, fx.Node]:
    given = arguments(cell)
    inputs, states = (given["input"], given["w_ih"], given["b_ih"]), (state, given["w_hh"], given["b_hh"])
    of_input = call(cell, aten.linear.default, *inputs, name=f"{cell.name}_of_input")
    return of_input, call(cell, aten.linear.default, *states, name=f"{cell.name}_of_state")


def _parts(before: fx.Node, gates: fx.Node, count: int) -> list[fx.Node]:
    width = shape(gates)[1] // count
    return [call(before, aten.slice.Tensor, gates, 1, at * width, (at + 1) * width) for at in range(count)]


def _open_lstm(cell: fx.Node, state: fx.Node, memory: fx.Node) -> None:
    of: Callable[..., fx.Node] = lambda target, *args: call(cell, target, *args)  # noqa: E731
    gates = of(aten.add.Tensor, *_projections(cell, state))
    enter, forget, new, leave = _parts(cell, gates, 4)
    kept = of(aten.mul.Tensor, of(aten.sigmoid.default, forget), memory)
    added = of(aten.mul.Tensor, of(aten.sigmoid.default, enter), of(aten.tanh.default, new))
    memory = of(aten.add.Tensor, kept, added)
    state = of(aten.mul.Tensor, of(aten.sigmoid.default, leave), of(aten.tanh.default, memory))
    for user in list(cell.users):
        assert user.target is operator.getitem, f"{user.name} reads the pair of {cell.name} whole"
        take_over(user, memory if user.args[1] == 1 else state)
    cell.graph.erase_node(cell)


def _gru(cell: fx.Node, state: fx.Node, of_input: fx.Node, of_state: fx.Node) -> fx.Node:
    of: Callable[..., fx.Node] = lambda target, *args: call(cell, target, *args)  # noqa: E731
    (reset, update, new), (old_reset, old_update, old) = _parts(cell, of_input, 3), _parts(cell, of_state, 3)
    reset = of(aten.sigmoid.default, of(aten.add.Tensor, reset, old_reset))
    update = of(aten.sigmoid.default, of(aten.add.Tensor, update, old_update))
    new = of(aten.tanh.default, of(aten.add.Tensor, new, of(aten.mul.Tensor, reset, old)))
    return of(aten.add.Tensor, of(aten.mul.Tensor, of(aten.sub.Tensor, state, new), update), new)


open_cell = Trick("open_cell", _refusal, _rewrite, sure=False)
