"""The functions that oneDNN's kernels can apply to what they have just computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx

from kernelwright.graph.edit import is_call
from kernelwright.graph.query import arguments

aten = torch.ops.aten

# Those that let NaN through: oneDNN's relu, hardtanh and hardsigmoid do not.
PLAIN = {aten.sigmoid: "sigmoid", aten.tanh: "tanh", aten.silu: "swish", aten.hardswish: "hardswish"}


@dataclass(frozen=True, slots=True)
class Tail:
    """The call whose result comes out, and how oneDNN knows the function that it is."""

    node: fx.Node
    name: str = "none"
    numbers: tuple[float, ...] = ()
    algorithm: str = ""


def has_onednn(operator: str) -> bool:
    """Whether this PyTorch was built with oneDNN, for a processor that oneDNN serves, and has this operator."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, operator)


def tail_of(node: fx.Node) -> Tail:
    """The function that alone reads a node's result, where oneDNN can apply it; else the node itself."""
    (reader, *others) = node.users or [node]
    if others or reader.args[:1] != (node,):
        return Tail(node)
    return _function(reader) or Tail(node)


def _function(reader: fx.Node) -> Tail | None:
    for function, name in PLAIN.items():
        if is_call(reader, function.default):
            return Tail(reader, name)
    if is_call(reader, aten.gelu.default):
        return Tail(reader, "gelu", algorithm=arguments(reader)["approximate"])
    if is_call(reader, aten.leaky_relu.default):
        return Tail(reader, "leaky_relu", (arguments(reader)["negative_slope"],))
    return None
