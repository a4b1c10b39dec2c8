"""A suite's problems: a KernelBench checkout, a folder of reference files, or a data set from Hugging Face."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kernelwright.core.errors import MachineError, UsageError, blame
from kernelwright.settings import OUTPUT

HUB = "hf:"
LEVEL = re.compile(r"level_?(\d+)")


@dataclass(frozen=True, slots=True)
class Listed:
    """One problem as its suite has it. `broken` says why its text could not be read; empty where it could."""

    name: str
    level: str
    text: str
    broken: str = ""


def listed(suite: str, levels: Sequence[str] = (), pattern: str = "*") -> tuple[Listed, ...]:
    """The suite's problems at those levels (all where none is named) whose names match, in order.

    Raises UsageError where there is no such suite, or nothing in it is asked for.
    """
    found = sorted(_of_hub(suite) if suite.startswith(HUB) else _of_folder(Path(suite)), key=_in_order)
    _check_distinct(found)
    known = sorted({problem.level for problem in found} - {""})
    for level in levels:
        if level not in known:
            raise UsageError(f"{suite} has no level {level!r}; it has {', '.join(known) or 'no levels'}")
    at_levels = [problem for problem in found if not levels or problem.level in levels]
    matching = tuple(problem for problem in at_levels if matches(problem.name, pattern))
    if not matching:
        raise UsageError(
            f"nothing in {suite} is called {pattern!r}: {len(at_levels)} problems, such as {at_levels[0].name}"
        )
    return matching


def absolute(suite: str) -> str:
    """The suite's name for whoever resumes from another folder."""
    return suite if suite.startswith(HUB) else str(Path(suite).resolve())


def matches(name: str, pattern: str) -> bool:
    """Whether the whole name, or its last part, is like the pattern."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)


def _of_folder(folder: Path) -> list[Listed]:
    if not folder.is_dir():
        seen = "is a file: kernelwright optimize takes one" if folder.exists() else "does not exist"
        raise UsageError(f"the suite {folder} {seen}; wanted a folder of reference files, or {HUB}OWNER/NAME")
    root = folder / "KernelBench" if _level_folders(folder / "KernelBench") else folder
    files = [file for inside in _level_folders(root) or [root] for file in sorted(inside.rglob("*.py"))]
    found = [_read(file, file.relative_to(root)) for file in files if not _is_private(file.relative_to(root))]
    if not found:
        raise UsageError(f"no reference file in {folder}; wanted *.py files that define Model and get_inputs()")
    return found


def _level_folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("level*") if path.is_dir() and LEVEL.fullmatch(path.name))


def _is_private(path: Path) -> bool:
    """Of packages and tools rather than a problem, or what we have written."""
    return any(part.startswith(("_", ".")) or part == OUTPUT.name for part in path.parts)


def _read(file: Path, path: Path) -> Listed:
    name = path.with_suffix("").as_posix()
    try:
        return Listed(name, level_of(name), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return Listed(name, level_of(name), "", f"cannot read {file}: {error}")


def level_of(name: str) -> str:
    """The number in KernelBench's folders, any other folder's name, or nothing."""
    top = name.partition("/")[0] if "/" in name else ""
    return found[1] if (found := LEVEL.fullmatch(top)) else top


def _of_hub(suite: str) -> list[Listed]:
    """Splits level_1, level_2 and so on, with columns code, name and problem_id."""
    try:
        datasets: Any = importlib.import_module("datasets")
    except ImportError:
        raise MachineError(f"{suite} needs the package 'datasets': pip install datasets; or name a folder") from None
    with blame(MachineError, f"cannot load {suite} (is there a network?)"):
        splits = datasets.load_dataset(suite.removeprefix(HUB))
    with blame(UsageError, f"{suite} is no suite: wanted splits level_1, ... with columns code, name, problem_id"):
        return [_of_row(level[1], row) for split, rows in splits.items()
                if (level := LEVEL.fullmatch(split)) for row in rows]  # fmt: skip


def _of_row(level: str, row: dict[str, Any]) -> Listed:
    number = f"{row['problem_id']}_"
    name = number + str(row["name"]).removeprefix(number).replace("/", "_")
    return Listed(f"level{level}/{name}", level, str(row["code"]))


def _in_order(problem: Listed) -> tuple[tuple[int, str], ...]:
    """Numbers by value: 2_Linear before 10_Softmax."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", problem.name))


def _check_distinct(found: Iterable[Listed]) -> None:
    """A run's folder has one file for each problem."""
    files: dict[str, str] = {}
    for problem in found:
        other = files.setdefault(problem.name.replace("/", "__"), problem.name)
        if other is not problem.name:
            raise UsageError(f"two problems would share a file: {other} and {problem.name}; rename one")
