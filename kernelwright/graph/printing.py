"""A canonical graph as the PyTorch that a person would have written."""

from __future__ import annotations

import ast
import json
import keyword
import math
import operator
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import fx

from kernelwright.core.spec import InputSpec, ScalarSpec
from kernelwright.graph.edit import shape
from kernelwright.graph.forms import FIRST, FORMS, INFIX, ONCE, PREFIX, REDUCTION, SILENT
from kernelwright.graph.query import arguments

WIDTH = 108  # of a line in a method's body, before it is indented
WORTH_FREEING = 1 << 20  # bytes; a local of that size goes when it was read for the last time

NameOf = Callable[[fx.Node], str]


def expression(node: fx.Node, name_of: NameOf) -> str:
    """One call as Python text over the names of what it reads. Needs `torch` and `torch.nn.functional as F`."""
    if node.op == "get_attr":
        return attribute(str(node.target))
    if node.op != "call_function":
        raise ValueError(f"{node.name} is a {node.op}; only calls and attributes have an expression")
    if node.target is operator.getitem:
        return f"{_text(node.args[0], name_of)}[{node.args[1]}]"
    overload = _overload(node)
    if overload in SPECIAL:
        return SPECIAL[overload](node, name_of)
    if overload in INFIX and (text := _infix(node, INFIX[overload], name_of)):
        return text
    if overload in PREFIX:
        return f"{PREFIX[overload]}{_text(node.args[0], name_of)}"
    return _formed(node, FORMS.get(overload, ""), name_of) or _verbatim(node, name_of)


def attribute(target: str) -> str:
    """`layers.0.weight` as `self.layers[0].weight`: every container of numbered members can be indexed."""
    text = "self"
    for part in target.split("."):
        if part.isdecimal() and str(int(part)) == part:
            text += f"[{part}]"
        elif part.isidentifier() and not keyword.iskeyword(part):
            text += f".{part}"
        else:
            text = f"getattr({text}, {json.dumps(part)})"
    return text


def forward_lines(module: fx.GraphModule, replaced: Mapping[fx.Node, Sequence[str]] | None = None) -> list[str]:
    """The body of forward, not indented. Every call assigns the name of its node.

    Nodes in `replaced` print as the lines given, possibly none; together these must assign the names of all replaced
    nodes that others read.
    """
    replaced = replaced or {}
    printer = _Printer(module.graph, replaced)
    lines = [line for node in module.graph.nodes for line in printer.lines(node)]
    return _inline_return(_free(lines, module.graph))


def signature(graph: fx.Graph, inputs: Sequence[InputSpec] = (), parameters: Sequence[str] = ()) -> str:
    """`def forward(self, x, mask):`. Numbers are baked into the graph, but keep their place.

    parameters: names by position, for numbers; a number without one is called `number_<position>`.
    """
    tensors = iter([str(node.target) for node in graph.nodes if node.op == "placeholder"])
    names = [(parameters[position] if position < len(parameters) else f"number_{position}")
             if isinstance(spec, ScalarSpec) else next(tensors) for position, spec in enumerate(inputs)]  # fmt: skip
    return f"def forward({', '.join(['self', *names, *tensors])}):"


class _Printer:
    """Lines of one graph, node by node: knows which names stand for what."""

    def __init__(self, graph: fx.Graph, replaced: Mapping[fx.Node, Sequence[str]]) -> None:
        self.replaced = replaced
        self.folded = {node for node in graph.nodes if self._folds(node)}
        self.unpacked = {node for node in graph.nodes if self._unpacks(node)}

    def lines(self, node: fx.Node) -> Iterable[str]:
        if node in self.replaced:
            return self.replaced[node]
        if node.op == "placeholder":
            return [] if node.name == node.target else [f"{node.name} = {node.target}"]
        if node.op == "output":
            return _wrapped(f"return {_text(node.args[0], self.name_of, list_as_tuple=False)}")
        if node.op == "get_attr" or node in self.folded or (_item_of(node) in self.unpacked):
            return []
        return _wrapped(self._statement(node))

    def name_of(self, node: fx.Node) -> str:
        if node.op == "get_attr" and node not in self.replaced:
            return attribute(str(node.target))
        return expression(node, self.name_of) if node in self.folded else node.name

    def _statement(self, node: fx.Node) -> str:
        if _overload(node) == "copy_.default":
            return expression(node, self.name_of)
        if node in self.unpacked:
            return f"{_targets(node)} = {expression(node, self.name_of)}"
        return f"{node.name} = {self._first(node) or expression(node, self.name_of)}"

    def _first(self, node: fx.Node) -> str | None:
        """The call that gives just the first of several results, where this is that one and the others are not read."""
        source = _item_of(node)
        if source is None or source not in self.folded or node.args[1] != 0:
            return None
        return _formed(source, FIRST.get(_overload(source), ""), self.name_of)

    def _folds(self, node: fx.Node) -> bool:
        """Whether a call with several results is read once, by an item of it, and needs no name."""
        users = list(node.users)
        return _is_tuple(node) and len(users) == 1 and self._is_item(users[0]) and node not in self.replaced

    def _unpacks(self, node: fx.Node) -> bool:
        """Whether most results of a call are read, each under its own name."""
        items = [user.args[1] for user in node.users if self._is_item(user)]
        each_once = 1 < len(items) == len(node.users) == len(set(items))
        return each_once and _is_tuple(node) and 2 * len(items) >= len(node.meta["val"]) and node not in self.replaced

    def _is_item(self, node: fx.Node) -> bool:
        return node.target is operator.getitem and node not in self.replaced


def _is_tuple(node: fx.Node) -> bool:
    return node.op == "call_function" and isinstance(node.meta.get("val"), (tuple, list))


def _item_of(node: fx.Node) -> fx.Node | None:
    source = node.args[0] if node.target is operator.getitem else None
    return source if isinstance(source, fx.Node) else None


def _targets(node: fx.Node) -> str:
    names = {user.args[1]: user.name for user in node.users}
    return ", ".join(names.get(place, "_") for place in range(len(node.meta["val"])))


def _overload(node: fx.Node) -> str:
    """`softmax.int`: the operator and which of its signatures; empty for what is not ATen's."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return ""
    return f"{target._opname}.{target._overloadname}"


# One call


def _infix(node: fx.Node, form: str, name_of: NameOf) -> str | None:
    left, sign, right = form.split()
    given = arguments(node)
    if not _says_all(node, given, {left, right}):
        return None
    return f"{_operand(given[left], name_of)} {sign} {_operand(given[right], name_of)}"


def _operand(value: Any, name_of: NameOf) -> str:
    text = _text(value, name_of)
    return f"({text})" if text.startswith("-") else text


def _formed(node: fx.Node, form: str, name_of: NameOf) -> str | None:
    """The call in the way its form says; None where there is none, or it cannot say all that the call says."""
    if not form:
        return None
    callee, positions, keywords = _parsed(form)
    given = arguments(node)
    named = {*(name.lstrip("*") for name in positions), *keywords.values()}
    if not _says_all(node, given, named | ({"self"} if callee.startswith("self.") else set())):
        return None
    if callee.startswith("self."):
        callee = f"{_text(given['self'], name_of)}{callee[4:]}"
    texts = [*_positional(node, positions, given, name_of), *_keywords(node, keywords, given, name_of)]
    return f"{callee}({', '.join(texts)})"


@cache
def _parsed(form: str) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """A form's callee, its arguments by position, and those by keyword."""
    callee, _, rest = form.removesuffix(")").partition("(")
    items = rest.split(", ") if rest else []
    pairs = (item.split("=", 1) for item in items if "=" in item)
    keywords = {key: name or key for key, name in pairs}
    return callee, tuple(item for item in items if "=" not in item), keywords


def _says_all(node: fx.Node, given: Mapping[str, Any], named: set[str]) -> bool:
    return all(name in named or name in SILENT or _is_default(node, name, value) for name, value in given.items())


def _is_default(node: fx.Node, name: str, value: Any) -> bool:
    """Whether leaving this argument out means the same. No optional argument of a form means something else by None."""
    default = _schema(node)[name]
    if isinstance(value, fx.Node):
        return False
    if isinstance(value, (list, tuple)) and isinstance(default, (list, tuple)):
        return list(value) == list(default)
    return value == default and type(value) in (type(default), float, int)


def _schema(node: fx.Node) -> dict[str, Any]:
    return {argument.name: argument.default_value for argument in node.target._schema.arguments}  # type: ignore[union-attr]


def _positional(node: fx.Node, names: Sequence[str], given: Mapping[str, Any], name_of: NameOf) -> Iterator[str]:
    shown = list(names)
    while shown and not shown[-1].startswith("*") and _is_default(node, shown[-1], given[shown[-1]]):
        shown.pop()
    for name in shown:
        value = given[name.lstrip("*")]
        if name.startswith("*"):
            yield from (_text(item, name_of) for item in value)
        else:
            yield _argument(name, value, name_of)


def _keywords(node: fx.Node, names: Mapping[str, str], given: Mapping[str, Any], name_of: NameOf) -> Iterator[str]:
    for key, name in names.items():
        if name.startswith("'"):
            yield f"{key}={json.dumps(name.strip(chr(39)))}"
        elif not _is_default(node, name, given[name]):
            yield f"{key}={_argument(name, given[name], name_of)}"


def _argument(name: str, value: Any, name_of: NameOf) -> str:
    """A value as this argument's Python name takes it: `stride=2` for [2, 2], `dim=-1` for [-1]."""
    if name == "reduction" and isinstance(value, int):
        return json.dumps(REDUCTION[value])
    if not isinstance(value, (list, tuple)) or not value or any(item != value[0] for item in value):
        return _text(value, name_of)
    return _text(value[0] if name in ONCE or (name == "dim" and len(value) == 1) else value, name_of)


def _text(value: Any, name_of: NameOf, *, list_as_tuple: bool = True) -> str:
    if isinstance(value, fx.Node):
        return name_of(value)
    if isinstance(value, (list, tuple)):
        return _sequence(value, name_of, list_as_tuple)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, (str, torch.device)):
        return json.dumps(str(value))
    return repr(value)


def _sequence(value: Sequence[Any], name_of: NameOf, list_as_tuple: bool) -> str:
    """Numbers as a tuple, tensors as a list; what forward returns, as it is."""
    items = [_text(item, name_of, list_as_tuple=list_as_tuple) for item in value]
    tensors = any(isinstance(item, fx.Node) for item in value)
    if isinstance(value, list) and (tensors or not list_as_tuple):
        return f"[{', '.join(items)}]"
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _verbatim(node: fx.Node, name_of: NameOf) -> str:
    """The operator itself, by its full name: says anything."""
    given = [_text(value, name_of) for value in node.args]
    given += [f"{key}={_text(value, name_of)}" for key, value in node.kwargs.items()]
    if isinstance(node.target, torch._ops.OpOverload):
        callee = f"torch.ops.{node.target}"
    else:
        callee = f"torch.{node.target.__name__}"  # type: ignore[union-attr]
    return f"{callee}({', '.join(given)})"


def _select(node: fx.Node, name_of: NameOf) -> str:
    given = arguments(node)
    return _indexed(node, given["dim"], str(given["index"]), name_of)


def _slice(node: fx.Node, name_of: NameOf) -> str:
    given = arguments(node)
    start, end, step = given["start"] or "", given["end"], given["step"]
    text = f"{start}:{'' if end is None or end == sys.maxsize else end}"
    return _indexed(node, given["dim"], text if step == 1 else f"{text}:{step}", name_of)


def _indexed(node: fx.Node, dim: int, index: str, name_of: NameOf) -> str:
    """`x[:, 0]`, and `x[..., 0]` where that is shorter."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    rank = len(shape(source))
    before = dim % rank
    leading = ["..."] if before == rank - 1 and before > 1 else [":"] * before
    return f"{name_of(source)}[{', '.join([*leading, index])}]"


def _index(node: fx.Node, name_of: NameOf) -> str:
    given = arguments(node)
    items = [":" if item is None else _text(item, name_of) for item in given["indices"]]
    return f"{_text(given['self'], name_of)}[{', '.join(items)}]"


SPECIAL: Mapping[str, Callable[[fx.Node, NameOf], str]] = {
    "select.int": _select,
    "slice.Tensor": _slice,
    "index.Tensor": _index,
}


# The body as a whole


def _wrapped(statement: str) -> list[str]:
    """A statement cut into lines where it is long, inside its brackets."""
    if len(statement) <= WIDTH or not re.search(r"[(\[]", statement) or re.search(r'"[^"]* [^"]*"', statement):
        return [statement]
    lines = textwrap.wrap(statement, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return lines if _parses("\n".join(lines)) else [statement]


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _free(lines: Sequence[str], graph: fx.Graph) -> list[str]:
    """Large locals deleted once they were read for the last time: the next call reuses memory that is still warm."""
    large = {node.name for node in graph.nodes if node.op == "call_function" and _nbytes(node) >= WORTH_FREEING}
    statements = ast.parse("\n".join(lines)).body
    last: dict[str, int] = {}
    stored: set[str] = set()
    for statement in statements:
        for found in ast.walk(statement):
            if isinstance(found, ast.Name) and found.id in large:
                last[found.id] = statement.end_lineno or statement.lineno
                stored |= {found.id} if isinstance(found.ctx, ast.Store) else set()
    end = statements[-1].end_lineno
    printed: list[str] = []
    for number, line in enumerate(lines, start=1):
        printed.append(line)
        gone = [name for name, at in last.items() if at == number != end and name in stored]
        printed += [f"del {', '.join(gone)}"] if gone else []
    return printed


def _nbytes(node: fx.Node) -> int:
    val = node.meta.get("val")
    parts = val if isinstance(val, (tuple, list)) else [val]
    return sum(part.numel() * part.element_size() for part in parts if isinstance(part, torch.Tensor))


def _inline_return(lines: Sequence[str]) -> list[str]:
    """`y = f(x)`, `return y` as `return f(x)`."""
    if len(lines) < 2 or not lines[-1].startswith("return "):
        return list(lines)
    name, start = lines[-1].removeprefix("return "), f"{lines[-1].removeprefix('return ')} = "
    if not name.isidentifier() or not lines[-2].startswith(start):
        return list(lines)
    return [*lines[:-2], *_wrapped(f"return {lines[-2].removeprefix(start)}")]
