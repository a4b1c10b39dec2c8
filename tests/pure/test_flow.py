"""The whole sentence with a judge that runs nothing: a candidate's text says what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from kernelwright import flow
from kernelwright.core.candidate import Candidate
from kernelwright.core.outcome import (
    Accepted,
    Baselines,
    Choice,
    Environment,
    Fallback,
    Keep,
    Outcome,
    Rejected,
    Screened,
    Trial,
)
from kernelwright.core.task import Task
from kernelwright.store.remembered import Remembered
from kernelwright.store.store import open_store
from tests.pure.samples import BASELINES, ENVIRONMENT, TASK, accepted, candidate


@dataclass
class NullJudge:
    """`"1.5"` is a right kernel 1.5 times as fast as the baseline of 8 ms; `"wrong"` is rejected."""

    environment: Environment = ENVIRONMENT
    asked: list[str] = field(default_factory=list)

    def baselines(self) -> Baselines:
        return BASELINES

    def screen(self, candidates: Sequence[Candidate]) -> Iterator[Outcome]:
        for each in candidates:
            self.asked.append(f"screen {each.source}")
            yield Rejected("verify", "wrong") if each.source == "wrong" else Screened(8e6 / float(each.source))

    def examine(self, candidate: Candidate) -> Rejected | Accepted:
        self.asked.append(f"examine {candidate.source}")
        return accepted(float(candidate.source))


@dataclass(frozen=True)
class Script:
    """Proposes the rounds it was given, by the rounds it sees in the history."""

    rounds: tuple[tuple[str, ...], ...]
    name: str = "script"

    def propose(self, task: Task, history: Sequence[Trial]) -> Iterable[Candidate]:
        done = len({trial.round for trial in history})
        return [candidate(text) for text in self.rounds[done]] if done < len(self.rounds) else ()


ENOUGH = flow.Budget(deadline=1.0, now=lambda: 0.0)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def run(store, judge, *rounds: tuple[str, ...], budget: flow.Budget = ENOUGH) -> tuple[Choice, list[flow.Event]]:
    told: list[flow.Event] = []
    return flow.optimize(TASK, [Script(rounds)], judge, store, budget, told.append), told


def examined(judge: NullJudge) -> list[str]:
    return [asked for asked in judge.asked if asked.startswith("examine")]


def test_the_fastest_right_candidate_is_kept(store) -> None:
    choice, _ = run(store, NullJudge(), ("1.2", "wrong", "1.5"))
    assert isinstance(choice, Keep)
    assert choice.trial.candidate.source == "1.5"


def test_a_kernel_that_was_faster_once_only_is_not_kept(store) -> None:
    class Lucky(NullJudge):
        def examine(self, candidate: Candidate) -> Rejected | Accepted:
            again = f"examine {candidate.source}" in self.asked
            super().examine(candidate)
            return accepted(1.0 if again and candidate.source == "1.5" else float(candidate.source))

    choice, _ = run(store, Lucky(), ("1.5", "1.45"))
    assert isinstance(choice, Keep)
    assert choice.trial.candidate.source == "1.45"


def test_no_engine_is_asked_once_the_budget_is_spent(store) -> None:
    asked: list[int] = []

    @dataclass(frozen=True)
    class Dear(Script):
        def propose(self, task: Task, history: Sequence[Trial]) -> Iterable[Candidate]:
            asked.append(len(history))
            return super().propose(task, history)

    spent = flow.Budget(deadline=0.0, now=lambda: 1.0)
    flow.optimize(TASK, [Dear((("1.5",), ("1.6",)))], NullJudge(), store, spent, lambda event: None)
    assert asked == [0]


def test_every_stage_is_told_in_order(store) -> None:
    _, told = run(store, NullJudge(), ("1.5",))
    assert [type(event).__name__ for event in told] == ["Baselines", "Trial", "Trial", "Trial", "Keep"]


def test_only_candidates_near_the_fastest_are_examined(store) -> None:
    judge = NullJudge()
    run(store, judge, ("1.5", "1.49", "1.48", "1.0"))
    assert examined(judge) == ["examine 1.5", "examine 1.49", "examine 1.5"]


def test_a_round_slower_than_pytorch_is_not_examined(store) -> None:
    judge = NullJudge()
    choice, _ = run(store, judge, ("0.5", "0.6"))
    assert isinstance(choice, Fallback)
    assert not examined(judge)


def test_a_later_round_must_come_near_the_best_so_far(store) -> None:
    judge = NullJudge()
    run(store, judge, ("2.0",), ("1.2",), ("2.5",))
    assert examined(judge) == ["examine 2.0", "examine 2.5", "examine 2.5"]


def test_what_was_proposed_before_is_not_judged_again(store) -> None:
    judge = NullJudge()
    run(store, judge, ("1.5",), ("1.5", "1.6"))
    assert judge.asked.count("screen 1.5") == 1


def test_a_spent_budget_proposes_no_more_but_chooses(store) -> None:
    judge = NullJudge()
    budget = flow.Budget(deadline=2.0, now=lambda: float(len(judge.asked)))
    choice, _ = run(store, judge, ("1.5",), ("3.0",), budget=budget)
    assert isinstance(choice, Keep)
    assert judge.asked == ["screen 1.5", "examine 1.5", "examine 1.5"]


def test_a_budget_that_is_spent_at_once_still_pays_for_one_round(store) -> None:
    judge = NullJudge()
    choice, _ = run(store, judge, ("1.5",), ("3.0",), budget=flow.Budget(deadline=0.0, now=lambda: 0.0))
    assert isinstance(choice, Keep)
    assert judge.asked == ["screen 1.5", "examine 1.5", "examine 1.5"]


def test_a_fallback_for_lack_of_time_is_not_remembered(store) -> None:
    budget = flow.Budget(deadline=0.0, now=lambda: 0.0)
    choice, _ = run(store, NullJudge(), ("0.5",), ("3.0",), budget=budget)
    assert isinstance(choice, Fallback)
    assert store.decision(TASK) is None
    choice, _ = run(store, NullJudge(), ("0.5",))
    assert store.decision(TASK) is not None


def test_an_interrupted_run_resumes_where_it_was(store) -> None:
    class Interrupted(NullJudge):
        def examine(self, candidate: Candidate) -> Rejected | Accepted:
            if candidate.source == "1.45":
                raise KeyboardInterrupt
            return super().examine(candidate)

    with pytest.raises(KeyboardInterrupt):
        run(store, Interrupted(), ("1.5", "1.45"))
    judge = NullJudge()
    choice, _ = run(store, Remembered(judge, store.trials(TASK)), ("1.5", "1.45"))
    assert isinstance(choice, Keep)
    assert judge.asked == ["examine 1.45", "examine 1.5"]


def test_a_kept_kernel_is_examined_again_when_recalled(store) -> None:
    run(store, NullJudge(), ("1.5",))
    judge = NullJudge()
    choice = flow.recall(TASK, judge, store, lambda event: None)
    assert isinstance(choice, Keep)
    assert judge.asked == ["examine 1.5"]


def test_a_kernel_that_no_longer_holds_is_not_recalled(store) -> None:
    class Strict(NullJudge):
        def examine(self, candidate: Candidate) -> Rejected | Accepted:
            return Rejected("verify", "not on this machine")

    run(store, NullJudge(), ("1.5",))
    assert flow.recall(TASK, Strict(), store, lambda event: None) is None


def test_a_fallback_is_believed_on_the_same_machine_only(store) -> None:
    from dataclasses import replace

    run(store, NullJudge(), ("0.9",))
    assert isinstance(flow.recall(TASK, NullJudge(), store, lambda event: None), Fallback)
    other = NullJudge(environment=replace(ENVIRONMENT, torch="2.14.0"))
    assert flow.recall(TASK, other, store, lambda event: None) is None


def test_a_new_task_is_not_recalled(store) -> None:
    assert flow.recall(TASK, NullJudge(), store, lambda event: None) is None
