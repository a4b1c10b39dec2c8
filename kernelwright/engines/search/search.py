"""The search engine: opening plans first, then neighbours of the best that was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from kernelwright.core.candidate import Candidate, Plan, Searched
from kernelwright.core.codec import digest
from kernelwright.core.outcome import Screened, Trial
from kernelwright.core.spec import Roofline
from kernelwright.core.task import Task
from kernelwright.engines.search.plan import follow, neighbours, openings
from kernelwright.engines.search.write import write


@dataclass(frozen=True, slots=True)
class Search:
    """Deterministic: the same task and history give the same candidates. Needs no key and no network."""

    roofline: Roofline
    width: int = 8  # candidates a round
    depth: int = 5  # rounds
    beam: int = 2  # plans whose neighbours a round tries
    seed: int = 0
    name: str = "search"

    def propose(self, task: Task, history: Sequence[Trial]) -> tuple[Candidate, ...]:
        mine = [trial for trial in history if isinstance(trial.candidate.origin, Searched)]
        if len({trial.round for trial in mine}) >= self.depth:
            return ()
        tried = {trial.candidate.source for trial in mine}
        return tuple(self._candidates(task, self._plans(task, mine), tried))[: self.width]

    def _plans(self, task: Task, mine: Sequence[Trial]) -> Iterator[Plan]:
        """Openings at first; then what lies one decision away from the fastest plans so far."""
        if not mine:
            return openings()
        beam = [follow(task, plan) for plan in _fastest(mine, self.beam)]
        return chain.from_iterable(neighbours(covered, task.target, self.roofline) for covered in beam)

    def _candidates(self, task: Task, plans: Iterator[Plan], tried: set[str]) -> list[Candidate]:
        """The plans as files, cheapest by the roofline model first, each text once."""
        priced: list[tuple[float, Candidate]] = []
        for plan in plans:
            covered = follow(task, plan)
            text = write(task, covered)
            if text not in tried:
                tried.add(text)
                origin = Searched(covered.plan, self.seed)
                priced.append((covered.seconds(self.roofline), Candidate(digest(task), text, origin)))
        return [candidate for _, candidate in sorted(priced, key=lambda item: item[0])]


def _fastest(mine: Sequence[Trial], count: int) -> list[Plan]:
    """The plans with the least screening times. More than one, since a short timing can be unlucky."""
    timed = [(trial.outcome.time_ns, trial.candidate.origin.plan) for trial in mine
             if isinstance(trial.outcome, Screened) and isinstance(trial.candidate.origin, Searched)]  # fmt: skip
    return [plan for _, plan in sorted(timed, key=lambda item: item[0])[:count]]
