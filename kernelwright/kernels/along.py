"""Rows in C++ with vectors along the row.

for each row:
    Sum x_sum;
    each<4>(0, n, [&](...) { x_sum.take(load(...), ...); });
    const float mean = x_sum.result() / n;
    ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import fx

from kernelwright.kernels.arguments import cpp_signature, input_names, output_names
from kernelwright.kernels.body import declare, identifier, indent, statements
from kernelwright.kernels.expr import ATOM, CPP, Speller, Text, kind_of
from kernelwright.kernels.loops import Loop
from kernelwright.kernels.reads import Place, header, is_counter, nested, reads, spread, write
from kernelwright.kernels.rows import WORDS, Pass, Rows, passes

aten = torch.ops.aten

PARALLEL_FROM = 32768  # elements: below, waking the other threads costs more than they save

Known = dict[fx.Node, Text]


@dataclass(frozen=True)
class Written:
    """A function's text, and how many floats of scratch it takes."""

    source: str
    scratch: int


def whole_rows(found: Rows, name: str, *, keep: bool) -> Written:
    """Each thread takes whole rows; with `keep`, expensive values of a row are kept between passes."""
    known, lines = _start(found)
    plan = passes(found, keep)
    for node in dict.fromkeys(node for here in plan for node in here.kept):
        lines.append(f"float {_kept(node)}[{found.row_length}];")
        known[node] = Text(f"load({_kept(node)} + {_position(found)}, lanes)", ATOM, "float", True)
    for number, here in enumerate(plan):
        run, known = _run(found, here, known)
        lines += [f"{WORDS[node.target]} {_taken(node)};" for node in here.reductions]
        lines += nested([header(loop) for loop in found.reduced[:-1]], each(4, found.reduced[-1], run))
        lines += _results(here.reductions, known)
        known = _once(found, number + 1, known, lines)
    lines += _row_ends(found, known)
    headers = [header(loop) for loop in found.rows]
    body = nested(headers, lines)
    if headers and found.row_count * found.row_length >= PARALLEL_FROM:
        body = [f"#pragma omp parallel for{f' collapse({len(headers)})' if len(headers) > 1 else ''}", *body]
    return finished(found, name, body, known)


def shared_rows(found: Rows, name: str, *, chunk: int) -> Written:
    """All threads share each row, in pieces whose results are joined in order: the sum does not depend on threads."""
    known, lines = _start(found)
    pieces, head, span = _pieces(found, chunk)
    for number, here in enumerate(passes(found, keep=False)):
        run, known = _run(found, here, known)
        inside = nested(
            [header(loop) for loop in found.reduced[bool(len(found.reduced) > 1) : -1]],
            each(4, found.reduced[-1], run, span),
        )
        inside = [*(f"{WORDS[node.target]} {_taken(node)};" for node in here.reductions), *inside,
                  *(f"{_taken(node)}_parts[{head}] = {_taken(node)}.result();" for node in here.reductions)]  # fmt: skip
        lines += [f"float {_taken(node)}_parts[{pieces}];" for node in here.reductions]
        lines += ["#pragma omp parallel for", *nested([f"for (long {head} = 0; {head} < {pieces}; ++{head})"], inside)]
        lines += [
            declare(
                identifier(node.name),
                _counted(node, f"combined<{WORDS[node.target]}>({_taken(node)}_parts, {pieces})"),
                CPP,
            )
            for node in here.reductions
        ]
        known.update({node: Text(identifier(node.name), ATOM, kind_of(node), False) for node in here.reductions})
        known = _once(found, number + 1, known, lines)
    lines += _row_ends(found, known)
    return finished(found, name, nested([header(loop) for loop in found.rows], lines), known)


def each(unroll: int, loop: Loop, run: Sequence[str], span: str = "") -> list[str]:
    """The innermost loop, by vectors."""
    return [
        f"each<{unroll}>({span or f'0, {loop.extent}'}, [&](long {loop.name}, int slot, auto lanes) {{",
        *indent(run, 1),
        "});",
    ]


def finished(found: Rows, name: str, body: Sequence[str], known: Known) -> Written:
    """The function around the rows, with the second stage after them where there is one."""
    scratch = len(found.tail) * found.row_count
    lines = [cpp_signature(name, found.flat, scratch), "{", *indent([*body, *_second_stage(found, known)], 1), "}"]
    return Written("\n".join(lines) + "\n", scratch)


def sources(found: Rows) -> list[fx.Node]:
    return [*found.space.leaves, *(node for node in found.flat.nodes if is_counter(node))]


def _pieces(found: Rows, chunk: int) -> tuple[int, str, str]:
    """Into how many pieces a row is cut, the counter's name, and what of the innermost loop one piece runs over."""
    if len(found.reduced) > 1:
        return found.reduced[0].extent, found.reduced[0].name, ""
    extent = found.reduced[0].extent
    return -(-extent // chunk), "chunk", f"chunk * {chunk}, least(chunk * {chunk} + {chunk}, {extent})"


def _row_place(found: Rows) -> Place:
    return Place(found.space, input_names(found.flat), found.rows)


def _element_place(found: Rows) -> Place:
    return Place(found.space, input_names(found.flat), (*found.rows, *found.reduced), found.reduced[-1])


def _start(found: Rows) -> tuple[Known, list[str]]:
    """Inputs of which a row reads one element, and what follows from them alone."""
    once = [node for node in sources(found) if node not in found.full]
    inside = frozenset(node for node in found.flat.nodes if node not in found.after)
    known, lines = reads(once, inside, _row_place(found))
    return _once(found, 0, known, lines), lines


def _once(found: Rows, number: int, known: Known, lines: list[str]) -> Known:
    """Adds the lines of values that a row has one of and that are ready after so many passes."""
    ready = found.once(number)
    while ready:
        picks = [position for position, node in enumerate(ready) if node.target is aten.gather.default]
        calls, ready = (ready[: picks[0]], ready[picks[0] :]) if picks else (ready, [])
        keep = {node for node in calls if node in found.flat.outputs or any(user not in calls for user in node.users)}
        body = statements(calls, known, CPP, keep)
        known = dict(body.known)
        lines += body.lines
        if ready:
            node = ready.pop(0)
            lines += _gathered(found, node, known)
            known[node] = Text(identifier(node.name), ATOM, kind_of(node), False)
    return known


def _gathered(found: Rows, node: fx.Node, known: Known) -> list[str]:
    """The element at an index, computed anew from what it is made of. An index out of range reads the nearest."""
    source, _, index = node.args
    assert isinstance(source, fx.Node) and isinstance(index, fx.Node)
    calls = [n for n in found.flat.nodes if n in _made_of(source, found)]
    place = replace(_element_place(found), vector=None)
    here, fetched = reads([n for n in sources(found) if n in found.full], frozenset([*calls, node]), place)
    used = {n for call in [*calls, node] for n in call.all_input_nodes}
    body = statements(calls, {**known, **{n: text for n, text in here.items() if n in used}}, CPP)
    loop = found.reduced[-1]
    at = Speller(CPP, known).operand(index, "long")
    inside = [
        f"const long {loop.name} = within({at.text}, {loop.extent});",
        *fetched,
        *body.lines,
        f"return {body.known[source].text};",
    ]
    return [f"const float {identifier(node.name)} = [&] {{", *indent(inside, 1), "}();"]


def _made_of(source: fx.Node, found: Rows) -> set[fx.Node]:
    made: set[fx.Node] = set()
    stack = [source]
    while stack:
        node = stack.pop()
        if node in found.full and node not in found.space.leaves and node not in made:
            made.add(node)
            stack.extend(node.all_input_nodes)
    return made


def _run(found: Rows, here: Pass, known: Known) -> tuple[list[str], Known]:
    """What a pass does with each vector of a row; and what is known after it."""
    place = _element_place(found)
    used = frozenset([*here.body, *here.reductions])
    wanted = {source for node in used for source in node.all_input_nodes} | set(here.outputs)
    fetched, lines = reads([n for n in sources(found) if n in found.full and n in wanted], used, place)
    kept = {node: text for node, text in known.items() if node not in here.body}
    keep = set(here.kept) | {node for node in here.outputs if len(node.users) > 0}
    body = statements(here.body, {**kept, **fetched}, CPP, keep)
    lines += body.lines
    lines += [f"store({_kept(node)} + {_position(found)}, {body.known[node].text}, lanes);" for node in here.kept]
    for node in here.reductions:
        value = Speller(CPP, body.known).operand(node.args[0], "float")
        lines.append(f"{_taken(node)}.take({spread(value)}, slot, lanes);")
    for node in here.outputs:
        lines += [
            write(pointer, found.space.access(node, strides), body.known[node], place)
            for pointer, strides in _outputs(found, node)
        ]
    return lines, {**known}


def _outputs(found: Rows, node: fx.Node) -> list[tuple[str, tuple[int, ...]]]:
    """The pointers that a value is written to, and their strides."""
    every = zip(found.flat.outputs, output_names(found.flat), found.flat.region.outputs, strict=True)
    return [(pointer, canonical.meta["val"].stride()) for output, pointer, canonical in every if output is node]


def _results(reductions: Sequence[fx.Node], known: Known) -> list[str]:
    lines = []
    for node in reductions:
        lines.append(declare(identifier(node.name), _counted(node, f"{_taken(node)}.result()"), CPP))
        known[node] = Text(identifier(node.name), ATOM, kind_of(node), False)
    return lines


def _counted(node: fx.Node, text: str) -> Text:
    """A reduction's result; a count of bools is whole."""
    return Text(f"to_long({text})" if kind_of(node) == "long" else text, ATOM, kind_of(node), False)


def _row_ends(found: Rows, known: Known) -> list[str]:
    """What a row has one of goes to its outputs, and to the second stage."""
    lines, place = [], _row_place(found)
    for node in dict.fromkeys(found.flat.outputs):
        if node not in found.full and node not in found.after and node not in found.tail:
            lines += [
                write(pointer, found.space.access(node, strides), known[node], place)
                for pointer, strides in _outputs(found, node)
            ]
    for number, node in enumerate(found.tail):
        value = Speller(CPP, known).operand(node.args[0], "float")
        lines.append(f"scratch[{' + '.join([str(number * found.row_count), *_row_terms(found)])}] = {value.text};")
    return lines


def _row_terms(found: Rows) -> list[str]:
    """The number of a row, from the loops' counters."""
    terms, inner = [], 1
    for loop in reversed(found.rows):
        terms.append(loop.name if inner == 1 else f"{loop.name} * {inner}")
        inner *= loop.extent
    return terms[::-1]


def _second_stage(found: Rows, known: Known) -> list[str]:
    """Sums over what the rows left in scratch, and what follows from them."""
    if not found.tail:
        return []
    lines, place = [], Place(found.space, input_names(found.flat), ())
    here, fetched = reads([n for n in sources(found) if not found.space.needs[n]], found.after, place)
    for number, node in enumerate(found.tail):
        text = f"combined<Sum>(scratch + {number * found.row_count}, {found.row_count})"
        lines.append(declare(identifier(node.name), _counted(node, text), CPP))
        here[node] = Text(identifier(node.name), ATOM, kind_of(node), False)
    calls = [node for node in found.flat.nodes if node in found.after]
    body = statements(calls, {**known, **here}, CPP)
    ends = [
        write(pointer, found.space.access(node, strides), body.known[node], place)
        for node in dict.fromkeys(found.flat.outputs) if node in found.after or node in found.tail
        for pointer, strides in _outputs(found, node)
    ]  # fmt: skip
    return [*fetched, *lines, *body.lines, *ends]


def _position(found: Rows) -> str:
    """Where in a row an element stands, counted without gaps."""
    terms, inner = [], 1
    for loop in reversed(found.reduced):
        terms.append(loop.name if inner == 1 else f"{loop.name} * {inner}")
        inner *= loop.extent
    return " + ".join(terms[::-1])


def _taken(node: fx.Node) -> str:
    return f"{node.name}_of"


def _kept(node: fx.Node) -> str:
    return f"kept_{node.name}"
