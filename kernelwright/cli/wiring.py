"""Opens what a command needs, and hands it to the flow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kernelwright import flow, targets
from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.codec import digest
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accepted, Baselines, Choice, Keep, Rejected, Trial
from kernelwright.core.spec import Target
from kernelwright.core.task import Contract, Task
from kernelwright.settings import Settings
from kernelwright.store import Found, open_store

if TYPE_CHECKING:
    from kernelwright.capture.subject import Subject

OUTPUT = Path("kernelwright-out")


@dataclass(frozen=True, slots=True)
class Captured:
    """The first event: what is being worked on, by its name."""

    name: str
    task: Task


Event = Captured | flow.Event
Tell = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Done:
    """One finished `optimize`: all that was told, and the folder that it may write to."""

    task: Task
    baselines: Baselines
    trials: tuple[Trial, ...]
    choice: Choice
    folder: Path


def optimize(
    named: str, inputs: str | None, contract: Contract, settings: Settings, output: Path | None, fresh: bool, tell: Tell
) -> Done:
    """Capture, recall or search, choose. `fresh` skips the recalling."""
    from kernelwright.engines.search import Search
    from kernelwright.judge import open_judge

    subject = find_subject(named, inputs, targets.detect(settings.device, settings.compiler), contract)
    folder = output or OUTPUT / subject.name
    check_writable(folder)
    tell(Captured(subject.name, subject.task))
    heard: list[Event] = []

    def tell_and_keep(event: flow.Event) -> None:
        heard.append(event)
        tell(event)

    budget = flow.Budget(time.monotonic() + settings.budget, time.monotonic)
    with open_store(settings.store) as store, open_judge(subject.task, subject.state) as judge:
        choice = None if fresh else flow.recall(subject.task, judge, store, tell_and_keep)
        if choice is None:
            choice = flow.optimize(subject.task, [Search()], judge, store, budget, tell_and_keep)
    baselines = [event for event in heard if isinstance(event, Baselines)][-1]
    trials = tuple(event for event in heard if isinstance(event, Trial))
    return Done(subject.task, baselines, trials, choice, folder)


def judge(
    reference: Path, candidate: Path, contract: Contract, settings: Settings, tell: Tell
) -> tuple[Task, Rejected | Accepted]:
    """What the judge says of a file that a person, or anything else, has written."""
    from kernelwright.capture import source, subject
    from kernelwright.judge import open_judge

    given = subject.from_file(reference, targets.detect(settings.device, settings.compiler), contract)
    proposal = Candidate(digest(given.task), source.read(candidate), Handmade(candidate.name))
    tell(Captured(given.name, given.task))
    with open_judge(given.task, given.state) as judge:
        tell(judge.baselines())
        return given.task, judge.examine(proposal)


def export(found: Found, folder: Path) -> Path:
    """The kernel that was found, as a file that runs without kernelwright."""
    from kernelwright.deploy.export import export as write

    check_writable(folder)
    return write(found.record.task, candidate_of(found), folder)


def candidate_of(found: Found) -> Candidate:
    if found.trial:
        return found.trial.candidate
    if isinstance(found.record.choice, Keep):
        return found.record.choice.trial.candidate
    raise UsageError(
        f"no kernel was kept for task {found.record.digest[:12]}; "
        "'kernelwright store show' lists its candidates, and each can be exported by its own digest"
    )


def find_subject(named: str, inputs: str | None, target: Target, contract: Contract) -> Subject:
    from kernelwright.capture import subject

    if named.endswith(".py") or ":" not in named:
        return subject.from_file(Path(named), target, contract)
    return subject.from_name(named, inputs, target, contract)


def check_writable(folder: Path) -> None:
    """Raises UsageError now, rather than when the work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}: {error.strerror}; name another folder with --output DIR"
        ) from error


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Each text under its name in `folder`."""
    try:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}: {error.strerror}; the kernel is in the store: kernelwright store list"
        ) from error
