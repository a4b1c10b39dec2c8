"""A covered graph as a candidate file: a header that says what was done, the kernels, and ModelNew that calls them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from math import prod

from torch import fx

from kernelwright.core.spec import Target, TensorSpec
from kernelwright.core.task import Task
from kernelwright.engines.search.plan import Covered, Launch
from kernelwright.graph.edit import is_view
from kernelwright.graph.printing import attribute, forward_lines
from kernelwright.graph.rewritten import rewritten_source
from kernelwright.kernels.kernel import Argument

WIDTH = 108


def write(task: Task, covered: Covered) -> str:
    """The candidate's text. The same covered graph gives the same text, byte for byte."""
    library = _free_name("kernels", task.reference)
    replaced: dict[fx.Node, list[str]] = {}
    for launch in covered.launches:
        *before, last = launch.region.nodes
        replaced |= {node: [] for node in before} | {last: _call(launch, library)}
    return rewritten_source(
        task.reference,
        forward_lines(covered.graph, replaced),
        docstring=_header(task, covered),
        imports=["from kernelwright.runtime import cpp, empty"] if covered.launches else [],
        above=_library(covered.launches, library) if covered.launches else "",
    )


def _library(launches: Sequence[Launch], name: str) -> str:
    """One C++ text with each distinct kernel once, compiled when the file is imported."""
    distinct = {launch.kernel.name: launch.kernel for launch in reversed(launches)}
    kernels = list(reversed(distinct.values()))
    headers = dict.fromkeys(header for kernel in kernels for header in kernel.headers)
    functions = [kernel.source.strip("\n") for kernel in kernels]
    text = "\n".join(headers) + "\n\n" + "\n\n".join(functions)
    return f'{name} = cpp(r"""\n{text}\n""")'


def _call(launch: Launch, library: str) -> list[str]:
    """Lines that make room for what the kernel writes, and call it."""
    nodes = {node.name: node for node in (*launch.region.inputs, *launch.region.nodes)}
    made = [f"{argument.name} = {_empty(argument.spec)}"
            for argument in launch.kernel.arguments if argument.role != "input"]  # fmt: skip
    given = ", ".join(_given(argument, nodes) for argument in launch.kernel.arguments)
    call = f"{library}.{launch.kernel.name}({given})"
    return [*made, *textwrap.wrap(call, WIDTH, subsequent_indent="    ", break_long_words=False)]


def _given(argument: Argument, nodes: dict[str, fx.Node]) -> str:
    node = nodes.get(argument.name)
    if argument.role == "input" and node is not None and node.op == "get_attr":
        return attribute(str(node.target))
    return argument.name


def _empty(spec: TensorSpec) -> str:
    strides = "" if spec.strides == _contiguous(spec.shape) else f", {spec.strides}"
    return f"empty({spec.shape}, torch.{spec.dtype}{strides})"


def _contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a tensor of that shape laid out row by row, as PyTorch counts them."""
    return tuple(prod(max(extent, 1) for extent in shape[axis + 1 :]) for axis in range(len(shape)))


def _free_name(wanted: str, text: str) -> str:
    return wanted if not re.search(rf"\b{wanted}\b", text) else _free_name(f"native_{wanted}", text)


# The header


def _header(task: Task, covered: Covered) -> str:
    return "\n".join([
        "ModelNew computes what the reference's Model does, in fewer steps.",
        "",
        f"Written for {_machine(task.target)}; precision class {task.contract.precision}.",
        "",
        *_done(covered),
    ])  # fmt: skip


def _machine(target: Target) -> str:
    return f"{target.name} ({target.kind}, {target.arch}, {target.cores} cores)"


def _done(covered: Covered) -> Iterator[str]:
    for applied in covered.applied:
        yield from _item(f"{applied.trick.name} at {_listed(applied.sites)}: {_first_sentence(applied.trick.doc)}")
    shared: dict[str, list[Launch]] = {}
    for launch in covered.launches:
        shared.setdefault(launch.kernel.name, []).append(launch)
    for name, launches in shared.items():
        yield from _item(f"{name}: {_work(launches)}")
    calls = [node.name for node in covered.calls if not is_view(node)]
    if calls:
        yield from _item(f"PyTorch keeps {_listed(calls)}")


def _work(launches: Sequence[Launch]) -> str:
    first = launches[0]
    nodes = _listed([node.name for node in first.region.nodes if not is_view(node)])
    times = f", {len(launches)} times" if len(launches) > 1 else ""
    tuned = ", ".join(f"{name} {value}" for name, value in first.parameters)
    return f"one {first.region.skeleton} kernel for {nodes}{times}" + (f" ({tuned})" if tuned else "")


def _first_sentence(doc: str) -> str:
    return " ".join(doc.strip().split("\n\n")[0].split())


def _listed(names: Iterable[str], most: int = 6) -> str:
    shown = list(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def _item(text: str) -> list[str]:
    return textwrap.wrap(f"- {text}", WIDTH, subsequent_indent="  ")
