"""The search engine: opening plans first, then neighbours of the best that was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    seed: int = 0
    name: str = "search"

    def propose(self, task: Task, history: Sequence[Trial]) -> tuple[Candidate, ...]:
        mine = [trial for trial in history if isinstance(trial.candidate.origin, Searched)]
        if len({trial.round for trial in mine}) >= self.depth:
            return ()
        tried = {trial.candidate.source for trial in mine}
        return tuple(self._candidates(task, self._plans(task, mine), tried))[: self.width]

    def _plans(self, task: Task, mine: Sequence[Trial]) -> Iterator[Plan]:
        """Openings at first; then what lies one decision away from the fastest plan so far."""
        best = _fastest(mine)
        if best is not None:
            return neighbours(follow(task, best), task.target, self.roofline)
        return iter(()) if mine else openings()

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


def _fastest(mine: Sequence[Trial]) -> Plan | None:
    """The plan with the least screening time; None where none got that far."""
    timed = [(trial.outcome.time_ns, trial.candidate.origin.plan) for trial in mine
             if isinstance(trial.outcome, Screened) and isinstance(trial.candidate.origin, Searched)]  # fmt: skip
    return min(timed, key=lambda item: item[0])[1] if timed else None
