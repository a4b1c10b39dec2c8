"""A run's folder, written as pages that open from a disk."""

from __future__ import annotations

from pathlib import Path

from kernelwright.core.errors import UsageError
from kernelwright.report import pages, views
from kernelwright.report.run import read_entries, read_run


def write(run_folder: Path, output: Path) -> Path:
    """index.html, problems/NAME.html and assets/ in `output`; returns the first. Raises UsageError."""
    run, entries = read_run(run_folder), read_entries(run_folder)
    names = [entry.problem.name for entry in entries]
    try:
        for folder in (output / "assets", output / "problems"):
            folder.mkdir(parents=True, exist_ok=True)
        for name in pages.ASSETS:
            (output / "assets" / name).write_text(pages.asset(name), encoding="utf-8")
        for entry in entries:
            file = output / "problems" / views.page_of(entry.problem.name)
            file.write_text(pages.problem(run, entry, names), encoding="utf-8", errors="replace")
        first = output / "index.html"
        first.write_text(pages.index(run, entries), encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(
            f"cannot write the report to {output}: {error.strerror}; name another folder with --output DIR"
        ) from error
    return first
