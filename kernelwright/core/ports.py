"""The seams: what the flow asks of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from kernelwright.core.candidate import Candidate
from kernelwright.core.outcome import Accepted, Baselines, Choice, Environment, Outcome, Rejected, Trial
from kernelwright.core.task import Task


class Engine(Protocol):
    """Proposes. Sees the task and the history; never builds, times, compares or stores."""

    @property
    def name(self) -> str: ...

    def propose(self, task: Task, history: Sequence[Trial]) -> Iterable[Candidate]:
        """The next batch, most promising first; nothing when there is no more to try."""
        ...


class Judge(Protocol):
    """Measures. Bound to one task for its lifetime; runs no candidate code in this process."""

    @property
    def environment(self) -> Environment: ...

    def baselines(self) -> Baselines:
        """How fast PyTorch itself is. Measured once, then remembered."""
        ...

    def screen(self, candidates: Sequence[Candidate]) -> Iterator[Outcome]:
        """Rejected or Screened for each, in order: build, one value check, short timing."""
        ...

    def examine(self, candidate: Candidate) -> Rejected | Accepted:
        """All stages; the first that objects decides."""
        ...


class Store(Protocol):
    """Remembers. Every trial, and the choice."""

    def remember(self, task: Task, trial: Trial) -> None: ...

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """All trials of this task, oldest first."""
        ...

    def decide(self, task: Task, choice: Choice, baselines: Baselines) -> None: ...

    def decision(self, task: Task) -> tuple[Choice, Baselines] | None: ...
