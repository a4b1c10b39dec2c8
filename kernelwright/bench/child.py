"""What is done in a problem's own process: see that its text runs, and put it through the flow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kernelwright.bench.turns import Turns
from kernelwright.core import codec
from kernelwright.core.codec import digest
from kernelwright.core.conversation import Conversation
from kernelwright.core.errors import CaptureError, KernelwrightError, MachineError, StoreError, UsageError
from kernelwright.core.outcome import Baselines, Environment, Trial
from kernelwright.core.run import Failed, Problem, Solved
from kernelwright.core.task import Contract, Task
from kernelwright.settings import Settings

if TYPE_CHECKING:
    from kernelwright.api import Solution
    from kernelwright.capture.subject import Subject

NO_ROOM = ("can't allocate memory", "out of memory", "MemoryError")


@dataclass(frozen=True, slots=True)
class Job:
    """One problem to be solved, and with what."""

    problem: Problem
    settings: Settings
    contract: Contract
    turns: Path


def environment(settings: Settings) -> Environment | KernelwrightError:
    """The machine and the versions that the judge says it works with, or why there can be no run like this here."""
    from kernelwright import api, targets
    from kernelwright.capture.subject import Subject

    try:
        target = targets.detect(settings.device, settings.compiler)
        api.models_of(settings)
    except (UsageError, MachineError) as error:
        return error
    with api.judging(Subject("nothing", Task("", (), target)), settings) as judge:
        return judge.environment


def objection(job: Job) -> str:
    """Why this text cannot be made a task; empty where it can."""
    try:
        with Turns(job.turns):
            _subject(job)
    except KernelwrightError as error:
        return str(error)
    return ""


def solve(job: Job) -> str | StoreError:
    """Solved or Failed, as text. A store that cannot be written ends the whole run."""
    try:
        with Turns(job.turns) as turns:
            return codec.dumps(_solved(job, turns))
    except StoreError as error:
        return error
    except KernelwrightError as error:
        return codec.dumps(failed(error))


def failed(error: KernelwrightError) -> Failed:
    message = str(error)
    if any(sign in message for sign in NO_ROOM):
        return Failed("memory", message)
    if isinstance(error, UsageError):
        return Failed("broken", message)
    return Failed("capture" if isinstance(error, CaptureError) else "machine", message)


def _solved(job: Job, turns: Turns) -> Solved:
    from kernelwright import api, targets
    from kernelwright.engines.floor import floor_seconds
    from kernelwright.engines.search import captured

    subject = _subject(job)
    solution = api.solve(subject, job.settings, lambda event: None, sharing=api.Sharing(turns.alone, turns.clock))
    task = subject.task
    baselines = [event for event in solution.events if isinstance(event, Baselines)][-1]
    trials, conversations = _remembered(job, solution) if solution.recalled else (solution.trials, _said(solution))
    floor = floor_seconds(captured(task), targets.roofline(task.target))
    return Solved(digest(task), baselines, solution.choice, trials, floor * 1e9, conversations)


def _subject(job: Job) -> Subject:
    from kernelwright import targets
    from kernelwright.capture.subject import from_text

    target = targets.detect(job.settings.device, job.settings.compiler)
    return from_text(job.problem.name, job.problem.reference, target, job.contract)


def _said(solution: Solution) -> tuple[Conversation, ...]:
    return tuple(event for event in solution.events if isinstance(event, Conversation))


def _remembered(job: Job, solution: Solution) -> tuple[tuple[Trial, ...], tuple[Conversation, ...]]:
    """Where the answer came from the store, so does the search that led to it."""
    from kernelwright.store import open_store

    with open_store(job.settings.store) as store:
        return store.trials(solution.subject.task), store.conversations(solution.subject.task)
