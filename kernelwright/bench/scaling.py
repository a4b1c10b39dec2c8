"""A problem's sizes, shrunk: the same file with smaller numbers, the same ones every time. Pure; nothing is run.

`scale` multiplies sizes: each whole number of 16 or more that get_inputs() or get_init_inputs() sees becomes about
`scale` times itself, and at least 16. So a matrix product's work goes down by scale^3, a softmax's over a matrix by
scale^2; batches of 10 and kernels of 3 stay as they are.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm

from kernelwright.core.run import Scaling

LEAST = 16  # smaller numbers are counts, kernel widths, strides; no size becomes smaller than this
FINENESS = 4  # steps between two powers of two that a size is rounded to
MAKERS = ("get_inputs", "get_init_inputs")


@dataclass(frozen=True, slots=True)
class Size:
    """One number in the file, and where it stands: lines from 1, columns in bytes."""

    name: str
    value: int
    start: tuple[int, int]
    end: tuple[int, int]


def attempts(text: str, scale: float) -> Iterator[tuple[str, tuple[Scaling, ...]]]:
    """The text with all its sizes scaled; then, for models that break at that, milder.

    Milder: only sizes that the constructor does not see, which are batches and extents, by `scale`, by twice and by
    four times that, for models that halve their input many times; then what is called batch; then nothing.
    """
    sizes = find_sizes(text)
    inner = {size.start for size in _seen_by(text, "get_init_inputs")}
    outer = [size for size in sizes if size.start not in inner]
    batches = [size for size in sizes if "batch" in size.name.lower()]
    tried: set[str] = {text}
    for chosen, share in ((sizes, 1), (outer, 1), (outer, 2), (outer, 4), (batches, 1)):
        scaled, scaling = _rewritten(text, chosen, scaled_values(sizes, min(scale * share, 1.0)))
        if scaled not in tried:
            tried.add(scaled)
            yield scaled, scaling
    yield text, ()


def scaled_values(sizes: Sequence[Size], scale: float) -> dict[int, int]:
    """What each size becomes. Equal sizes stay equal, and what divided another one before divides it afterwards.

    The latter as far as it leaves room: a divisor that would push a size above its due is let go, the largest first.
    """
    used: dict[int, int] = {}
    for value in sorted({size.value for size in sizes}):
        divisors = [used[other] for other in used if other > 1 and value % other == 0]
        used[value] = scaled_value(value, scale, divisors)
    return used


def scaled_value(value: int, scale: float, divisors: Sequence[int] = ()) -> int:
    """The multiple next to scale * value of the powers of two in `value`, and of `divisors` as far as they fit."""
    due = max(scale * value, LEAST)
    if value < LEAST or due >= value:
        return value
    step = min(value & -value, max(_power_below(due) // FINENESS, 1))
    for divisor in divisors:
        if lcm(step, divisor) <= due:
            step = lcm(step, divisor)
    multiple = max(round(due / step), 1) * step
    return multiple if LEAST <= multiple <= value else value


def find_sizes(text: str) -> tuple[Size, ...]:
    """Every whole number above 1 in what the two functions see: their own lines, and the module's names they use."""
    seen = [size for maker in MAKERS for size in _seen_by(text, maker)]
    return tuple(dict.fromkeys(seen))


def _seen_by(text: str, maker: str) -> tuple[Size, ...]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == maker]
    assigned = _assignments(tree)
    reached = _reached(functions, assigned)
    named = [size for name in reached for size in assigned[name][1]]
    written = [size for function in functions for size in _numbers(function, lambda count: f"{maker}[{count}]")]
    return tuple(dict.fromkeys([*named, *written]))


Assigned = Mapping[str, tuple[ast.expr, tuple[Size, ...]]]


def _assignments(tree: ast.Module) -> Assigned:
    """The module's names, each with what it is assigned and the numbers therein."""
    found: dict[str, tuple[ast.expr, tuple[Size, ...]]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                for name, value in _bindings(target, statement.value):
                    found[name] = (value, tuple(_numbers(value, _element_names(name, value))))
    return found


def _bindings(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """`height, width = 4, 8` binds each name to its own number."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, other in zip(target.elts, value.elts, strict=True):
            yield from _bindings(one, other)


def _element_names(name: str, value: ast.expr) -> Callable[[int], str]:
    plain = _number(value) is not None
    return lambda count: name if plain else f"{name}[{count}]"


def _reached(functions: Sequence[ast.FunctionDef], assigned: Assigned) -> list[str]:
    """The assigned names that the functions use, and those that are used for these in turn, in the file's order."""
    reached: set[str] = set()
    waiting: list[ast.AST] = list(functions)
    while waiting:
        names = {node.id for node in ast.walk(waiting.pop()) if isinstance(node, ast.Name)}
        fresh = (names & set(assigned)) - reached
        reached |= fresh
        waiting += [assigned[name][0] for name in fresh]
    return [name for name in assigned if name in reached]


def _numbers(node: ast.AST, name: Callable[[int], str]) -> Iterator[Size]:
    """The whole numbers above 1 in an expression, products of numbers as one; no factor of anything else."""
    found: list[tuple[ast.expr, int]] = []
    _collect(node, found)
    for count, (place, value) in enumerate(found):
        end = place.end_lineno or place.lineno, place.end_col_offset or place.col_offset
        yield Size(name(count), value, (place.lineno, place.col_offset), end)


def _collect(node: ast.AST, found: list[tuple[ast.expr, int]]) -> None:
    if isinstance(node, ast.expr) and (value := _number(node)) is not None:
        if value > 1:
            found.append((node, value))
        return
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, (ast.BinOp, ast.Subscript)) and isinstance(child, ast.expr) and _number(child)):
            _collect(child, found)


def _number(node: ast.expr) -> int | None:
    """The value of a whole number, or of a product or power of such; None for all else."""
    match node:
        case ast.Constant(value) if isinstance(value, int) and not isinstance(value, bool):
            return value
        case ast.BinOp(left, ast.Mult() | ast.Pow(), right):
            one, other = _number(left), _number(right)
            if one is None or other is None or (isinstance(node.op, ast.Pow) and not 0 <= other < 64):
                return None
            return one * other if isinstance(node.op, ast.Mult) else one**other
    return None


def _rewritten(text: str, sizes: Sequence[Size], used: Mapping[int, int]) -> tuple[str, tuple[Scaling, ...]]:
    """The text with the numbers in their new sizes, and what was changed."""
    changed = [size for size in sizes if used[size.value] != size.value]
    lines = [line.encode() for line in text.split("\n")]
    for size in sorted({size.start: size for size in changed}.values(), key=lambda size: size.start, reverse=True):
        lines = _replaced(lines, size, str(used[size.value]).encode())
    return b"\n".join(lines).decode(), tuple(Scaling(size.name, size.value, used[size.value]) for size in changed)


def _replaced(lines: list[bytes], size: Size, number: bytes) -> list[bytes]:
    (first, column), (last, end) = size.start, size.end
    new = lines[first - 1][:column] + number + lines[last - 1][end:]
    return [*lines[: first - 1], new, *lines[last:]]


def _power_below(value: float) -> int:
    return 1 << (int(value).bit_length() - 1)
