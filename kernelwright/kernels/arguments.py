"""What a kernel is called with: the region's inputs, new outputs, scratch; and how C++ declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from torch import fx

from kernelwright.core.spec import TensorSpec
from kernelwright.kernels.body import CPP_ELEMENTS, QUIET, identifier
from kernelwright.kernels.expr import kind_of
from kernelwright.kernels.flat import SAME, VIEWS, Flat, refuse, spec
from kernelwright.kernels.kernel import Argument


@dataclass(frozen=True, slots=True)
class Output:
    """A flat value that leaves the kernel, the pointer that it is written to, and how that memory is laid out."""

    node: fx.Node
    pointer: str
    strides: tuple[int, ...]


def arguments(flat: Flat, scratch: int = 0) -> tuple[Argument, ...]:
    """Inputs, outputs, and `scratch` floats, in call order."""
    inputs = [Argument("input", node.name, spec(node)) for node in flat.region.inputs]
    outputs = [Argument("output", node.name, spec(node)) for node in flat.region.outputs]
    memory = [Argument("scratch", "scratch", TensorSpec((scratch,), (1,), "float32"))] if scratch else []
    return (*inputs, *outputs, *memory)


def input_names(flat: Flat) -> Mapping[fx.Node, str]:
    """What the text calls each input's memory."""
    return {node: identifier(node.name) for node in flat.inputs}


def outputs(flat: Flat) -> tuple[Output, ...]:
    """The region's outputs: `out` where there is one, else each under its name."""
    alone = len(flat.outputs) == 1
    return tuple(
        Output(node, "out" if alone else f"{canonical.name}_out", spec(canonical).strides)
        for node, canonical in zip(flat.outputs, flat.region.outputs, strict=True)
    )


def cpp_signature(name: str, flat: Flat, scratch: int = 0) -> str:
    """`extern "C" void name(const float* x, float* out)`"""
    read = [f"const {CPP_ELEMENTS[kind_of(node)]}* {text}" for node, text in input_names(flat).items()]
    written = [f"{CPP_ELEMENTS[kind_of(output.node)]}* {output.pointer}" for output in outputs(flat)]
    return f'extern "C" void {name}({", ".join([*read, *written, *(["float* scratch"] if scratch else [])])})'


def moved_bytes(flat: Flat) -> float:
    """Inputs and outputs once each."""
    return float(sum(spec(node).nbytes for node in (*flat.region.inputs, *flat.region.outputs)))


def arithmetic(nodes: Sequence[fx.Node]) -> float:
    """Elements that calls compute; views and constants compute none."""
    return float(sum(prod(node.meta["val"].shape) for node in nodes if node.target not in VIEWS | SAME | QUIET))


def check_outputs(flat: Flat) -> None:
    """Refuses what one new tensor for each output cannot give: empty tensors, overlaps, a view beside its base."""
    for node, canonical in zip(flat.outputs, flat.region.outputs, strict=True):
        layout = spec(canonical)
        if layout.numel == 0:
            raise refuse(node, "has no elements")
        if not _is_dense(layout.shape, layout.strides):
            raise refuse(node, f"strides {layout.strides} overlap or leave gaps")
        if node.op == "placeholder":
            raise refuse(node, "an output that is an input")
        if _is_view_of_any(node, set(flat.outputs)):
            raise refuse(node, "is a view of another output")


def _is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    expected = 1
    for stride, extent in sorted((stride, extent) for stride, extent in zip(strides, shape, strict=True) if extent > 1):
        if stride != expected:
            return False
        expected *= extent
    return True


def _is_view_of_any(node: fx.Node, others: set[fx.Node]) -> bool:
    while node.target in VIEWS and isinstance(node.args[0], fx.Node):
        node = node.args[0]
        if node in others:
            return True
    return False
