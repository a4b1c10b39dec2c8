"""Rows in C++ with vectors along the row. A row has its passes one after the other:

Sum x_sum;
each<4>(0, n, [&](...) { x_sum.take(load(...), ...); });
const float mean = x_sum.result() / n;
each<4>(0, n, [&](...) { store(..., load(...) - mean, ...); });
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from kernelwright.kernels.arguments import cpp_signature, input_names
from kernelwright.kernels.axes import Access
from kernelwright.kernels.body import declare, identifier, indent, statements
from kernelwright.kernels.expr import ATOM, CPP, Speller, Text, kind_of
from kernelwright.kernels.loops import Loop, address
from kernelwright.kernels.reads import Place, header, nested, parallel_for, reads, spread, write
from kernelwright.kernels.rows import Pass, Rows, operand, passes, steps

aten = torch.ops.aten

# What each reduction is called in simd.h.
WORDS: Mapping[Any, str] = {
    aten.sum.dim_IntList: "Sum", aten.prod.dim_int: "Product",
    aten.amax.default: "Largest", aten.amin.default: "Smallest",
}  # fmt: skip

Known = dict[fx.Node, Text]
Kept = Mapping[fx.Node, tuple[str, Access]]  # where values stay between passes


@dataclass(frozen=True)
class Written:
    """A function's text, and how many floats of scratch it takes."""

    source: str
    scratch: int


def whole_rows(found: Rows, name: str, keep: str, store: str) -> Written:
    """Each thread takes whole rows. Expensive values stay between passes in a buffer of the row's length ("row"), in
    the output's own memory ("output"), or are computed anew ("nothing")."""
    plan = passes(found, keep != "nothing")
    kept, buffers = _kept(found, plan, keep)
    known, lines = _start(found)
    lines += buffers
    for number, here in enumerate(plan):
        lines += [f"{WORDS[node.target]} {_taken(node)};" for node in here.reductions]
        run = _run(found, here, known, kept, store)
        lines += nested([header(loop) for loop in found.reduced[:-1]], _each(found.reduced[-1], run))
        lines += [_result(node, f"{_taken(node)}.result()", known) for node in here.reductions]
        lines += _once(found, number + 1, known)
    lines += _row_ends(found, known)
    headers = [header(loop) for loop in found.rows]
    shared = parallel_for(headers, found.row_count * found.row_length)
    return finished(found, name, [*shared, *nested(headers, lines), *_stream_end(store)], known)


def shared_rows(found: Rows, name: str, chunk: int) -> Written:
    """All threads share each row, in pieces whose results are joined in order, so that they don't depend on threads."""
    known, lines = _start(found)
    count, piece, span = _pieces(found, chunk)
    loop = f"for (long {piece} = 0; {piece} < {count}; ++{piece})"
    between = [header(one) for one in found.reduced[:-1] if one.name != piece]
    for number, here in enumerate(passes(found, keep=False)):
        run = nested(between, _each(found.reduced[-1], _run(found, here, known, {}, "store"), span))
        starts = [f"{WORDS[node.target]} {_taken(node)};" for node in here.reductions]
        ends = [f"{_taken(node)}_parts[{piece}] = {_taken(node)}.result();" for node in here.reductions]
        lines += [f"float {_taken(node)}_parts[{count}];" for node in here.reductions]
        lines += ["#pragma omp parallel for", *nested([loop], [*starts, *run, *ends])]
        lines += [
            _result(node, f"combined<{WORDS[node.target]}>({_taken(node)}_parts, {count})", known)
            for node in here.reductions
        ]
        lines += _once(found, number + 1, known)
    lines += _row_ends(found, known)
    return finished(found, name, nested([header(loop) for loop in found.rows], lines), known)


def finished(found: Rows, name: str, body: Sequence[str], known: Known) -> Written:
    """The function around the rows, with the second stage after them where there is one."""
    scratch = len(found.tail) * found.row_count
    lines = [cpp_signature(name, found.flat, scratch), "{", *indent([*body, *_second_stage(found, known)], 1), "}"]
    return Written("\n".join(lines) + "\n", scratch)


def can_keep_in_output(found: Rows) -> bool:
    """Whether one kept value fits into an output's memory until the last pass overwrites it there."""
    plan = passes(found, keep=True)
    kept = [node for here in plan for node in here.kept]
    return len(kept) == 1 and any(kind_of(node) == "float" for node in plan[-1].outputs)


def _kept(found: Rows, plan: Sequence[Pass], keep: str) -> tuple[Kept, list[str]]:
    """Where each kept value stays, and the buffers for that."""
    nodes = [node for here in plan for node in here.kept]
    if keep == "output":
        output = next(node for node in plan[-1].outputs if kind_of(node) == "float")
        return dict.fromkeys(nodes, found.writes(output)[0]), []
    strides: dict[int, int] = {}
    inner = 1
    for loop in reversed(found.reduced):
        for axis in reversed(loop.axes):
            strides[axis] = inner
            inner *= found.space.extents[axis]
    return {node: (f"kept_{node.name}", Access(strides)) for node in nodes}, [
        f"float kept_{node.name}[{found.row_length}];" for node in nodes
    ]


def _pieces(found: Rows, chunk: int) -> tuple[int, str, str]:
    """Into how many pieces a row is cut, their counter's name, and what of the innermost loop one piece runs over."""
    outer, extent = found.reduced[:-1], found.reduced[-1].extent
    if outer:
        return outer[0].extent, outer[0].name, ""
    return -(-extent // chunk), "chunk", f"chunk * {chunk}, least(chunk * {chunk} + {chunk}, {extent})"


def _each(loop: Loop, run: Sequence[str], span: str = "") -> list[str]:
    """The innermost loop, by vectors."""
    return [
        f"each<4>({span or f'0, {loop.extent}'}, [&](long {loop.name}, int slot, auto lanes) {{",
        *indent(run, 1),
        "});",
    ]


def _stream_end(store: str) -> list[str]:
    return ["#pragma omp parallel", "stream_end();"] if store == "stream" else []


def _row_place(found: Rows) -> Place:
    return Place(found.space, input_names(found.flat), found.rows)


def _element_place(found: Rows) -> Place:
    return Place(found.space, input_names(found.flat), (*found.rows, *found.reduced), found.reduced[-1])


def _start(found: Rows) -> tuple[Known, list[str]]:
    """Inputs of which a row reads one element, and what follows from them alone."""
    once = [node for node in found.sources if node not in found.full]
    known, lines = reads(
        once, frozenset(node for node in found.flat.nodes if node not in found.after), _row_place(found)
    )
    return known, [*lines, *_once(found, 0, known)]


def _once(found: Rows, number: int, known: Known) -> list[str]:
    """Lines of the values that a row has one of and that are ready after so many passes; `known` learns them."""
    lines: list[str] = []
    calls: list[fx.Node] = []
    for node in found.once(number):
        if node.target is aten.gather.default:
            lines += [*_said(found, calls, known), *_gathered(found, node, known)]
            known[node] = Text(identifier(node.name), ATOM, kind_of(node), False)
            calls = []
        else:
            calls.append(node)
    return [*lines, *_said(found, calls, known)]


def _said(found: Rows, calls: Sequence[fx.Node], known: Known) -> list[str]:
    keep = {node for node in calls if node in found.flat.outputs or any(user not in calls for user in node.users)}
    body = statements(calls, known, CPP, keep)
    known.update(body.known)
    return list(body.lines)


def _gathered(found: Rows, node: fx.Node, known: Known) -> list[str]:
    """The element at an index, computed anew from what it is made of. An index out of range reads the nearest."""
    source, _, index = node.args
    assert isinstance(source, fx.Node)
    calls, loop = found.made_of([source], lambda _: False), found.reduced[-1]
    wanted = {read for call in [*calls, node] for read in call.all_input_nodes} & found.full
    place = replace(_element_place(found), vector=None)
    here, fetched = reads([n for n in found.sources if n in wanted], frozenset([*calls, node]), place)
    body = statements(calls, {**known, **here}, CPP)
    at = Speller(CPP, known).operand(index, "long").text
    inside = [
        f"const long {loop.name} = within({at}, {loop.extent});",
        *fetched,
        *body.lines,
        f"return {body.known[source].text};",
    ]
    return [f"const float {identifier(node.name)} = [&] {{", *indent(inside, 1), "}();"]


def _run(found: Rows, here: Pass, known: Known, kept: Kept, store: str) -> list[str]:
    """What a pass does with each vector of a row."""
    place = _element_place(found)
    used = frozenset([*here.body, *here.reductions])
    wanted = {source for node in used for source in node.all_input_nodes} | set(here.outputs)
    fetched, lines = reads([n for n in found.sources if n in found.full and n in wanted], used, place)
    back = {node: _read_back(*at, place) for node, at in kept.items() if node not in here.body}
    keep = {*here.kept, *(node for node in here.outputs if node.users)}
    body = statements(here.body, {**known, **back, **fetched}, CPP, keep)
    lines += body.lines
    lines += [write(*kept[node], body.known[node], place) for node in here.kept]
    for node in here.reductions:
        value = Speller(CPP, body.known).operand(operand(node), "float")
        lines.append(f"{_taken(node)}.take({spread(value)}, slot, lanes);")
    lines += [write(*at, body.known[node], place, store) for node in here.outputs for at in found.writes(node)]
    return lines


def _read_back(pointer: str, access: Access, place: Place) -> Text:
    assert place.vector is not None
    stride = place.vector.stride(access)
    return Text(
        f"load({address(pointer, access, place.loops)}, {'' if stride == 1 else f'{stride}, '}lanes)",
        ATOM,
        "float",
        True,
    )


def _result(node: fx.Node, text: str, known: Known) -> str:
    """The line that names a reduction's result. A count of bools is whole."""
    value = Text(f"to_long({text})" if kind_of(node) == "long" else text, ATOM, kind_of(node), False)
    known[node] = Text(identifier(node.name), ATOM, kind_of(node), False)
    return declare(identifier(node.name), value, CPP)


def _row_ends(found: Rows, known: Known) -> list[str]:
    """What a row has one of goes to its outputs, and to the second stage."""
    place = _row_place(found)
    lines = [write(*at, known[node], place) for node in found.row_outputs for at in found.writes(node)]
    for number, node in enumerate(found.tail):
        value = Speller(CPP, known).operand(operand(node), "float")
        lines.append(f"{scratch_of(found, number)}[{steps(found.rows)}] = {value.text};")
    return lines


def scratch_of(found: Rows, number: int) -> str:
    """The part of scratch that one reduction of the second stage reads."""
    return f"(scratch + {number * found.row_count})" if number else "scratch"


def _second_stage(found: Rows, known: Known) -> list[str]:
    """Sums over what the rows left in scratch, and what follows from them."""
    place = Place(found.space, input_names(found.flat), ())
    wanted = {source for node in found.after for source in node.all_input_nodes}
    here, lines = reads([n for n in found.sources if n in wanted], found.after, place)
    lines += [
        _result(node, f"combined<Sum>({scratch_of(found, number)}, {found.row_count})", here)
        for number, node in enumerate(found.tail)
    ]
    body = statements([node for node in found.flat.nodes if node in found.after], {**known, **here}, CPP)
    ends = [write(*at, body.known[node], place) for node in found.last_outputs for at in found.writes(node)]
    return [*lines, *body.lines, *ends]


def _taken(node: fx.Node) -> str:
    return f"{node.name}_of"
