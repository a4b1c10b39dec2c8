"""Opens what a command needs: a subject, a judge, a folder. PyTorch is imported here, when it is needed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kernelwright import targets
from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.certificate import Certificate
from kernelwright.core.codec import digest, dumps
from kernelwright.core.conversation import Conversation
from kernelwright.core.errors import MachineError, UsageError
from kernelwright.core.outcome import Accepted, Keep
from kernelwright.core.task import Contract
from kernelwright.flow import Event
from kernelwright.judge.certificate import VALUES, Finding, Paper, check_text, issue, read
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


def judge(subject: Subject, candidate: Path, settings: Settings, tell: Tell) -> Certificate:
    """What the judge says of a file that a person, or anything else, has written."""
    from kernelwright import api
    from kernelwright.capture import source

    proposal = Candidate(digest(subject.task), source.read(candidate), Handmade(candidate.name))
    tell(subject.task)
    with api.judging(subject, settings) as opened:
        outcome = opened.examine(proposal)
        measured = isinstance(outcome, Accepted) or outcome.stage in MEASURED
        baselines = opened.baselines() if measured else None
        made = {"baselines": baselines, "master": opened.master, "now": datetime.now(UTC)}
        return issue(subject.task, proposal, outcome, opened.environment, **made)


def verify(paper: Paper, settings: Settings, timed: bool) -> Iterator[Finding]:
    """Everything that can be asked of a certificate here, each answer as it comes."""
    yield from check_text(paper)
    certificate = paper.certificate
    try:
        target = targets.detect(certificate.task.target.kind, settings.compiler)
    except MachineError as error:
        yield Finding(VALUES, "cannot be checked here", str(error))
        return
    from kernelwright import api
    from kernelwright.capture.subject import Subject
    from kernelwright.judge.replay import replay

    subject = Subject("certificate", replace(certificate.task, target=target))
    threads = certificate.environment.threads
    chosen = replace(settings, threads=threads) if 0 < threads <= target.cores else settings
    yield from replay(certificate, lambda master: api.judging(subject, chosen, master=master), timed=timed)


def write_text(path: Path, text: str) -> None:
    """Into a folder that is there. Nothing is left half written: a name appears when its text is whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise UsageError(f"cannot write {path}: {error.strerror}; name another file") from error


def read_certificate(path: Path) -> Paper:
    try:
        return read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


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


def find_reference(path: Path, settings: Settings) -> Subject:
    """What a reference file stands for, on the device of the settings."""
    target = targets.detect(settings.device, settings.compiler)
    from kernelwright.capture import subject

    return subject.from_file(path, target, Contract())


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
