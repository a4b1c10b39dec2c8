"""The sentence: engines propose, the judge examines, one is chosen or PyTorch is kept, the store remembers.

This file is that and nothing else. `optimize` is the whole of it; `recall` answers a task that was solved before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from kernelwright.choose import choose, keep
from kernelwright.core.candidate import Candidate
from kernelwright.core.codec import digest
from kernelwright.core.conversation import Conversation
from kernelwright.core.outcome import Accepted, Baselines, Choice, Fallback, Keep, Outcome, Screened, Trial
from kernelwright.core.ports import Engine, Judge, Store
from kernelwright.core.stats import median_ms, verdict
from kernelwright.core.task import Task

Event = Task | Baselines | Conversation | Trial | Choice  # what is told on the way, by whoever did it
Tell = Callable[[Event], None]

EXAMINED = 2  # of each screened round, how many go through all stages
WITHIN = 1.1  # and only those within this factor of the round's fastest, and of PyTorch itself


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop proposing, on the caller's clock."""

    deadline: float
    now: Callable[[], float]

    @property
    def spent(self) -> bool:
        return self.now() >= self.deadline


def optimize(task: Task, engines: Sequence[Engine], judge: Judge, store: Store, budget: Budget, tell: Tell) -> Choice:
    """Propose, screen and examine, round by round, until nothing is proposed or the budget is spent; then choose.

    The first round is always gone through. A fallback for lack of time is no decision: the next run searches on.
    """
    baselines = judge.baselines()
    tell(baselines)
    history: tuple[Trial, ...] = ()
    for number in count():
        if history and budget.spent:
            break
        batch = _proposals(engines, task, history)
        if not batch:
            break
        for trial in _round(number, batch, judge, _bar(baselines, history), budget):
            store.remember(task, trial)
            tell(trial)
            history += (trial,)
    for trial in _confirmations(task, baselines, history, judge):
        store.remember(task, trial)
        tell(trial)
        history += (trial,)
    choice = choose(baselines, history, task.contract.gain)
    if isinstance(choice, Keep) or not budget.spent:
        store.decide(task, choice, baselines)
    tell(choice)
    return choice


def recall(task: Task, judge: Judge, store: Store, tell: Tell) -> Choice | None:
    """What was decided before, if it still holds here: a kept kernel is examined again, a fallback is believed.

    None where the task is new, the machine or a version differs, or the kernel is no longer right and faster.
    """
    decision = store.decision(task)
    if decision is None or not any(trial.environment == judge.environment for trial in store.trials(task)):
        return None
    choice, baselines = decision
    tell(baselines)
    if isinstance(choice, Fallback):
        tell(choice)
        return choice
    trial = examine(choice.trial, judge)
    store.remember(task, trial)
    tell(trial)
    if not (isinstance(trial.outcome, Accepted) and verdict(trial.outcome.timing, task.contract.gain) == "FASTER"):
        return None
    again: Keep = keep(trial, choice.passed)
    store.decide(task, again, baselines)
    tell(again)
    return again


def examine(trial: Trial, judge: Judge) -> Trial:
    """The same candidate through all stages of the judge, here and now."""
    outcome = judge.examine(trial.candidate)
    return Trial(trial.round, trial.engine, trial.candidate, outcome, judge.environment)


def _proposals(engines: Sequence[Engine], task: Task, history: Sequence[Trial]) -> dict[Candidate, str]:
    """What the engines propose now and have not proposed before, each with its engine's name."""
    seen = {digest(trial.candidate) for trial in history}
    proposed = ((candidate, engine.name) for engine in engines for candidate in engine.propose(task, history))
    return {candidate: name for candidate, name in proposed if digest(candidate) not in seen}


def _round(number: int, batch: dict[Candidate, str], judge: Judge, bar: float, budget: Budget) -> Iterator[Trial]:
    """Screen all, then examine the best few."""
    screened: list[Trial] = []
    for candidate, outcome in zip(batch, judge.screen(tuple(batch)), strict=True):
        screened.append(Trial(number, batch[candidate], candidate, outcome, judge.environment))
        yield screened[-1]
    for place, trial in enumerate(_most_promising(screened, bar)):
        if place and budget.spent:
            return
        yield examine(trial, judge)


def _confirmations(task: Task, baselines: Baselines, history: tuple[Trial, ...], judge: Judge) -> Iterator[Trial]:
    """What would be kept is examined once more, in new processes: one lucky race keeps nothing."""
    confirmed: set[str] = set()
    while isinstance(choice := choose(baselines, history, task.contract.gain), Keep):
        if digest(choice.trial.candidate) in confirmed:
            return
        confirmed.add(digest(choice.trial.candidate))
        again = examine(choice.trial, judge)
        yield again
        history += (again,)


def _most_promising(screened: Sequence[Trial], bar: float) -> list[Trial]:
    timed = sorted((trial for trial in screened if isinstance(trial.outcome, Screened)), key=_time)
    limit = min([bar, *(_time(trial) for trial in timed[:1])]) * WITHIN
    return [trial for trial in timed[:EXAMINED] if _time(trial) <= limit]


def _bar(baselines: Baselines, history: Sequence[Trial]) -> float:
    """Nanoseconds that a candidate has to come near to be worth examining: the best of PyTorch and the history."""
    pytorch = [median_ms(measured.samples_ns) * 1e6 for measured in baselines.measured]
    return min(pytorch + [_time(trial) for trial in history if isinstance(trial.outcome, Screened)])


def _time(trial: Trial) -> float:
    outcome: Outcome = trial.outcome
    assert isinstance(outcome, Screened), f"no screening time in {outcome}"
    return outcome.time_ns
