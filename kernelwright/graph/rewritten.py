"""A reference file's text with another forward: what the constructor needs stays as its author wrote it."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from torch import nn

from kernelwright.core.errors import UsageError

USUAL = {"torch": "import torch", "nn": "from torch import nn", "F": "import torch.nn.functional as F",
         "math": "import math"}  # fmt: skip


def rewritten_source(reference: str, forward: Sequence[str], class_name: str = "ModelNew", docstring: str = "", *,
                     imports: Sequence[str] = (), above: str = "", signature: str = "") -> str:  # fmt: skip
    """A file that defines `class_name` like the reference's Model, but with this body of forward.

    Imports, helpers and constants stay where the constructor needs them, comments included; get_inputs,
    get_init_inputs and what only they or the old forward needed go.

    forward: lines, not indented. docstring: of the file. imports: lines to add. above: text over the class, kernels.
    signature: `def forward(...):`, where it cannot be the reference's own.
    Raises UsageError where Model inherits its forward and no signature is given.
    """
    tree = ast.parse(reference)
    text = _Text(reference)
    model = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Model"), None)
    new_class = _renamed_class(text, model, forward, class_name, signature)
    needed = _names(ast.parse(new_class + "\n" + above)) - {class_name}
    kept = _needed(tree, needed, model)
    before = [node for node in kept if model is None or node.lineno < model.lineno]
    after = [node for node in kept if node not in before]
    bound = {name for node in kept for name in _bound(node)}
    added = [*imports, *(line for name, line in USUAL.items() if name in needed - bound and line not in imports)]
    parts = [*_grouped(text, before, added), above.strip("\n"), new_class, *_grouped(text, after, ())]
    header = (
        [f'"""{docstring.strip()}\n"""' if "\n" in docstring.strip() else f'"""{docstring}"""'] if docstring else []
    )
    return _joined([*header, *(part for part in parts if part)])


class _Text:
    """Source text by ranges of lines, and by nodes with the comments above them."""

    def __init__(self, source: str) -> None:
        self.lines = source.splitlines()

    def of(self, node: ast.stmt) -> str:
        return "\n".join(self.lines[self.start(node) - 1 : node.end_lineno])

    def start(self, node: ast.stmt) -> int:
        """The first line of a statement, of its decorators, and of the comment that stands on it."""
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        while first > 1 and self.lines[first - 2].lstrip().startswith("#"):
            first -= 1
        return first


# The class


def _renamed_class(text: _Text, model: ast.ClassDef | None, forward: Sequence[str], name: str, signature: str) -> str:
    if model is None or model.body[0].lineno == model.lineno:
        return f"class {name}(Model):\n{_method(_signature(None, signature), forward, '    ')}"
    old = next((node for node in model.body if isinstance(node, ast.FunctionDef) and node.name == "forward"), None)
    indent = " " * model.body[0].col_offset
    method = _method(_signature(old, signature), forward, indent)
    header = "\n".join(text.lines[text.start(model) - 1 : text.start(model.body[0]) - 1])
    members = [method if node is old else text.of(node) for node in _members(model, old)]
    members += [] if old else [method]
    new = _spaced(members)
    return _renamed(f"{header.rstrip()}\n{new}", "Model", name)


def _members(model: ast.ClassDef, old: ast.stmt | None) -> Iterator[ast.stmt]:
    """What stays of the class: all but methods that neither the constructor nor nn.Module itself calls."""
    methods = {node.name: node for node in model.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    called = {name for name in methods if hasattr(nn.Module, name)}
    while True:
        reached = {found.attr for name in called - {"forward"} for found in ast.walk(methods[name])
                   if isinstance(found, ast.Attribute)}  # fmt: skip
        if reached & methods.keys() <= called:
            break
        called |= reached & methods.keys()
    for node in model.body:
        if node is old or getattr(node, "name", None) in called or node not in methods.values():
            yield node


def _signature(old: ast.FunctionDef | None, given: str) -> str:
    if given:
        return given
    if old is None:
        raise UsageError("the reference's Model has no forward of its own; give the signature that the new one has")
    returns = f" -> {ast.unparse(old.returns)}" if old.returns else ""
    return f"def forward({ast.unparse(old.args)}){returns}:"


def _method(signature: str, body: Sequence[str], indent: str) -> str:
    return textwrap.indent("\n".join([signature, *(textwrap.indent(line, "    ") for line in body)]), indent)


def _spaced(members: Iterable[str]) -> str:
    """Members of a class, a blank line around methods."""
    text = ""
    previous = ""
    for member in members:
        method = re.search(r"^\s*(async )?def ", f"{previous}\n{member}", re.MULTILINE)
        text += ("\n\n" if previous and method else "\n" if previous else "") + member
        previous = member
    return text


def _renamed(source: str, old: str, new: str) -> str:
    """The same text where every use of a name, and the class of that name, is called otherwise."""
    lines = [line.encode() for line in source.split("\n")]
    uses = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and node.id == old]
    for use in sorted(uses, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line, at = lines[use.lineno - 1], use.col_offset
        lines[use.lineno - 1] = line[:at] + new.encode() + line[at + len(old.encode()) :]
    text = b"\n".join(lines).decode()
    return re.sub(rf"^class {old}\b", f"class {new}", text, count=1, flags=re.MULTILINE)


# What stands around it


def _needed(tree: ast.Module, names: set[str], model: ast.ClassDef | None) -> list[ast.stmt]:
    """The statements, other than Model, that bind one of the names or what those need in turn."""
    candidates = [node for node in tree.body if node is not model and not _is_main_guard(node)]
    needed, kept = set(names), set[ast.stmt]()
    while True:
        more = {node for node in candidates if node not in kept and _serves(node, needed, tree)}
        if not more:
            return [node for node in candidates if node in kept]
        kept |= more
        needed |= {name for node in more for name in _names(node)}


def _serves(node: ast.stmt, needed: set[str], tree: ast.Module) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    if isinstance(node, ast.Expr):  # `SIZES.append(3)`, where SIZES is needed and the file's own
        root = _root(node.value)
        imported = {
            name for other in tree.body if isinstance(other, (ast.Import, ast.ImportFrom)) for name in _bound(other)
        }
        return root in needed - imported
    return bool(_bound(node) & needed) or "*" in _bound(node)


def _bound(node: ast.stmt) -> set[str]:
    """The names that a statement of the top level gives a meaning, or changes."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign):
        return {name for target in node.targets for name in _targets(target)}
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        return set(_targets(node.target))
    return {name for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.ExceptHandler))
            for name in _inner(child)}  # fmt: skip


def _inner(child: ast.AST) -> set[str]:
    if isinstance(child, ast.ExceptHandler):
        return {name for statement in child.body for name in _bound(statement)}
    assert isinstance(child, ast.stmt)
    return _bound(child)


def _targets(target: ast.expr) -> Iterator[str]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for item in target.elts:
            yield from _targets(item)
    elif root := _root(target):
        yield root


def _root(node: ast.expr) -> str:
    """`SIZES` of `SIZES[0].append(3)`."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _names(node: ast.AST) -> set[str]:
    return {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in _names(node.test)


# Layout


def _grouped(text: _Text, nodes: Sequence[ast.stmt], imports: Sequence[str]) -> list[str]:
    """Imports first as they stand, ours after them; then each run of simple statements, each class, each function."""
    count = 0
    while count < len(nodes) and isinstance(nodes[count], (ast.Import, ast.ImportFrom)):
        count += 1
    head = [text.of(node) for node in nodes[:count]]
    blocks = ["\n".join([*head, *(line for line in imports if line not in head)])]
    for node in nodes[count:]:
        simple = not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        if simple and len(blocks) > 1 and not blocks[-1].lstrip().startswith(("def ", "class ", "@", "async ")):
            blocks[-1] += f"\n{text.of(node)}"
        else:
            blocks.append(text.of(node))
    return blocks


def _joined(parts: Sequence[str]) -> str:
    text = parts[0]
    for before, part in pairwise(parts):
        defines = re.search(r"^(class|def|async|@)", f"{before}\n{part}", re.MULTILINE)
        text += ("\n\n\n" if defines else "\n\n") + part
    return text + "\n"
