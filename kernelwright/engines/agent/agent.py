"""The agent engine: branches that each ask a model for a candidate, round by round, and exchange the best kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from kernelwright.core.candidate import Candidate, Written
from kernelwright.core.codec import digest
from kernelwright.core.conversation import Conversation, Message
from kernelwright.core.errors import MachineError, UsageError
from kernelwright.core.outcome import Accepted, Trial
from kernelwright.core.spec import Roofline
from kernelwright.core.task import Task
from kernelwright.engines.agent import analyst, writer
from kernelwright.engines.agent.dialogue import (
    Elsewhere,
    View,
    branch_of,
    brief,
    candidate_file,
    is_right,
    time_ns,
    view,
)
from kernelwright.engines.agent.facts import facts
from kernelwright.engines.agent.meter import Meter
from kernelwright.engines.agent.place import Place
from kernelwright.engines.agent.talk import Model, NoReply, Said, Talk

GAIN = 0.99  # of the best time so far: what counts as a gain at all
AT_FLOOR = 1.05  # times the least that the unavoidable bytes take: nothing is left to win
LONGEST_REPLY = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Agent:
    """Proposes what its models write: one candidate a branch and round. Same history and replies, same candidates.

    models: one for each branch. keep: told each conversation as it ends. run: an event loop's; the same one always.
    seconds_left: until no reply is waited for any more; the first round waits in any case.
    rounds: at most. patience: rounds without a gain. exchange: every how many rounds branches see each other's best.
    profile: text on a kernel for the analyst, from whoever measures; "" where there is none.
    """

    models: tuple[Model, ...]
    roofline: Roofline
    meter: Meter
    keep: Callable[[Conversation], None]
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    seconds_left: Callable[[], float]
    elsewhere: tuple[Elsewhere, ...] = ()
    rounds: int = 8
    patience: int = 3
    exchange: int = 2
    profile: Callable[[Candidate], str] = lambda candidate: ""
    name: str = "agent"

    def propose(self, task: Task, history: Sequence[Trial]) -> tuple[Candidate, ...]:
        number = 1 + max((trial.round for trial in history), default=-1)
        if number >= self.rounds or self.meter.exhausted() or finished(history, number, self.patience):
            return ()
        seconds = LONGEST_REPLY if number == 0 else min(LONGEST_REPLY, self.seconds_left())
        if seconds <= 0:
            return ()
        talk = Talk(digest(task), self.meter, self.keep, seconds)
        known = brief(task, facts(task, self.roofline), self.elsewhere)
        said: list[Said[str]] = self.run(self._round(talk, task, history, number, known))
        if number == 0:
            complain(said)
        first = {each.answer: each for each in reversed(said) if each.answer}  # branches may have the same idea
        return tuple(candidate(each) for each in said if each.answer and first[each.answer] is each)

    async def _round(
        self, talk: Talk, task: Task, history: Sequence[Trial], number: int, known: Message
    ) -> list[Said[str]]:
        exchanging = number % self.exchange == 0
        tried = [trial.candidate.source for trial in history]
        views = [view(history, branch, exchanging) for branch in range(len(self.models))]
        return await asyncio.gather(*(
            self._branch(talk, model, Place("writer", branch, number), task, views[branch], known, tried)
            for branch, model in enumerate(self.models)
        ))  # fmt: skip

    async def _branch(
        self, talk: Talk, model: Model, place: Place, task: Task, seen: View, known: Message, tried: Sequence[str]
    ) -> Said[str]:
        """One candidate: mended where the last one was rejected, else faster by what the analyst recommends."""
        gain = task.contract.gain
        mending = seen.last is not None and not is_right(seen.last)
        advice = "" if mending or not seen.best else await self._advice(talk, model, place, task, seen, known)
        opening = (writer.system(task.target), known, writer.state(seen, place, advice, gain))
        return await talk.hold(model, place, opening, lambda reply: candidate_file(reply, tried))

    async def _advice(self, talk: Talk, model: Model, place: Place, task: Task, seen: View, known: Message) -> str:
        assert seen.best, "an analyst is asked about a kernel that is right"
        question = analyst.question(seen, self.profile(seen.best.candidate), task.contract.gain)
        opening = (analyst.system(task.target), known, question)
        asked = Place("analyst", place.branch, place.round)
        return (await talk.hold(model, asked, opening, analyst.recommendation)).answer or ""


def candidate(said: Said[str]) -> Candidate:
    held = said.conversation
    assert said.answer, "a candidate is made of an answer"
    origin = Written(held.model, digest(held), held.tokens, held.cost or 0.0, held.branch)
    return Candidate(held.task, said.answer, origin)


def complain(said: Sequence[Said[str]]) -> None:
    """Where no branch gets a first reply at all, that is for the user to mend."""
    failures = [each.failure for each in said if each.failure]
    if len(failures) < len(said):
        return
    first: NoReply = next((failure for failure in failures if failure.mistake), failures[0])
    raise (UsageError if first.mistake else MachineError)(str(first))


def finished(history: Sequence[Trial], number: int, patience: int) -> bool:
    """Whether the floor is reached, or the branches have gained nothing for that many rounds."""
    right = [trial for trial in history if is_right(trial)]
    if any(at_floor(trial) for trial in right):
        return True
    mine = [trial for trial in right if branch_of(trial) is not None]
    before = [time_ns(trial) for trial in mine if trial.round < number - patience]
    since = [time_ns(trial) for trial in mine if trial.round >= number - patience]
    return bool(before) and min(since, default=float("inf")) > GAIN * min(before)


def at_floor(trial: Trial) -> bool:
    found = trial.outcome
    return isinstance(found, Accepted) and 0 < time_ns(trial) <= AT_FLOOR * found.timing.floor_ns
