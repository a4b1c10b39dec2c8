"""A judge that does not measure twice: what a store remembers from this machine answers first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kernelwright.core.candidate import Candidate
from kernelwright.core.outcome import Accepted, Baselines, Environment, Outcome, Rejected, Screened, Trial
from kernelwright.core.ports import Judge


class Remembered:
    """Wraps a judge. Outcomes found in the same environment are given again, once, so an interrupted run resumes."""

    def __init__(self, judge: Judge, trials: Sequence[Trial]) -> None:
        self._judge = judge
        here = [trial for trial in trials if trial.environment == judge.environment]
        self._screened = {trial.candidate: trial.outcome for trial in here if not isinstance(trial.outcome, Accepted)}
        self._examined = {trial.candidate: trial.outcome for trial in here if not isinstance(trial.outcome, Screened)}

    @property
    def environment(self) -> Environment:
        return self._judge.environment

    def baselines(self) -> Baselines:
        return self._judge.baselines()

    def screen(self, candidates: Sequence[Candidate]) -> Iterator[Outcome]:
        fresh = self._judge.screen([candidate for candidate in candidates if candidate not in self._screened])
        for candidate in candidates:
            yield self._screened[candidate] if candidate in self._screened else next(fresh)

    def examine(self, candidate: Candidate) -> Rejected | Accepted:
        remembered = self._examined.pop(candidate, None)  # who asks again wants it measured
        return remembered or self._judge.examine(candidate)
