"""Opens what a command needs: a subject, a judge, a folder. PyTorch is imported here, when it is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kernelwright import targets
from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.codec import digest, dumps
from kernelwright.core.conversation import Conversation
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accepted, Keep, Rejected
from kernelwright.core.task import Contract
from kernelwright.flow import Event
from kernelwright.settings import Settings
from kernelwright.store import Found

if TYPE_CHECKING:
    from kernelwright.api import Solution
    from kernelwright.capture.subject import Subject

MEASURED = ("verify", "time")  # the stages that need to know how fast and how exact PyTorch is
Tell = Callable[[Event], None]


def solve(subject: Subject, settings: Settings, tell: Tell, fresh: bool) -> Solution:
    from kernelwright import api

    return api.solve(subject, settings, tell, fresh=fresh)


def judge(subject: Subject, candidate: Path, settings: Settings, tell: Tell) -> Rejected | Accepted:
    """What the judge says of a file that a person, or anything else, has written."""
    from kernelwright import api
    from kernelwright.capture import source

    proposal = Candidate(digest(subject.task), source.read(candidate), Handmade(candidate.name))
    tell(subject.task)
    with api.judging(subject, settings) as opened:
        outcome = opened.examine(proposal)
        if isinstance(outcome, Accepted) or outcome.stage in MEASURED:
            tell(opened.baselines())
    return outcome


def export(found: Found, folder: Path) -> Path:
    """The kernel that was found, as a file that runs without kernelwright."""
    candidate = candidate_of(found)
    check_writable(folder)
    from kernelwright.deploy.export import export as write_alone

    return write_alone(found.record.task, candidate, folder)


def candidate_of(found: Found) -> Candidate:
    if found.trial:
        return found.trial.candidate
    if isinstance(found.record.choice, Keep):
        return found.record.choice.trial.candidate
    raise UsageError(
        f"no kernel was kept for task {found.record.digest[:12]}; "
        "'kernelwright store show' lists its candidates, and each can be exported by its own digest"
    )


def find_subject(named: str, inputs: str | None, settings: Settings) -> Subject:
    """What FILE.py or package.module:Model stands for, on the device of the settings."""
    target = targets.detect(settings.device, settings.compiler)
    from kernelwright.capture import subject

    if named.endswith(".py") or ":" not in named:
        return subject.from_file(Path(named), target, Contract())
    return subject.from_name(named, inputs, target, Contract())


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


def write_conversations(folder: Path, events: Sequence[Event]) -> None:
    """Each conversation as a file of its own, which --replay reads."""
    held = {f"{digest(event)}.json": dumps(event) for event in events if isinstance(event, Conversation)}
    if held:
        check_writable(folder / "conversations")
        write(folder / "conversations", held)


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Each text under its name in `folder`."""
    try:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}: {error.strerror}; the kernel is in the store: kernelwright store list"
        ) from error
