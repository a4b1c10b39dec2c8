"""The clerk of one task: takes what an author outside files, has the judge examine it, and remembers every trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from kernelwright import api, targets
from kernelwright.capture.subject import Subject
from kernelwright.choose import choose
from kernelwright.clerk import sight
from kernelwright.clerk.told import told
from kernelwright.core.candidate import Candidate, Origin
from kernelwright.core.codec import digest
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accepted, Baselines, Choice, Keep, Rejected, Trial
from kernelwright.core.stats import interval, verdict
from kernelwright.judge.judge import IsolatedJudge
from kernelwright.judge.profiling import Profile
from kernelwright.settings import Settings
from kernelwright.store import open_store


@dataclass(frozen=True, slots=True)
class Submission:
    """What came of one: its last trial, in words that may be told, the decision that now stands, the kernel's file.

    choice and written are None where the candidate was not kept.
    """

    trial: Trial
    choice: Choice | None = None
    written: Path | None = None


class Clerk:
    """A task, its judge and its store, for one kind of author. A context manager that owns the judge.

    engine: the name that trials are remembered under. tell: called as parts of a long answer begin; may be replaced.
    The judge starts with the first question and stays, so that PyTorch is measured once.
    """

    def __init__(self, subject: Subject, settings: Settings, engine: str) -> None:
        self.subject, self.task, self.digest = subject, subject.task, digest(subject.task)
        self.tell: Callable[[str], None] = lambda stage: None
        self._settings, self._engine = settings, engine
        self._stack = ExitStack()

    def __enter__(self) -> Clerk:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @cached_property
    def _judge(self) -> IsolatedJudge:
        return self._stack.enter_context(api.judging(self.subject, self._settings, tell=lambda stage: self.tell(stage)))

    # Seen

    def see(self) -> sight.Sight:
        return sight.see(self.task, targets.roofline(self.task.target))

    def tricks(self) -> tuple[sight.Applicable, ...]:
        return sight.applicable(self.task)

    def baselines(self) -> Baselines:
        """How fast PyTorch is: as the store remembers it of a decision here, else measured now."""
        with open_store(self._settings.store) as store:
            decision = store.decision(self.task)
        if decision is not None and "_judge" not in vars(self):
            return decision[1]
        self.tell("baselines")
        return self._judge.baselines()

    def best(self) -> Trial | None:
        """The right kernel that is surely fastest so far, of any author; None where none was right."""
        last = {digest(trial.candidate): trial for trial in self._history()}
        right = [(interval(trial.outcome.timing)[0], key) for key, trial in last.items()
                 if isinstance(trial.outcome, Accepted)]  # fmt: skip
        return last[max(right)[1]] if right else None

    # Tried

    def judge(self, source: str, origin: Origin) -> Trial:
        """The candidate through all stages. The store remembers everything; what is returned may be told."""
        trial = self._examined(Candidate(self.digest, source, origin))
        return self._told(trial)

    def profile(self, source: str, origin: Origin) -> Profile | Rejected:
        """Where its time goes, in its own worker's words, on inputs that are no secret."""
        return self._judge.profile(Candidate(self.digest, source, origin))

    def submit(self, source: str, origin: Origin, folder: Path) -> Submission:
        """Examine again, beside the kernel that is kept so far; the faster one is kept. Two good races are needed."""
        candidate = Candidate(self.digest, source, origin)
        if not self._was_faster(candidate):
            first = self._examined(candidate)
            if not self._is_faster(first):
                return Submission(self._told(first))
        again = self._examined(candidate)
        fresh = [again, *self._rival(candidate)]
        choice = choose(self._judge.baselines(), fresh, self.task.contract.gain)
        if not isinstance(choice, Keep) or choice.trial is not again:
            return Submission(self._told(again))
        with open_store(self._settings.store) as store:
            store.decide(self.task, choice, self._judge.baselines())
        return Submission(again, choice, written(folder / self.digest[:12] / "kernel.py", source))

    def _rival(self, candidate: Candidate) -> Sequence[Trial]:
        """The kernel that is kept so far, examined again here and now."""
        with open_store(self._settings.store) as store:
            decision = store.decision(self.task)
        if decision is None or not isinstance(decision[0], Keep) or decision[0].trial.candidate == candidate:
            return ()
        kept = decision[0].trial
        trial = replace(kept, outcome=self._judge.examine(kept.candidate), environment=self._judge.environment)
        return (self._remember(trial),)

    def _examined(self, candidate: Candidate) -> Trial:
        number = sum(trial.engine == self._engine for trial in self._history())
        outcome = self._judge.examine(candidate)
        return self._remember(Trial(number, self._engine, candidate, outcome, self._judge.environment))

    def _remember(self, trial: Trial) -> Trial:
        with open_store(self._settings.store) as store:
            store.remember(self.task, trial)
        return trial

    def _history(self) -> tuple[Trial, ...]:
        with open_store(self._settings.store) as store:
            return store.trials(self.task)

    def _was_faster(self, candidate: Candidate) -> bool:
        mine = [trial for trial in self._history() if trial.candidate == candidate]
        return bool(mine) and mine[-1].environment == self._judge.environment and self._is_faster(mine[-1])

    def _is_faster(self, trial: Trial) -> bool:
        outcome = trial.outcome
        return isinstance(outcome, Accepted) and verdict(outcome.timing, self.task.contract.gain) == "FASTER"

    # Told

    def _told(self, trial: Trial) -> Trial:
        return told(trial, lambda: self._on_public_inputs(trial.candidate))

    def _on_public_inputs(self, candidate: Candidate) -> str:
        """What the candidate says where it may speak freely."""
        spoken = self._judge.profile(candidate)
        if isinstance(spoken, Rejected):
            return f"on inputs of a public seed: {spoken.reason}\n{spoken.detail}"
        return "on inputs of a public seed it runs without failing"


def written(path: Path, text: str) -> Path:
    """The file, with this text. Raises UsageError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; the kernel is in the store: kernelwright store list"
        ) from error
    return path
