"""Rows in C++ with each lane a row: for reductions over dimensions that are not the innermost in memory.

A strip of neighbouring rows goes through the passes together. What a row has one of is an array over the strip, so that
memory is read in the order in which it lies:

    float x_sum_rows[256];
    for (long j = 0; j < n; ++j)
        each<1>(strip, end, [&](...) { x_sum_rows += load(...) });
    each<1>(strip, end, [&](...) { mean_rows = x_sum_rows / n });
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx

from kernelwright.kernels.arguments import input_names
from kernelwright.kernels.body import identifier, indent, statements
from kernelwright.kernels.expr import ATOM, CPP, Speller, Text, kind_of
from kernelwright.kernels.reads import Place, header, nested, parallel_for, reads, spread, write
from kernelwright.kernels.rows import Pass, Rows, operand, passes, steps
from kernelwright.kernels.rowwise_along import WORDS, Known, Written, finished, scratch_of

STARTS = {"Sum": "0.0f", "Product": "1.0f", "Largest": "-infinity", "Smallest": "infinity"}
JOINS = {"Sum": "{} + {}", "Product": "{} * {}", "Largest": "max({}, {})", "Smallest": "min({}, {})"}


def neighbouring_rows(found: Rows, name: str, strip: int) -> Written:
    """`strip` neighbouring rows are one task."""
    inner = found.rows[-1]
    arrays: Known = {}
    lines = _once(found, 0, arrays, strip)
    for number, here in enumerate(passes(found, keep=False)):
        lines += [*_run(found, here, arrays, strip), *_once(found, number + 1, arrays, strip)]
    lines += _ends(found, arrays)
    step = f"for (long strip = 0; strip < {inner.extent}; strip += {strip})"
    headers = [*(header(loop) for loop in found.rows[:-1]), step]
    body = nested(headers, [f"const long end = least(strip + {strip}, {inner.extent});", *lines])
    return finished(found, name, [*parallel_for(headers, found.row_count * found.row_length), *body], {})


def _row_place(found: Rows) -> Place:
    return Place(found.space, input_names(found.flat), found.rows, found.rows[-1])


def _element_place(found: Rows) -> Place:
    return Place(found.space, input_names(found.flat), (*found.rows, *found.reduced), found.rows[-1])


def _each(found: Rows, lines: Sequence[str]) -> list[str]:
    return [f"each<1>(strip, end, [&](long {found.rows[-1].name}, int, auto lanes) {{", *indent(lines, 1), "});"]


def _once(found: Rows, number: int, arrays: Known, strip: int) -> list[str]:
    """Values that a row has one of and that are ready after so many passes; what later lines read, as arrays."""
    calls = found.once(number)
    masks = [node for node in calls if node in found.flat.outputs and kind_of(node) != "float"]
    kept = [
        node for node in calls
        if kind_of(node) == "float" and (node in found.flat.outputs or any(user not in calls for user in node.users))
    ]  # fmt: skip
    if not kept and not masks:
        return []
    known, lines = _row_reads(found, calls, arrays)
    body = statements(calls, known, CPP)
    lines += body.lines
    lines += [f"store({_at(node, found)}, {spread(body.known[node])}, Full{{}});" for node in kept]
    lines += [write(*at, body.known[node], _row_place(found)) for node in masks for at in found.writes(node)]
    arrays.update({node: Text(f"load({_at(node, found)}, Full{{}})", ATOM, "float", True) for node in kept})
    return [*(f"float {_array(node)}[{strip}];" for node in kept), *_each(found, lines)]


def _row_reads(found: Rows, calls: Sequence[fx.Node], arrays: Known) -> tuple[Known, list[str]]:
    wanted = {source for node in calls for source in node.all_input_nodes}
    once = [node for node in found.sources if node not in found.full and node in wanted]
    known, lines = reads(once, frozenset(calls), _row_place(found))
    return {**arrays, **known}, lines


def _run(found: Rows, here: Pass, arrays: Known, strip: int) -> list[str]:
    """One pass over the elements of a strip of rows."""
    used = frozenset([*here.body, *here.reductions])
    wanted = {source for node in used for source in node.all_input_nodes} | set(here.outputs)
    known, lines = reads([n for n in found.sources if n in wanted], used, _element_place(found))
    body = statements(here.body, {**arrays, **known}, CPP, {node for node in here.outputs if node.users})
    lines += body.lines
    for node in here.reductions:
        value, here_now = (
            Speller(CPP, body.known).operand(operand(node), "float"),
            f"load({_at(node, found)}, Full{{}})",
        )
        lines.append(
            f"store({_at(node, found)}, {JOINS[WORDS[node.target]].format(here_now, spread(value))}, Full{{}});"
        )
        arrays[node] = Text(here_now, ATOM, "float", True)
    place = _element_place(found)
    lines += [write(*at, body.known[node], place) for node in here.outputs for at in found.writes(node)]
    starts = [line for node in here.reductions for line in _started(node, strip)]
    return [*starts, *nested([header(loop) for loop in found.reduced], _each(found, lines))]


def _started(node: fx.Node, strip: int) -> list[str]:
    return [
        f"float {_array(node)}[{strip}];",
        f"for (float& one : {_array(node)})",
        f"    one = {STARTS[WORDS[node.target]]};",
    ]


def _ends(found: Rows, arrays: Known) -> list[str]:
    """Outputs that a row has one of, and what the second stage reads."""
    place = _row_place(found)
    floats = [node for node in found.row_outputs if kind_of(node) == "float"]
    known, lines = _row_reads(found, found.tail, arrays)
    lines += [write(*at, arrays[node], place) for node in floats for at in found.writes(node)]
    for number, node in enumerate(found.tail):
        value = Speller(CPP, known).operand(operand(node), "float")
        lines.append(f"store({scratch_of(found, number)} + {steps(found.rows)}, {spread(value)}, lanes);")
    return _each(found, lines) if lines else []


def _array(node: fx.Node) -> str:
    return f"{identifier(node.name)}_rows"


def _at(node: fx.Node, found: Rows) -> str:
    return f"{_array(node)} + {found.rows[-1].name} - strip"
