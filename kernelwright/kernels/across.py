"""Rows in C++ with each lane a row: for reductions over dimensions that are not the innermost in memory.

A strip of neighbouring rows goes through the passes together. What a row has one of is an array over the strip, so that
memory is read in the order in which it lies.

    for each strip:
        float x_sum[256];                       one for each row of the strip
        for each element of the rows:  each(strip, [&](...) { x_sum += load(...) })
        each(strip, [&](...) { mean = x_sum / n })
"""

from __future__ import annotations

from torch import fx

from kernelwright.kernels.along import PARALLEL_FROM, Known, Written, finished, sources
from kernelwright.kernels.arguments import input_names, output_names
from kernelwright.kernels.body import identifier, indent, statements
from kernelwright.kernels.expr import ATOM, CPP, Speller, Text, kind_of
from kernelwright.kernels.flat import refuse
from kernelwright.kernels.loops import Loop
from kernelwright.kernels.reads import Place, header, nested, reads, spread, write
from kernelwright.kernels.rows import WORDS, Pass, Rows, passes

STARTS = {"Sum": "0.0f", "Product": "1.0f", "Largest": "-infinity", "Smallest": "infinity"}
JOINS = {"Sum": "{} + {}", "Product": "{} * {}", "Largest": "max({}, {})", "Smallest": "min({}, {})"}


def neighbouring_rows(found: Rows, name: str, *, strip: int) -> Written:
    inner = found.rows[-1]
    arrays: Known = {}
    lines: list[str] = []
    lines += _once(found, 0, arrays, strip)
    for number, here in enumerate(passes(found, keep=False)):
        lines += _run(found, here, arrays, strip)
        lines += _once(found, number + 1, arrays, strip)
    lines += _ends(found, arrays)
    step = f"for (long strip = 0; strip < {inner.extent}; strip += {strip})"
    outer = [header(loop) for loop in found.rows[:-1]]
    body = nested([*outer, step], [f"const long end = least(strip + {strip}, {inner.extent});", *lines])
    if found.row_count * found.row_length >= PARALLEL_FROM:
        body = [f"#pragma omp parallel for{f' collapse({len(outer) + 1})' if outer else ''}", *body]
    return finished(found, name, body, {})


def _row_place(found: Rows) -> Place:
    return Place(found.space, input_names(found.flat), found.rows, found.rows[-1])


def _element_place(found: Rows) -> Place:
    return Place(found.space, input_names(found.flat), (*found.rows, *found.reduced), found.rows[-1])


def _each(loop: Loop, lines: list[str]) -> list[str]:
    return [f"each<1>(strip, end, [&](long {loop.name}, int, auto lanes) {{", *indent(lines, 1), "});"]


def _once(found: Rows, number: int, arrays: Known, strip: int) -> list[str]:
    """Arrays of values that a row has one of and that are ready after so many passes."""
    calls = found.once(number)
    for node in calls:
        if kind_of(node) not in ("float", "bool"):
            raise refuse(node, f"element type {node.meta['val'].dtype} for each row")
    outside = {
        node for node in calls
        if node in found.flat.outputs or any(user not in calls for user in node.users)
    }  # fmt: skip
    kept = [node for node in calls if node in outside and kind_of(node) == "float"]
    if any(kind_of(node) != "float" and node not in found.flat.outputs for node in outside):
        raise refuse(next(n for n in outside if kind_of(n) != "float"), "a mask for each row")
    if not kept and not outside:
        return []
    known, lines = _row_reads(found, calls, arrays)
    body = statements(calls, known, CPP, keep=set())
    lines += body.lines
    for node in kept:
        lines.append(f"store({_at(_array(node), found)}, {spread(body.known[node])}, Full{{}});")
    for node in outside:
        if kind_of(node) != "float":
            lines += _stores(found, node, body.known[node])
    for node in kept:
        arrays[node] = Text(f"load({_at(_array(node), found)}, Full{{}})", ATOM, "float", True)
    return [*(f"float {_array(node)}[{strip}];" for node in kept), *_each(found.rows[-1], lines)]


def _row_reads(found: Rows, calls: list[fx.Node], arrays: Known) -> tuple[Known, list[str]]:
    wanted = {source for node in calls for source in node.all_input_nodes}
    known, lines = reads(
        [n for n in sources(found) if n not in found.full and n in wanted], frozenset(calls), _row_place(found)
    )
    return {**arrays, **known}, lines


def _run(found: Rows, here: Pass, arrays: Known, strip: int) -> list[str]:
    """One pass over the elements of a strip of rows."""
    used = frozenset([*here.body, *here.reductions])
    wanted = {source for node in used for source in node.all_input_nodes} | set(here.outputs)
    known, lines = reads([n for n in sources(found) if n in wanted], used, _element_place(found))
    body = statements(here.body, {**arrays, **known}, CPP, keep=set(here.outputs) & set(here.body))
    lines += body.lines
    for node in here.reductions:
        value = Speller(CPP, body.known).operand(node.args[0], "float")
        where = _at(_array(node), found)
        lines.append(
            f"store({where}, {JOINS[WORDS[node.target]].format(f'load({where}, Full{{}})', spread(value))}, Full{{}});"
        )
        if kind_of(node) != "float":
            raise refuse(node, "counts in each row")
        arrays[node] = Text(f"load({where}, Full{{}})", ATOM, "float", True)
    for node in here.outputs:
        lines += _stores(found, node, body.known[node])
    starts = [line for node in here.reductions for line in _started(node, strip)]
    return [*starts, *nested([header(loop) for loop in found.reduced], _each(found.rows[-1], lines))]


def _started(node: fx.Node, strip: int) -> list[str]:
    start = STARTS[WORDS[node.target]]
    return [f"float {_array(node)}[{strip}];", f"for (float& one : {_array(node)})", f"    one = {start};"]


def _ends(found: Rows, arrays: Known) -> list[str]:
    """Outputs that a row has one of, and what the second stage reads."""
    ends = [n for n in dict.fromkeys(found.flat.outputs) if n not in found.full and n not in found.after
            and n not in found.tail and kind_of(n) == "float"]  # fmt: skip
    lines = [line for node in ends for line in _stores(found, node, arrays[node])]
    known, fetched = _row_reads(found, list(found.tail), arrays)
    for number, node in enumerate(found.tail):
        value = Speller(CPP, known).operand(node.args[0], "float")
        lines.append(
            f"store(scratch + {' + '.join([str(number * found.row_count), *_row_terms(found)])}, {spread(value)}, lanes);"
        )
    return _each(found.rows[-1], [*fetched, *lines]) if lines else []


def _row_terms(found: Rows) -> list[str]:
    terms, inner = [], 1
    for loop in reversed(found.rows):
        terms.append(loop.name if inner == 1 else f"{loop.name} * {inner}")
        inner *= loop.extent
    return terms[::-1]


def _stores(found: Rows, node: fx.Node, value: Text) -> list[str]:
    place = _element_place(found)
    every = zip(found.flat.outputs, output_names(found.flat), found.flat.region.outputs, strict=True)
    return [
        write(pointer, found.space.access(node, canonical.meta["val"].stride()), value, place)
        for output, pointer, canonical in every if output is node
    ]  # fmt: skip


def _array(node: fx.Node) -> str:
    return f"{identifier(node.name)}_rows"


def _at(array: str, found: Rows) -> str:
    return f"{array} + {found.rows[-1].name} - strip"
