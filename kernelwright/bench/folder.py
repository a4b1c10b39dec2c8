"""A run's folder, written: one run at a time, each file whole or not there at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernelwright.core import codec
from kernelwright.core.errors import StoreError, UsageError
from kernelwright.core.run import Entry, Run
from kernelwright.report.run import ENTRIES, RUN_FILE, entry_file, read_entry

LOCK = "lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder is this process's for as long as the block runs. Raises UsageError where another one has it.

    The system gives the lock up when the process dies, however it dies.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}: {error.strerror}; name another folder with --output DIR"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UsageError(
                f"process {holder} is at work on {folder}; wait for it or end it, or name another with --output DIR"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def check_free(folder: Path) -> None:
    """Raises UsageError where the folder holds anything."""
    if (folder / RUN_FILE).exists():
        raise UsageError(f"{folder} holds a run: go on with it by --resume {folder}, or name another with --output DIR")
    others = sorted(path.name for path in folder.iterdir() if path.name != LOCK)
    if others:
        raise UsageError(f"{folder} is not empty ({others[0]}); name a folder of its own for the run with --output DIR")


def begin(folder: Path, run: Run) -> None:
    """Write down what is asked."""
    with _in_words(folder):
        (folder / ENTRIES).mkdir(exist_ok=True)
    _write(folder / RUN_FILE, codec.dumps(run))


def add(folder: Path, entry: Entry) -> None:
    """Keep what came of one problem."""
    _write(entry_file(folder, entry.problem.name), codec.dumps(entry))


def done(folder: Path, run: Run) -> tuple[Entry, ...]:
    """What is there already. What a killed process was writing is cleared away."""
    for left in (folder / ENTRIES).glob("*.part"):
        left.unlink()
    files = ((name, entry_file(folder, name)) for name in run.problems)
    return tuple(read_entry(file, name) for name, file in files if file.exists())


def _write(file: Path, text: str) -> None:
    """The whole text under that name, on the disk, or the file as it was."""
    part = file.with_name(file.name + ".part")
    with _in_words(file.parent):
        try:
            with part.open("w", encoding="utf-8") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())
            part.replace(file)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise


@contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror}; what was written before is whole. "
            "Make room on that disk, then go on with --resume"
        ) from error
