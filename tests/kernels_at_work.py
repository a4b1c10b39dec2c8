"""Kernels written, built, run and held against the same graph in float64, for the tests of every skeleton."""

from __future__ import annotations

import atexit
import copy
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from kernelwright.capture.export import program
from kernelwright.core.spec import Target
from kernelwright.kernels.kernel import Kernel, Parameters
from kernelwright.kernels.region import Region, region
from kernelwright.kernels.skeleton import Skeleton
from kernelwright.runtime import configure, cpp

CACHE = Path(tempfile.mkdtemp(prefix="kernelwright-tests-"))
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)

CPU = Target("cpu", "avx512", "a machine", (), 2)

Tensors = Sequence[torch.Tensor]


class Wrapped(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def module(of: Callable[..., Any]) -> nn.Module:
    return of if isinstance(of, nn.Module) else Wrapped(of)


def calls(graph: fx.GraphModule) -> list[fx.Node]:
    return [node for node in graph.graph.nodes if node.op == "call_function"]


def whole(skeleton: Skeleton, of: Callable[..., Any], inputs: Tensors) -> tuple[fx.GraphModule, Region]:
    """The captured graph, and all of it as one region."""
    graph = program(module(of), list(inputs))
    return graph, region(skeleton.NAME, calls(graph))


def written(
    skeleton: Skeleton, of: Callable[..., Any], inputs: Tensors, parameters: Parameters | None = None
) -> Kernel:
    _, here = whole(skeleton, of, inputs)
    chosen = skeleton.parameters(here, CPU)[0] if parameters is None else parameters
    return skeleton.write(here, chosen, "cpp", "kernel")


def built(kernel: Kernel) -> Callable[..., None]:
    configure(cache=CACHE)
    return getattr(cpp("\n".join([*kernel.headers, kernel.source])), kernel.name)


def given(graph: fx.GraphModule, inputs: Tensors) -> dict[str, torch.Tensor]:
    """The tensors of a graph's inputs and parameters, by the name of their node."""
    placeholders = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
    state = {n.name: _attribute(graph, str(n.target)) for n in graph.graph.nodes if n.op == "get_attr"}
    return {**dict(zip(placeholders, inputs, strict=True)), **state}


def run(kernel: Kernel, call: Callable[..., None], tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The outputs by name. Memory is NaN before, so that an element that nobody wrote shows."""
    memory: list[torch.Tensor] = []
    outputs: dict[str, torch.Tensor] = {}
    for argument in kernel.arguments:
        if argument.role == "input":
            tensor = tensors[argument.name]
            assert (tuple(tensor.shape), tensor.stride()) == (argument.spec.shape, argument.spec.strides)
        else:
            dtype = getattr(torch, argument.spec.dtype)
            tensor = torch.empty_strided(argument.spec.shape, argument.spec.strides, dtype=dtype)
            tensor.fill_(math.nan if dtype.is_floating_point else 1)
            if argument.role == "output":
                outputs[argument.name] = tensor
        memory.append(tensor)
    call(*memory)
    return outputs


def check(skeleton: Skeleton, of: Callable[..., Any], *inputs: torch.Tensor, parameters: Parameters | None = None,
          length: int = 1) -> Kernel:  # fmt: skip
    """The kernel's outputs are those of float64 within the judge's rule; `length` is that of its longest sum."""
    graph, here = whole(skeleton, of, inputs)
    chosen = skeleton.parameters(here, CPU)[0] if parameters is None else parameters
    return _check(skeleton, graph, here, chosen, given(graph, inputs), oracle(of, inputs), length)


def check_all(skeleton: Skeleton, of: Callable[..., Any], *inputs: torch.Tensor, length: int = 1) -> None:
    """As `check`, with every choice of parameters."""
    graph, here = whole(skeleton, of, inputs)
    right = oracle(of, inputs)
    for parameters in skeleton.parameters(here, CPU):
        _check(skeleton, graph, here, parameters, given(graph, inputs), right, length)


def _check(skeleton: Skeleton, graph: fx.GraphModule, here: Region, parameters: Parameters,
           tensors: dict[str, torch.Tensor], right: tuple[Tensors, Tensors], length: int) -> Kernel:  # fmt: skip
    kernel = skeleton.write(here, parameters, "cpp", "kernel")
    found = run(kernel, built(kernel), tensors)
    for name, exact, eager in zip(returned(graph), *right, strict=True):
        assert_close(found[name], exact, eager, length)
    return kernel


def oracle(of: Callable[..., Any], inputs: Tensors) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The outputs in float64, and as eager gives them."""
    with torch.no_grad():
        wide = [tensor.double() if tensor.is_floating_point() else tensor for tensor in inputs]
        exact = copy.deepcopy(module(of)).double()(*wide)
        return list(_each(exact)), list(_each(module(of)(*inputs)))


def returned(graph: fx.GraphModule) -> list[str]:
    output = next(node for node in graph.graph.nodes if node.op == "output")
    return [node.name for node in _each(output.args[0])]


def assert_close(found: torch.Tensor, exact: torch.Tensor, eager: torch.Tensor, length: int) -> None:
    """Error by row over the row's largest magnitude: within 4 x eager's own, or 2 eps + 8 eps sqrt(length)."""
    assert found.dtype == eager.dtype
    assert found.shape == eager.shape
    if not found.is_floating_point():
        assert torch.equal(found, exact.to(found.dtype))
        return
    narrow = exact.float()
    finite = narrow.isfinite()
    assert torch.equal(found.isnan(), narrow.isnan())
    assert torch.equal(found[~finite & ~narrow.isnan()], narrow[~finite & ~narrow.isnan()])
    assert torch.equal(found.isfinite(), finite)
    floor = torch.finfo(torch.float32).eps * (2 + 8 * math.sqrt(length))
    allowed = (4 * _row_error(eager, exact, finite)).clamp_min(floor)
    error = _row_error(found, exact, finite)
    assert bool((error <= allowed).all()), f"error {error.max():.2g} in a row, allowed {allowed[error.argmax()]:.2g}"


def _row_error(found: torch.Tensor, exact: torch.Tensor, finite: torch.Tensor) -> torch.Tensor:
    rows = (1, 1) if exact.dim() == 0 else (-1, exact.shape[-1])
    exact = exact.double().masked_fill(~finite, 0).reshape(rows)
    difference = (found.double().masked_fill(~finite, 0).reshape(rows) - exact).abs().amax(-1)
    return difference / exact.abs().amax(-1).clamp_min(1e-30)


def _each(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, (tuple, list)) else (value,)


def _attribute(graph: fx.GraphModule, target: str) -> torch.Tensor:
    found: Any = graph
    for part in target.split("."):
        found = getattr(found, part)
    return found.detach()
