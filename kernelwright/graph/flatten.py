"""A connected part of a graph, decomposed to primitive ATen by PyTorch's own decompositions.

    h = layer_norm(x, ...)  ->  mean, sub, mul, sum, rsqrt, ...

What remains is pointwise calls, reductions, broadcasts and views: what skeletons know how to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import torch
from torch import fx
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg

from kernelwright.graph.edit import clean, fake_mode

aten = torch.ops.aten

# Kept whole: every language of ours has them as one expression, and their decompositions are longer.
KEPT = (
    aten.sigmoid,
    aten.tanh,
    aten.erf,
    aten.exp,
    aten.log,
    aten.log1p,
    aten.expm1,
    aten.rsqrt,
    aten.relu,
    aten.clamp,
)

# Not in PyTorch's core table, but plain pointwise arithmetic inside.
ADDED = (
    aten._softmax, aten._log_softmax, aten.gelu, aten.leaky_relu, aten.elu, aten.hardtanh, aten.glu,
    aten.addcmul, aten.addcdiv, aten.lerp, aten.clamp_min, aten.clamp_max,
)  # fmt: skip


def _mean(x: torch.Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> torch.Tensor:
    dims = _dims(x, dim)
    return aten.div.Tensor(aten.sum.dim_IntList(x, dims, keepdim, dtype=dtype), _extent(x, dims))


def _centred_square_sum(x: torch.Tensor, dims: list[int], keepdim: bool) -> torch.Tensor:
    centred = aten.sub.Tensor(x, _mean(x, dims, True))
    return aten.sum.dim_IntList(aten.mul.Tensor(centred, centred), dims, keepdim)


def _var(x: torch.Tensor, dim: Any = None, *, correction: float | None = None, keepdim: bool = False) -> torch.Tensor:
    """Two passes over the centred values: no cancellation, unlike E[x^2] - E[x]^2 (Chan et al., 1983)."""
    dims = _dims(x, dim)
    free = _extent(x, dims) - (1 if correction is None else correction)
    return aten.div.Tensor(_centred_square_sum(x, dims, keepdim), free)


def _std(x: torch.Tensor, dim: Any = None, *, correction: float | None = None, keepdim: bool = False) -> torch.Tensor:
    return aten.sqrt.default(_var(x, dim, correction=correction, keepdim=keepdim))


def _var_mean(x: torch.Tensor, dim: Any = None, *, correction: float | None = None, keepdim: bool = False) -> Any:
    return _var(x, dim, correction=correction, keepdim=keepdim), _mean(x, dim, keepdim)


def _native_layer_norm(x: torch.Tensor, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    dims = list(range(x.dim() - len(shape), x.dim()))
    mean = _mean(x, dims, True)
    centred = aten.sub.Tensor(x, mean)
    variance = _mean(aten.mul.Tensor(centred, centred), dims, True)
    scale = aten.rsqrt.default(aten.add.Scalar(variance, eps))
    return _affine(aten.mul.Tensor(centred, scale), weight, bias), mean, scale


def _rms_norm(x: torch.Tensor, shape: Any, weight: Any = None, eps: float | None = None) -> torch.Tensor:
    dims = list(range(x.dim() - len(shape), x.dim()))
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    scale = aten.rsqrt.default(aten.add.Scalar(_mean(aten.mul.Tensor(x, x), dims, True), eps))
    return _affine(aten.mul.Tensor(x, scale), weight, None)


def _affine(x: torch.Tensor, weight: Any, bias: Any) -> torch.Tensor:
    x = x if weight is None else aten.mul.Tensor(x, weight)
    return x if bias is None else aten.add.Tensor(x, bias)


def _batch_norm(x: torch.Tensor, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float) -> Any:
    """Evaluation mode. The two saved statistics are empty, as PyTorch's are."""
    shape = [1, x.shape[1], *[1] * (x.dim() - 2)]
    wide = [None if part is None else aten.view.default(part, shape) for part in (mean, var, weight, bias)]
    scale = aten.rsqrt.default(aten.add.Scalar(wide[1], eps))
    normal = aten.mul.Tensor(aten.sub.Tensor(x, wide[0]), scale)
    return _affine(normal, wide[2], wide[3]), x.new_empty(0), x.new_empty(0)


def _vector_norm(x: torch.Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    if ord == 1:
        return aten.sum.dim_IntList(aten.abs.default(x), _dims(x, dim), keepdim, dtype=dtype)
    if ord == 2:
        return aten.sqrt.default(aten.sum.dim_IntList(aten.mul.Tensor(x, x), _dims(x, dim), keepdim, dtype=dtype))
    return NotImplemented


def _dims(x: torch.Tensor, dim: Any) -> list[int]:
    if dim is None or dim == []:
        return list(range(x.dim()))
    return [d % x.dim() for d in ([dim] if isinstance(dim, int) else dim)]


def _extent(x: torch.Tensor, dims: list[int]) -> int:
    return prod(x.shape[d] for d in dims)


# PyTorch's own rules for these end in prims or in one-pass formulas; skeletons want sums and centred squares.
RULES: dict[Any, Any] = {
    aten.mean.default: _mean, aten.mean.dim: _mean, aten.var.correction: _var, aten.std.correction: _std,
    aten.var_mean.correction: _var_mean, aten.native_layer_norm.default: _native_layer_norm,
    aten._native_batch_norm_legit_no_training.default: _batch_norm, aten.rms_norm.default: _rms_norm,
    aten.linalg_vector_norm.default: _vector_norm,
    aten.sum.default: lambda x, *, dtype=None: aten.sum.dim_IntList(x, _dims(x, None), False, dtype=dtype),
}  # fmt: skip


def flatten(nodes: Sequence[fx.Node], outputs: Sequence[fx.Node]) -> fx.GraphModule:
    """The flat graph of `nodes`: one placeholder for each value read from outside, in order of first use and under
    its node's name; the output is the tuple of `outputs`. Raises what PyTorch raises for an op it cannot decompose.
    """
    inside = set(nodes)
    inputs = region_inputs(nodes)

    def run(*values: torch.Tensor) -> tuple[Any, ...]:
        known: dict[fx.Node, Any] = dict(zip(inputs, values, strict=True))
        for node in nodes:
            args, kwargs = map_arg((node.args, node.kwargs), lambda n: known[n])
            known[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        return tuple(known[node] for node in outputs)

    assert all(node in inside for node in outputs), "an output of a region is one of its nodes"
    vals = [node.meta["val"] for node in inputs]
    with fake_mode(nodes[0].graph), torch.no_grad():
        flat = make_fx(run, decomposition_table=_table())(*vals)
    for placeholder, node in zip([n for n in flat.graph.nodes if n.op == "placeholder"], inputs, strict=True):
        placeholder.name = placeholder.target = node.name
    for node in list(flat.graph.nodes):
        _make_functional(node)
    return clean(flat)


def region_inputs(nodes: Sequence[fx.Node]) -> list[fx.Node]:
    """What the nodes read from outside, in order of first use."""
    inside = set(nodes)
    reads = (source for node in nodes for source in node.all_input_nodes)
    return list(dict.fromkeys(source for source in reads if source not in inside))


def region_outputs(nodes: Sequence[fx.Node]) -> list[fx.Node]:
    """Which of the nodes are read from outside."""
    inside = set(nodes)
    return [node for node in nodes if any(user not in inside for user in node.users)]


def _make_functional(node: fx.Node) -> None:
    """PyTorch's rules write in place into what they have just made: h.add_(1) -> h + 1, read by all that follows."""
    if not (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable):
        return
    changed = node.args[0]
    if node.target is aten.copy_.default:
        new = node.args[1]
    else:
        packet = getattr(aten, node.target._schema.name.removeprefix("aten::").removesuffix("_"))
        node.target = getattr(packet, node.target._overloadname)
        new = node
    assert isinstance(changed, fx.Node) and isinstance(new, fx.Node), f"{node.name} writes into no node"
    changed.replace_all_uses_with(new, delete_user_cb=lambda user: user is not node and user > node)
    if new is not node:
        node.replace_all_uses_with(new)
        node.graph.erase_node(node)


@cache
def _table() -> dict[Any, Any]:
    table = {**core_aten_decompositions(), **get_decompositions(ADDED), **RULES}
    kept = set(KEPT)
    return {op: rule for op, rule in table.items() if getattr(op, "overloadpacket", op) not in kept}
