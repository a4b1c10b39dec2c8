"""What tests of tricks share: capture a module, rewrite it, run both graphs on the same numbers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from kernelwright.capture.export import program
from kernelwright.graph.edit import is_call
from kernelwright.graph.query import outputs, owner
from kernelwright.tricks.trick import IllegalTrick, Trick

aten = torch.ops.aten

TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-4}


class Formula(nn.Module):
    """A module whose forward is a function of the module and its inputs."""

    def __init__(self, formula: Callable[..., object], **parts: nn.Module | torch.Tensor) -> None:
        super().__init__()
        self.formula = formula
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.formula(self, *inputs)


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """No default that makes an affine an identity."""
    draw = torch.Generator().manual_seed(seed)
    for name, part in model.state_dict().items():
        if part.is_floating_point():
            part.copy_(torch.rand(part.shape, generator=draw) * 0.8 + (0.3 if name.endswith("running_var") else -0.4))
    return model


def random_inputs(*sizes: tuple[int, ...], seed: int = 1) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(size, generator=draw) for size in sizes)


def captured(
    formula: Callable[..., object], *sizes: tuple[int, ...], **parts: nn.Module | torch.Tensor
) -> fx.GraphModule:
    return program(randomized(Formula(formula, **parts)), random_inputs(*sizes))


def captured_together(
    formulas: Sequence[Callable[..., object]], *sizes: tuple[int, ...], **parts: nn.Module | torch.Tensor
) -> fx.GraphModule:
    """One module that returns what each formula returns: capturing is what takes time here."""

    def together(module: nn.Module, *inputs: torch.Tensor) -> object:
        return tuple(tree_leaves([formula(module, *inputs) for formula in formulas]))

    return captured(together, *sizes, **parts)


def calls(graph: fx.GraphModule, *targets: object) -> list[fx.Node]:
    """The calls of these operators, or of any overload of these packets; all calls where none is named."""
    found = [node for node in graph.graph.nodes if node.op == "call_function"]
    return [node for node in found if not targets or is_call(node, *targets)]


def at_each_site(trick: Trick, graph: fx.GraphModule, *inputs: torch.Tensor) -> list[fx.GraphModule]:
    """The graph rewritten at each site, each checked against the original; at every other call the trick refuses."""
    sites = trick.sites(graph)
    assert sites == trick.sites(graph)
    for node in calls(graph):
        if node.name not in sites:
            with pytest.raises(IllegalTrick, match=trick.name):
                trick.apply(graph, node.name)
    rewritten = [trick.apply(graph, site) for site in sites]
    for new in rewritten:
        assert_same(graph, new, *inputs)
    return rewritten


def everywhere(trick: Trick, graph: fx.GraphModule, *inputs: torch.Tensor, limit: int = 50) -> fx.GraphModule:
    """The graph rewritten until no site is left, checked at each step."""
    for _ in range(limit):
        sites = trick.sites(graph)
        if not sites:
            return graph
        new = trick.apply(graph, sites[0])
        assert_same(graph, new, *inputs)
        graph = new
    raise AssertionError(f"{trick.name} does not end: {trick.sites(graph)}")


def graph_node(graph: fx.GraphModule, name: str) -> fx.Node:
    return next(node for node in graph.graph.nodes if node.name == name)


def never(trick: Trick, graph: fx.GraphModule) -> None:
    assert [graph_node(graph, site).format_node() for site in trick.sites(graph)] == []
    for node in calls(graph):
        with pytest.raises(IllegalTrick):
            trick.apply(graph, node.name)


def assert_same(graph: fx.GraphModule, new: fx.GraphModule, *inputs: torch.Tensor) -> None:
    """Equal values, in double closely and in float loosely; equal buffers afterwards; true metadata; no new sharing."""
    assert_true_metadata(graph, new, inputs)
    for dtype in _precisions(new):
        given = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
        expected, old_state = run(graph, given, dtype)
        seen, new_state = run(new, given, dtype)
        for one, other in zip(expected, seen, strict=True):
            assert_close(one, other, dtype)
        for name in old_state.keys() & new_state.keys():
            assert_close(old_state[name], new_state[name], dtype)


def _precisions(graph: fx.GraphModule) -> tuple[torch.dtype, ...]:
    """oneDNN's operators know no double."""
    named = any(getattr(node.target, "namespace", "") == "mkldnn" for node in graph.graph.nodes)
    return (torch.float32,) if named else (torch.float64, torch.float32)


def assert_close(expected: torch.Tensor, seen: torch.Tensor, dtype: torch.dtype) -> None:
    assert (expected.shape, expected.dtype) == (seen.shape, seen.dtype)
    torch.testing.assert_close(seen, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], equal_nan=True)


def run(
    graph: fx.GraphModule, inputs: list[torch.Tensor], dtype: torch.dtype
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """What a graph returns in this precision, and its parameters and buffers afterwards."""
    module = copy.deepcopy(graph).to(dtype)
    for node in module.graph.nodes:
        if node.kwargs.get("dtype") is torch.float32:
            node.kwargs = {**node.kwargs, "dtype": dtype}
    module.recompile()
    torch.set_default_dtype(dtype)
    try:
        with torch.no_grad():
            returned = module(*inputs)
    finally:
        torch.set_default_dtype(torch.float32)
    flat = [returned] if isinstance(returned, torch.Tensor) else list(returned)
    return flat, dict(module.state_dict())


class Recorder(fx.Interpreter):
    """Runs a graph and compares each value with what its meta says."""

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if n.op != "output" and isinstance(result, torch.Tensor):
            val = n.meta["val"]
            assert (result.shape, result.dtype) == (val.shape, val.dtype), n.name
            for size, mine, theirs in zip(result.shape, result.stride(), val.stride(), strict=True):
                assert size == 1 or mine == theirs, f"{n.name}: strides {result.stride()}, meta says {val.stride()}"
        return result


def assert_true_metadata(graph: fx.GraphModule, new: fx.GraphModule, inputs: tuple[torch.Tensor, ...]) -> None:
    new.graph.lint()
    with torch.no_grad():
        Recorder(copy.deepcopy(new)).run(*inputs)
    for old, mine in zip(outputs(graph.graph), outputs(new.graph), strict=True):
        val, wanted = mine.meta["val"], old.meta["val"]
        assert (val.shape, val.dtype) == (wanted.shape, wanted.dtype)
        if _is_dense(wanted):
            assert _strides(val) == _strides(wanted)
        assert owner(mine).op == "call_function" or owner(mine).name == owner(old).name, (
            "an output became a view of an input"
        )
    owners = [owner(node) for node in outputs(new.graph)]
    assert len(set(owners)) >= len({owner(node) for node in outputs(graph.graph)})


def _strides(val: torch.Tensor) -> list[int]:
    return [stride for size, stride in zip(val.shape, val.stride(), strict=True) if size != 1]


def _is_dense(val: torch.Tensor) -> bool:
    reach = 1 + sum((size - 1) * stride for size, stride in zip(val.shape, val.stride(), strict=True))
    return reach == math.prod(val.shape)
