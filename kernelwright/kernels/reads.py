"""How elements of inputs are read and those of outputs written in C++ loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import torch
from torch import fx

from kernelwright.kernels.axes import Access, Space
from kernelwright.kernels.body import declare, identifier
from kernelwright.kernels.expr import ATOM, CPP, Text, kind_of
from kernelwright.kernels.loops import Loop, address, element

aten = torch.ops.aten

PARALLEL_FROM = 32768  # elements: below, waking the other threads costs more than they save (2 to 5 us)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands: the loops around it, and the one that vectors run along, if any."""

    space: Space
    names: Mapping[fx.Node, str]  # what the text calls each input's memory
    loops: tuple[Loop, ...]
    vector: Loop | None = None

    def changes(self, node: fx.Node) -> bool:
        """Whether a value differs from lane to lane."""
        return self.vector is not None and bool(self.space.needs[node] & set(self.vector.axes))


def is_counter(node: fx.Node) -> bool:
    return node.target is aten.arange.start_step


def reads(
    sources: Iterable[fx.Node], used: AbstractSet[fx.Node], place: Place
) -> tuple[dict[fx.Node, Text], list[str]]:
    """The text of each leaf and counter; what several of the `used` calls read gets a line of its own."""
    known: dict[fx.Node, Text] = {}
    lines = []
    for node in sources:
        text = read(node, place)
        if sum(times_read(node, user) for user in node.users if user in used) > 1:
            name = f"{identifier(node.name)}_at"
            lines.append(declare(name, text, CPP))
            text = Text(name, ATOM, text.kind, text.vector)
        known[node] = text
    return known, lines


def times_read(node: fx.Node, user: fx.Node) -> int:
    """How often a call reads a value: x * x twice."""
    return max(1, list(user.args).count(node))


def read(node: fx.Node, place: Place) -> Text:
    """One element, or a vector of them."""
    vector = place.changes(node)
    if is_counter(node):
        return Text(_count(node, place, vector), ATOM, "long", vector)
    source, access = place.space.leaves[node]
    if not vector or place.vector is None:
        return Text(element(place.names[source], access, place.loops), ATOM, kind_of(node), False)
    stride = place.vector.stride(access)
    where = address(place.names[source], access, place.loops)
    return Text(f"load({where}, {_step(stride)}lanes)", ATOM, kind_of(node), True)


def write(pointer: str, access: Access, value: Text, place: Place, store: str = "store") -> str:
    """A store of one element, or of a vector."""
    if place.vector is None:
        return f"{element(pointer, access, place.loops)} = {value.text};"
    stride = place.vector.stride(access) if place.vector.axes else 1
    store = store if stride == 1 and value.kind == "float" else "store"
    return f"{store}({address(pointer, access, place.loops)}, {_step(stride)}{spread(value)}, lanes);"


def spread(value: Text) -> str:
    """The value as a vector."""
    return value.text if value.vector else f"all({value.text})"


def nested(headers: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Lines inside loops; braces where there is more than one statement."""
    result = list(lines)
    for depth, header in enumerate(reversed(headers)):
        braces = depth == 0 and not (len(lines) == 1 or (lines[0].startswith("each<") and lines[-1] == "});"))
        inside = [f"    {line}" if line else line for line in result]
        result = [f"{header} {{", *inside, "}"] if braces else [header, *inside]
    return result


def header(loop: Loop) -> str:
    return f"for (long {loop.name} = 0; {loop.name} < {loop.extent}; ++{loop.name})"


def parallel_for(headers: Sequence[str], elements: int) -> list[str]:
    """The line that shares nested loops among the threads, where there is enough to do."""
    if not headers or elements < PARALLEL_FROM:
        return []
    return [f"#pragma omp parallel for{f' collapse({len(headers)})' if len(headers) > 1 else ''}"]


def _step(stride: int) -> str:
    return "" if stride == 1 else f"{stride}, "


def counts(node: fx.Node) -> tuple[int, int]:
    """Where an arange starts, and its step."""
    numbers = [arg for arg in node.args if isinstance(arg, int)]
    return numbers[0], numbers[2] if len(numbers) > 2 else 1


def _count(node: fx.Node, place: Place, vector: bool) -> str:
    """arange: first + step * index."""
    first, step = counts(node)
    loop = next((loop for loop in place.loops if set(loop.axes) & place.space.needs[node]), None)
    if loop is None:
        return f"{first}ll"
    index = loop.name if (first, step) == (0, 1) else f"{first} + {step} * {loop.name}"
    return f"ascending({index}, {step})" if vector else f"(long long)({index})"
