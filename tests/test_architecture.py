"""The house stands as docs/architecture.md draws it: imports point down, and what is to be in one place is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernelwright

ROOT = Path(kernelwright.__file__).parent

ROWS = [
    ["cli"],
    ["bench", "mcp"],
    ["clerk"],
    ["api"],
    ["flow"],
    ["settings", "report"],
    ["engines", "judge", "store", "deploy", "choose"],
    ["capture", "tricks", "kernels", "targets"],
    ["graph", "runtime"],
    ["core"],
]
RANK = {name: rank for rank, row in enumerate(reversed(ROWS)) for name in row}

READS_ENVIRONMENT = {
    "settings.py",
    "judge/sandbox.py",  # scrubs what a candidate would inherit
}
CATCHES_ALL = {
    "deploy/module.py",  # a kernel's fault falls back to the original
    "judge/worker.py",  # whatever a candidate raises becomes an answer to the judge
}


def sources() -> dict[str, str]:
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(ROOT.rglob("*.py"))}


def imported(text: str) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function, by its dotted name."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module, names, 0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                yield "." * node.level


def own_part(path: str) -> str:
    return path.removesuffix(".py").split("/")[0]


def upward_imports(files: dict[str, str]) -> Iterator[str]:
    for path, text in files.items():
        here = own_part(path)
        if here == "__init__":  # the public names may come from anywhere
            continue
        for name in imported(text):
            parts = name.split(".")
            if name.startswith("."):
                if len(name) > path.count("/"):
                    yield f"{path} imports {name}, which leaves {here}: name the module in full"
            elif parts[0] == "kernelwright" and len(parts) > 1 and not may_import(here, parts[1]):
                yield f"{path} imports {name}; {here} may import {[part for part in RANK if RANK[part] < RANK[here]]}"


def may_import(here: str, there: str) -> bool:
    return there == here or there == "__version__" or RANK.get(there, len(ROWS)) < RANK[here]


def environment_reads(files: dict[str, str]) -> Iterator[str]:
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Attribute(attr="environ" | "environb" | "getenv") | ast.alias(name="environ" | "getenv"):
                    yield path


def broad_catches(files: dict[str, str]) -> Iterator[str]:
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and catches_all(node) and not raises_again(node):
                yield path


def catches_all(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or getattr(kind, "id", "") in ("Exception", "BaseException") for kind in kinds)


def raises_again(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None


def test_every_part_has_its_row() -> None:
    assert {own_part(path) for path in sources()} - {"__init__"} <= set(RANK)


def test_imports_point_down() -> None:
    assert list(upward_imports(sources())) == []


@pytest.mark.parametrize(
    "text",
    [
        "from kernelwright.judge.judge import examine",
        "import kernelwright.store",
        "from kernelwright import cli",
        "def late():\n    from kernelwright.flow import optimize",
        "from ..core import spec",
    ],
)
def test_an_upward_or_sideways_import_is_noticed(text: str) -> None:
    assert list(upward_imports({"engines/search.py": text}))


def test_core_uses_the_standard_library_alone() -> None:
    core = {path: text for path, text in sources().items() if path.startswith("core/")}
    names = {name.split(".")[0] for text in core.values() for name in imported(text)}
    assert names <= {"kernelwright", *sys.stdlib_module_names}


def test_the_environment_is_read_in_one_place() -> None:
    assert set(environment_reads(sources())) <= READS_ENVIRONMENT
    assert list(environment_reads({"a.py": "import os\nos.getenv('X')", "b.py": "from os import environ"})) == [
        "a.py",
        "b.py",
    ]


def test_everything_is_caught_in_two_places_only() -> None:
    assert set(broad_catches(sources())) <= CATCHES_ALL
    assert list(broad_catches({"a.py": "try: f()\nexcept (KeyError, Exception): pass"})) == ["a.py"]
    assert list(broad_catches({"a.py": "try: f()\nexcept BaseException:\n    g()\n    raise"})) == []


def test_the_public_names_are_these() -> None:
    assert sorted(kernelwright.__all__) == [
        "CaptureError",
        "KernelwrightError",
        "MachineError",
        "StoreError",
        "UsageError",
        "optimize",
    ]
    assert all(hasattr(kernelwright, name) for name in kernelwright.__all__)


def test_a_command_that_needs_no_torch_does_not_wait_for_it() -> None:
    look = "import sys, kernelwright.cli; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_file_says_what_it_is() -> None:
    assert [path for path, text in sources().items() if not ast.get_docstring(ast.parse(text))] == []
