"""How a task is opened: from a reference file, its text, or what the store remembers. Paths are read as text only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from kernelwright import targets
from kernelwright.capture import source
from kernelwright.capture.subject import Subject, from_text
from kernelwright.core.codec import digest
from kernelwright.core.errors import UsageError
from kernelwright.core.task import Contract
from kernelwright.settings import Settings
from kernelwright.store import open_store

LARGEST = 1 << 20  # bytes of a reference or candidate
CHOICES = {"precision": ("parity", "tf32"), "robustness": ("reported", "binding"), "layouts": ("fixed", "any")}


def contract(**options: object) -> Contract:
    """A contract of the options that were given. Raises UsageError for a value that is none."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name in CHOICES and value not in CHOICES[name]:
            raise UsageError(f"{name} {value!r} is not known; known: {', '.join(CHOICES[name])}")
    gain = cast(float, given.get("gain", Contract().gain))
    if not 1.0 <= gain < float("inf"):
        raise UsageError(f"gain must be a speed-up of 1 or more, not {gain!r}")
    return Contract(**cast("dict[str, Any]", given))


def open_file(path: Path, settings: Settings, terms: Contract) -> Subject:
    """The task of a reference file, now known to the store. The file is run in this process."""
    return open_text(path.stem, small_text(path), settings, terms)


def open_text(name: str, text: str, settings: Settings, terms: Contract) -> Subject:
    """The task of a reference file's text, now known to the store. The text is run in this process."""
    subject = from_text(name, text, targets.detect(settings.device, settings.compiler), terms)
    with open_store(settings.store) as store:
        store.introduce(subject.task)
    return subject


def from_store(named: str, settings: Settings) -> Subject:
    """The task whose digest starts so, opened before. Raises UsageError where it is unknown or of another machine."""
    with open_store(settings.store) as store:
        task = store.find(named).record.task
    here = targets.detect(task.target.kind, settings.compiler)
    if task.target != here:
        raise UsageError(
            f"task {digest(task)[:12]} is for {task.target.name} with {', '.join(task.target.toolchain)}, "
            f"and this is {here.name} with {', '.join(here.toolchain)}; open its reference file again here"
        )
    return Subject(digest(task)[:12], task)


def candidate_text(given: str) -> str:
    """A candidate's text: of a file where a path is given, else what is given."""
    return small_text(Path(given)) if is_path(given) else given


def is_path(given: str) -> bool:
    """A text that defines anything has a line break; a path has none."""
    return "\n" not in given.strip()


def small_text(path: Path) -> str:
    """The text of a Python file. Raises UsageError for what is none."""
    if path.suffix != ".py":
        raise UsageError(f"{str(path)[:200]!r} is no Python file; wanted a path that ends in .py")
    if path.is_file() and path.stat().st_size > LARGEST:
        raise UsageError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST} are read")
    return source.read(path)
