"""The two ways in: `optimize` for a live module, `solve` for whatever was captured; both open what the flow needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal

from torch import nn

from kernelwright import settings as configuration
from kernelwright.capture.source import Input, check_inputs
from kernelwright.capture.subject import Subject, from_module
from kernelwright.core.candidate import Candidate, Written
from kernelwright.core.conversation import Conversation
from kernelwright.core.errors import CaptureError, MachineError, UsageError
from kernelwright.core.outcome import Adequacy, Baselines, Choice, Keep, Rejected, Trial
from kernelwright.core.ports import Engine
from kernelwright.core.stats import median_ms
from kernelwright.core.task import Contract, Task
from kernelwright.deploy.module import deploy
from kernelwright.engines.agent import Agent, Elsewhere, Meter
from kernelwright.engines.agent.models import Endpoint, Price, connect, priced
from kernelwright.engines.agent.replay import read, replayed
from kernelwright.engines.agent.talk import Model
from kernelwright.engines.search import Search, captured
from kernelwright.flow import Budget, Event, Tell, recall
from kernelwright.flow import optimize as run
from kernelwright.judge import limits
from kernelwright.judge.courtroom import BaselineName, Quiet
from kernelwright.judge.judge import IsolatedJudge, open_judge
from kernelwright.runtime import configure
from kernelwright.settings import KEYS, Settings, model_keys, secrets, worker_variables
from kernelwright.store.remembered import Remembered
from kernelwright.store.store import TrialStore, open_store
from kernelwright.targets import detect, roofline

BASELINES: tuple[BaselineName, ...] = ("eager", "compile")
SEARCH, AGENT = "search", "agent"
Run = Callable[..., Any]  # of an event loop
AS_FAST = 1.1  # times the faster baseline: near enough for a second look


@dataclass(frozen=True, slots=True)
class Sharing:
    """How this process shares the machine with others of its kind; by default there are none.

    quiet: entered wherever calls are timed. clock: on which the budget runs.
    """

    quiet: Quiet = nullcontext
    clock: Callable[[], float] = time.monotonic


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


def solve(
    subject: Subject, chosen: Settings, tell: Tell, *, fresh: bool = False, sharing: Sharing = Sharing()
) -> Solution:
    """The flow on one subject with the store, judge and engines that the settings name.

    fresh: search again, whatever the store remembers.
    """
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)
        tell(event)

    task = subject.task
    models = models_of(chosen)  # what is wrong with them is said before anything is measured
    if SEARCH in chosen.engines and task.target.kind != "cpu":
        raise MachineError(
            f"the search writes kernels for cpu only, not for {task.target.kind}: have a language model write them "
            "(--engine agent --model PROVIDER:NAME), write them yourself (kernelwright task open), or use --device cpu"
        )
    note(task)
    with open_store(chosen.store) as store:
        if not fresh and (recalled := _recalled(subject, chosen, store, note, sharing)):
            return Solution(subject, recalled, tuple(events), recalled=True)
        choice = _searched(subject, chosen, models, store, _assessing(task, store, note), sharing, fresh)
        return Solution(subject, choice, tuple(events), recalled=False)


def _assessing(task: Task, store: TrialStore, tell: Tell) -> Tell:
    """`tell`, and what the task can tell is kept as soon as it is known."""

    def note(event: Event) -> None:
        if isinstance(event, Baselines) and event.adequacy:
            store.assess(task, event.adequacy)
        tell(event)

    return note


def _recalled(subject: Subject, chosen: Settings, store: TrialStore, tell: Tell, sharing: Sharing) -> Choice | None:
    decision = store.decision(subject.task)
    if decision is None or (AGENT in chosen.engines and not _was_asked(store.trials(subject.task))):
        return None
    with judging(subject, chosen, _rivals(decision[1]), sharing, store.adequacy(subject.task)) as judge:
        return recall(subject.task, judge, store, tell)


def _rivals(baselines: Baselines) -> tuple[BaselineName, ...]:
    """What a kept kernel has to beat again. Where eager is as fast as torch.compile, nothing need be compiled."""
    medians = {measured.name: median_ms(measured.samples_ns) for measured in baselines.measured}
    return ("eager",) if medians["eager"] <= AS_FAST * min(medians.values()) else ("eager", "compile")


def _was_asked(trials: Sequence[Trial]) -> bool:
    """Whether a language model has worked on this before."""
    return any(isinstance(trial.candidate.origin, Written) for trial in trials)


def _searched(
    subject: Subject,
    chosen: Settings,
    models: tuple[Model, ...],
    store: TrialStore,
    tell: Tell,
    sharing: Sharing,
    fresh: bool,
) -> Choice:
    task = subject.task
    known = None if fresh else store.adequacy(task)
    with judging(subject, chosen, sharing=sharing, adequacy=known) as judge, asyncio.Runner() as runner:
        captured(task)  # what torch.export cannot take is refused before anything is measured
        budget = Budget(sharing.clock() + chosen.budget, sharing.clock)
        engines: dict[str, Engine] = {}
        if SEARCH in chosen.engines:
            engines[SEARCH] = Search(roofline(task.target), seed=chosen.seed)
        if models:
            engines[AGENT] = _agent(task, chosen, models, store, tell, budget, runner.run, _profiler(judge))
        remembered = Remembered(judge, () if fresh else store.trials(task))
        return run(task, [engines[name] for name in chosen.engines], remembered, store, budget, tell)


def _profiler(judge: IsolatedJudge) -> Callable[[Candidate], str]:
    """Where a kernel spends its time, for an analyst, asked once a kernel; "" where it cannot be told."""

    @cache
    def profile(candidate: Candidate) -> str:
        found = judge.profile(candidate)
        return "" if isinstance(found, Rejected) else str(found)

    return profile


def _agent(
    task: Task,
    chosen: Settings,
    models: tuple[Model, ...],
    store: TrialStore,
    tell: Tell,
    budget: Budget,
    loop: Run,
    profile: Callable[[Candidate], str],
) -> Agent:
    def keep(conversation: Conversation) -> None:
        store.keep(task, conversation)
        tell(conversation)

    return Agent(
        models,
        roofline(task.target),
        Meter(chosen.max_tokens, chosen.max_cost),
        keep,
        loop,
        lambda: budget.deadline - budget.now(),
        _elsewhere(task, store),
        chosen.rounds,
        profile=profile,
    )


def _elsewhere(task: Task, store: TrialStore) -> tuple[Elsewhere, ...]:
    """Kernels that were kept for the same reference on another machine, or under another contract."""
    return tuple(
        Elsewhere(record.task.target, record.choice.trial.candidate.source, record.choice.gain)
        for record in store.records()
        if isinstance(record.choice, Keep) and record.task.reference == task.reference and record.task != task
    )


def models_of(chosen: Settings) -> tuple[Model, ...]:
    """One model for each branch of the agent engine; none where it is not asked for. Raises UsageError."""
    unknown = [name for name in chosen.engines if name not in (SEARCH, AGENT)]
    if unknown or not chosen.engines:
        raise UsageError(f"engine {', '.join(unknown)!r} is not known; known: {SEARCH}, {AGENT}")
    if AGENT not in chosen.engines:
        return ()
    if _in_event_loop():
        raise UsageError(
            "engine 'agent' cannot be asked from inside an event loop, as a notebook is; "
            "call optimize in a thread of its own, or use the command line"
        )
    if chosen.replay:
        return replayed(read(chosen.replay))
    if not chosen.models:
        raise UsageError("engine 'agent' asks a language model; name one with --model PROVIDER:NAME")
    price = Price(*chosen.price) if chosen.price else None
    endpoint = Endpoint(model_keys(), secrets(), chosen.base_url, price, chosen.reply_tokens)
    connected = [connect(named, endpoint, KEYS) for named in chosen.models]
    for model in connected:
        if chosen.max_cost is not None and not priced(model.name, price):
            raise UsageError(f"the price of {model.name} is not known, so --max-cost cannot hold; give --price IN,OUT")
    return tuple(islice(cycle(connected), max(chosen.parallel, len(connected))))


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def judging(
    subject: Subject,
    chosen: Settings,
    baselines: Sequence[BaselineName] = BASELINES,
    sharing: Sharing = Sharing(),
    adequacy: Adequacy | None = None,
    master: bytes | None = None,
    tell: Callable[[str], None] = lambda stage: None,
) -> IsolatedJudge:
    """The judge of a subject, as the settings have it; a context manager.

    master: replays a certificate's seeds. tell: called as parts of the judge's work begin.
    """
    return open_judge(
        subject.task,
        baselines=baselines,
        state=subject.state or None,
        threads=chosen.threads or None,
        compiler=chosen.compiler,
        variables=worker_variables(),
        cache=chosen.cache / "compile",
        adequacy=adequacy,
        sandbox=chosen.sandbox,
        limits=limits.granting(chosen.worker_memory),
        master=master,
        quiet=sharing.quiet,
        tell=tell,
    )


def _overridden(chosen: Settings, device: str | None, budget: float | None, store: Path | None) -> Settings:
    named = {"device": device, "budget": budget, "store": store}
    return replace(chosen, **{name: value for name, value in named.items() if value is not None})
