"""How far a command is: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from kernelwright.cli.wiring import Tell
from kernelwright.core.conversation import Conversation
from kernelwright.core.outcome import Baselines, Trial
from kernelwright.core.run import Entry, Run
from kernelwright.core.task import Task
from kernelwright.flow import Event
from kernelwright.report import run_rows

REFRESHES_A_SECOND = 1  # the bar shares its processor with what is being timed


@contextmanager
def progress(budget: float | None = None) -> Iterator[Tell]:
    """A bar on stderr that fills as the budget is spent, for as long as the block runs."""
    if (bar := a_bar()) is None:
        yield lambda event: None
        return
    with bar:
        row = bar.add_task("starting", total=budget)

        def advance(event: Event) -> None:
            bar.update(row, description=under_way(event), completed=bar.tasks[0].elapsed or 0.0)

        yield advance


@contextmanager
def standing(jobs: int) -> Iterator[Callable[[Run, Sequence[Entry]], None]]:
    """A bar on stderr that fills as the problems of a suite are done, for as long as the block runs."""
    if (bar := a_bar()) is None:
        yield lambda run, entries: None
        return
    with bar:
        row = bar.add_task("starting", total=None)

        def advance(run: Run, entries: Sequence[Entry]) -> None:
            of = len(run.problems)
            bar.update(row, total=of, completed=len(entries), description=run_rows.standing(entries, of, jobs))

        yield advance


def a_bar() -> Progress | None:
    """None where stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    return Progress(
        *(BarColumn(24), TimeElapsedColumn(), TextColumn("{task.description}")),
        console=console,
        transient=True,
        refresh_per_second=REFRESHES_A_SECOND,
        redirect_stdout=sys.stdout.isatty(),
    )


def under_way(event: Event) -> str:
    """What is being done after this event."""
    match event:
        case Task():
            return "measuring PyTorch"
        case Baselines():
            return "searching"
        case Conversation(round=number):
            return f"asking models, round {number + 1}"
        case Trial(round=number):
            return f"searching, round {number + 1}"
        case _:
            return "writing"
