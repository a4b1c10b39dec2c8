"""What can be refused by reading a candidate. Behaviour decides the rest: honest kernels use odd words too."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kernelwright.judge.objection import Objection

IMPORTS = ("torch", "math", "kernelwright.runtime", "triton", "typing", "collections", "dataclasses", "functools",
           "itertools", "operator", "enum", "contextlib", "warnings", "textwrap", "numpy", "__future__")  # fmt: skip
FORBIDDEN_IMPORTS = ("torch.utils.cpp_extension", "torch.hub", "torch.multiprocessing", "torch.distributed")
FORBIDDEN_CALLS = ("open", "exec", "eval", "compile", "__import__", "input", "breakpoint", "globals", "vars")


def audit(source: str) -> None:
    """Raises Objection that names the line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if line else ""
        raise Objection("audit", f"{where}not Python: {getattr(error, 'msg', error)}") from error
    for complaint in complaints(tree):
        raise Objection("audit", complaint)


def complaints(tree: ast.Module) -> Iterator[str]:
    if not any(isinstance(node, ast.ClassDef) and node.name == "ModelNew" for node in tree.body):
        yield "no class ModelNew at the top level"
    for node in ast.walk(tree):
        yield from (f"imports {name}, which candidates may not" for name in imported(node) if not may_import(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            yield f"line {node.lineno}: calls {node.func.id}()"


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module or '.'}.{alias.name}" for alias in node.names]
    return []


def may_import(name: str) -> bool:
    return within(name, IMPORTS) and not within(name, FORBIDDEN_IMPORTS)


def within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
