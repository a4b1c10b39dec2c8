"""The two ways in: `optimize` for a live module, `solve` for whatever was captured; both open what the flow needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import nn

from kernelwright import settings as configuration
from kernelwright.capture.source import Input, check_inputs
from kernelwright.capture.subject import Subject, from_module
from kernelwright.core.errors import CaptureError
from kernelwright.core.outcome import Baselines, Choice, Keep, Trial
from kernelwright.core.stats import median_ms
from kernelwright.core.task import Contract
from kernelwright.deploy.module import deploy
from kernelwright.engines.search import Search, captured
from kernelwright.flow import Budget, Event, Tell, recall
from kernelwright.flow import optimize as run
from kernelwright.judge.courtroom import BaselineName
from kernelwright.judge.judge import IsolatedJudge, open_judge
from kernelwright.runtime import configure
from kernelwright.settings import Settings, worker_variables
from kernelwright.store.remembered import Remembered
from kernelwright.store.store import TrialStore, open_store
from kernelwright.targets import cpu, detect

BASELINES: tuple[BaselineName, ...] = ("eager", "compile")
AS_FAST = 1.1  # times the faster baseline: near enough for a second look


@dataclass(frozen=True, slots=True)
class Solution:
    """What came of a subject, and everything that was told on the way."""

    subject: Subject
    choice: Choice
    events: tuple[Event, ...]
    recalled: bool  # answered from the store, after a re-check on this machine

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(event for event in self.events if isinstance(event, Trial))


def optimize(
    model: nn.Module,
    example_inputs: Sequence[Input],
    *,
    device: str | None = None,
    budget: float | None = None,
    store: Path | str | None = None,
    on_capture_error: Literal["raise", "keep"] = "raise",
    tell: Tell = lambda event: None,
) -> nn.Module:
    """A module that computes what `model` does, faster where a kernel was found that is right and surely faster.

    example_inputs: tensors and numbers as `model(*example_inputs)` takes them; kernels are made for their shapes,
        and the original runs on any other. budget: seconds of search. tell: called with each event as it comes.
    on_capture_error: "raise" a CaptureError where torch.export cannot take the module, or "keep" the module as it is.

    The result shares the parameters of `model`. Where PyTorch is kept, `model` itself is returned.
    Raises CaptureError, UsageError, MachineError or StoreError.
    """
    chosen = _overridden(configuration.load(), device, budget, None if store is None else Path(store))
    target = detect(chosen.device, chosen.compiler)
    try:
        subject = from_module(model, check_inputs(example_inputs), target, Contract())
    except CaptureError:
        if on_capture_error == "raise":
            raise
        return model
    choice = solve(subject, chosen, tell).choice
    if not isinstance(choice, Keep):
        return model
    configure(compiler=chosen.compiler, cache=chosen.cache / "kernels")
    return deploy(model, choice.trial.candidate.source, (), subject.task.inputs, choice=choice)


def solve(subject: Subject, chosen: Settings, tell: Tell, *, fresh: bool = False) -> Solution:
    """The flow on one subject with the store, judge and engines that the settings name.

    fresh: search again, whatever the store remembers.
    """
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)
        tell(event)

    task = subject.task
    note(task)
    with open_store(chosen.store) as store:
        if not fresh and (recalled := _recalled(subject, chosen, store, note)):
            return Solution(subject, recalled, tuple(events), recalled=True)
        return Solution(subject, _searched(subject, chosen, store, note, fresh), tuple(events), recalled=False)


def _recalled(subject: Subject, chosen: Settings, store: TrialStore, tell: Tell) -> Choice | None:
    decision = store.decision(subject.task)
    if decision is None:
        return None
    with judging(subject, chosen, _rivals(decision[1])) as judge:
        return recall(subject.task, judge, store, tell)


def _rivals(baselines: Baselines) -> tuple[BaselineName, ...]:
    """What a kept kernel has to beat again. Where eager is as fast as torch.compile, nothing need be compiled."""
    medians = {measured.name: median_ms(measured.samples_ns) for measured in baselines.measured}
    return ("eager",) if medians["eager"] <= AS_FAST * min(medians.values()) else ("eager", "compile")


def _searched(subject: Subject, chosen: Settings, store: TrialStore, tell: Tell, fresh: bool) -> Choice:
    task = subject.task
    with judging(subject, chosen) as judge:
        captured(task)  # what torch.export cannot take is refused before anything is measured
        engine = Search(cpu.roofline(task.target), seed=chosen.seed)
        budget = Budget(time.monotonic() + chosen.budget, time.monotonic)
        remembered = Remembered(judge, () if fresh else store.trials(task))
        return run(task, [engine], remembered, store, budget, tell)


def judging(
    subject: Subject,
    chosen: Settings,
    baselines: Sequence[BaselineName] = BASELINES,
    tell: Callable[[str], None] = lambda stage: None,
) -> IsolatedJudge:
    """The judge of a subject, as the settings have it; a context manager. tell: called as parts of its work begin."""
    return open_judge(
        subject.task,
        baselines=baselines,
        state=subject.state or None,
        threads=chosen.threads or None,
        compiler=chosen.compiler,
        variables=worker_variables(),
        cache=chosen.cache / "compile",
        tell=tell,
    )


def _overridden(chosen: Settings, device: str | None, budget: float | None, store: Path | None) -> Settings:
    named = {"device": device, "budget": budget, "store": store}
    return replace(chosen, **{name: value for name, value in named.items() if value is not None})
