"""A run's folder, read: run.json says what was asked, entries/NAME.json what came of each problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from kernelwright.core import codec
from kernelwright.core.errors import UsageError
from kernelwright.core.run import RUN_FORMAT, Entry, Failed, Run, Solved

T = TypeVar("T")

RUN_FILE, ENTRIES = "run.json", "entries"


def read_run(folder: Path) -> Run:
    """What was asked. Raises UsageError where the folder holds no run that this version can read."""
    file = folder / RUN_FILE
    if not file.is_file():
        seen = "has no run.json" if folder.is_dir() else "is no folder"
        raise UsageError(f"{folder} {seen}; wanted the folder of a run: kernelwright bench SUITE makes one")
    data = _json(file)
    _check_format(folder, data)
    return _value(file, data, Run)


def read_entries(folder: Path) -> tuple[Entry, ...]:
    """What came of each problem that is done, in the run's order. Raises UsageError that names a broken file."""
    files = ((name, entry_file(folder, name)) for name in read_run(folder).problems)
    return tuple(read_entry(file, name) for name, file in files if file.exists())


def read_entry(file: Path, name: str) -> Entry:
    """One problem's file. Raises UsageError where it is broken, or is another problem's."""
    entry = _value(file, _json(file), Entry)
    if not isinstance(entry.result, (Solved, Failed)) or entry.problem.name != name:
        raise UsageError(f"{file} does not hold what came of {name}; remove it, and --resume runs that problem again")
    return entry


def entry_file(folder: Path, name: str) -> Path:
    return folder / ENTRIES / f"{name.replace('/', '__')}.json"


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}: {error}; {_remedy(file)}") from None


def _check_format(folder: Path, data: Any) -> None:
    found = data.get("format") if isinstance(data, dict) else None
    if isinstance(found, int) and found > RUN_FORMAT:
        raise UsageError(
            f"the run {folder} has format {found}, this kernelwright reads format {RUN_FORMAT}; nothing was changed. "
            "Upgrade kernelwright, or start a new run"
        )


def _value(file: Path, data: Any, noun: type[T]) -> T:
    try:
        value = codec.decode(data)
    except ValueError as error:
        raise UsageError(f"cannot read {file}: {error}; {_remedy(file)}") from None
    if not isinstance(value, noun):
        raise UsageError(f"{file} holds no {noun.__name__}; {_remedy(file)}")
    return value


def _remedy(file: Path) -> str:
    if file.name == RUN_FILE:
        return "the run cannot be told without it: start a new one"
    return "remove it, and --resume runs that problem again"
