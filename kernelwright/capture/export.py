"""A module's canonical graph, by torch.export.

Functional ATen calls, undecomposed; `get_attr` for parameters, buffers and constants by their name in the module;
buffer writes as `aten.copy_` calls just before the output; every node's `meta["val"]` a FakeTensor of static shape.
"""

from __future__ import annotations

import inspect
import io
import logging
import operator
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx.node import map_arg
from torch.utils._pytree import tree_unflatten

from kernelwright.capture.source import Input
from kernelwright.core.errors import CaptureError, blame
from kernelwright.graph.edit import clean
from kernelwright.graph.names import identifier

LITERAL_LIMIT = 64  # elements of a constant that may stand in the text of a kernel


def program(model: nn.Module, inputs: Sequence[Input]) -> fx.GraphModule:
    """The canonical graph of `model(*inputs)` without gradients.

    Raises CaptureError that names the op or the graph break.
    """
    exported = _export(model, inputs)
    graph = fx.Graph()
    nodes: dict[fx.Node, Any] = {}
    names = _module_names(exported.graph)
    writes = {spec.arg.name: spec.target for spec in exported.graph_signature.output_specs
              if spec.kind == OutputKind.BUFFER_MUTATION}  # fmt: skip
    _refuse_other_effects(exported)
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            nodes[node] = _enter(graph, node, exported, model)
        elif node.target is torch.ops.aten._assert_tensor_metadata.default:
            continue  # holds by construction: every shape and dtype is static
        elif node.op == "call_function":
            _refuse_foreign(node)
            name = identifier(str(names.get(node, node.name)))
            nodes[node] = _with_meta(
                graph.create_node("call_function", node.target, *_mapped(node, nodes), name=name), node
            )
        elif node.op == "get_attr":
            raise CaptureError(f"{node.target}: control flow over tensors cannot be captured")
        else:
            _leave(graph, node, exported, nodes, writes, model)
    return clean(fx.GraphModule(model, graph))


def input_names(model: nn.Module, count: int) -> list[str]:
    """What forward calls its inputs; those that it takes as *args are numbered."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = [p.name for p in inspect.signature(model.forward).parameters.values() if p.kind in kinds]
    return [known[position] if position < len(known) else f"input_{position}" for position in range(count)]


def _export(model: nn.Module, inputs: Sequence[Input]) -> ExportedProgram:
    inputs = _separate(inputs)
    refusal = blame(CaptureError, f"torch.export cannot capture {type(model).__name__}")
    with warnings.catch_warnings(), torch.no_grad(), _quiet(), refusal:
        warnings.simplefilter("ignore")
        return torch.export.export(model, tuple(inputs), strict=False).run_decompositions({})


def _separate(inputs: Sequence[Input]) -> list[Input]:
    """The same tensor given twice is two inputs: torch.export would make one of them, right for equal tensors only."""
    seen: list[Input] = []
    for value in inputs:
        again = isinstance(value, torch.Tensor) and any(value is other for other in seen)
        seen.append(value.clone() if again and isinstance(value, torch.Tensor) else value)
    return seen


@contextmanager
def _quiet() -> Iterator[None]:
    """torch prints whole graphs when it refuses one; our error says it in a line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _enter(graph: fx.Graph, node: fx.Node, exported: ExportedProgram, model: nn.Module) -> Any:
    """The canonical node of one exported placeholder: an input, a state tensor, a literal, or a plain number."""
    spec = next(s for s in exported.graph_signature.input_specs if s.arg.name == node.name)
    val = node.meta["val"]
    if spec.kind == InputKind.USER_INPUT:
        if not isinstance(val, torch.Tensor):
            return val
        position = [s.arg.name for s in exported.graph_signature.input_specs if s.kind == spec.kind].index(node.name)
        target = input_names(model, position + 1)[position]
        return _with_meta(graph.create_node("placeholder", target, name=identifier(target)), node)
    target = str(spec.target)
    if _attribute(model, target) is None:
        return _literal(graph, node, exported.constants[target])
    return _with_meta(graph.create_node("get_attr", target, name=identifier(target)), node)


def _literal(graph: fx.Graph, node: fx.Node, constant: Any) -> fx.Node:
    """A tensor that forward itself makes from Python numbers, rebuilt from them."""
    if not isinstance(constant, torch.Tensor) or constant.numel() > LITERAL_LIMIT:
        raise CaptureError(
            f"{node.name}: a tensor of {tuple(getattr(constant, 'shape', ()))} is made inside forward; "
            "register it as a buffer so that it has a name"
        )
    val = node.meta["val"]
    made = graph.call_function(torch.tensor, (constant.tolist(),), {"dtype": constant.dtype, "device": constant.device})
    made.meta["val"] = val
    return made


def _leave(graph: fx.Graph, node: fx.Node, exported: ExportedProgram, nodes: dict[fx.Node, Any],
           writes: dict[str, Any], model: nn.Module) -> None:  # fmt: skip
    """Buffer writes, then the output in the structure that the module returns."""
    flat = []
    for old in node.args[0]:  # type: ignore[union-attr]
        if isinstance(old, fx.Node) and old.name in writes:
            _write(graph, writes.pop(old.name), nodes[old])
        else:
            flat.append(nodes[old] if isinstance(old, fx.Node) else old)
    assert exported.call_spec.out_spec is not None, "torch.export always says what a module returns"
    returned = tree_unflatten(flat, exported.call_spec.out_spec)
    if not isinstance(returned, (fx.Node, tuple, list)) or any(not isinstance(item, fx.Node) for item in flat):
        kind = type(returned).__name__
        raise CaptureError(f"{type(model).__name__} returns {kind}; wanted a tensor or a tuple of tensors")
    graph.output(returned)


def _write(graph: fx.Graph, target: str, value: fx.Node) -> None:
    buffer = next(n for n in graph.nodes if n.op == "get_attr" and n.target == target)
    write = graph.call_function(torch.ops.aten.copy_.default, (buffer, value))
    write.meta["val"] = buffer.meta["val"]


def _refuse_other_effects(exported: ExportedProgram) -> None:
    for spec in exported.graph_signature.output_specs:
        if spec.kind not in (OutputKind.USER_OUTPUT, OutputKind.BUFFER_MUTATION):
            kind = spec.kind.name.lower()
            raise CaptureError(f"the module writes to {spec.target!r} ({kind}); only buffers may change")


def _refuse_foreign(node: fx.Node) -> None:
    if node.target is not operator.getitem and not isinstance(node.target, torch._ops.OpOverload):
        raise CaptureError(f"{node.name}: {node.target} is no ATen operator")


def _mapped(node: fx.Node, nodes: dict[fx.Node, Any]) -> tuple[Any, Any]:
    return (map_arg(node.args, lambda n: nodes[n]), map_arg(node.kwargs, lambda n: nodes[n]))


def _with_meta(new: fx.Node, old: fx.Node) -> fx.Node:
    new.meta["val"] = old.meta["val"]
    return new


def _attribute(model: nn.Module, target: str) -> torch.Tensor | None:
    found: Any = model
    for part in target.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, torch.Tensor) else None


def _module_names(graph: fx.Graph) -> dict[fx.Node, str]:
    """The last call that a submodule makes is named after it: `layers_0_fc` rather than `linear_3`."""
    last: dict[str, fx.Node] = {}
    for node in graph.nodes:
        stack = node.meta.get("nn_module_stack") or {}
        path = next(reversed(stack.values()))[0] if stack else ""
        if path and node.op == "call_function" and isinstance(node.meta.get("val"), torch.Tensor):
            last[path.split("@")[0]] = node
    return {node: re.sub(r"\W", "_", path) for path, node in last.items()}
