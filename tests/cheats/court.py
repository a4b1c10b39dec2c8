"""One judge for each reference, shared by all candidates of it, and what became of a candidate against what should."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.outcome import Accepted, Outcome, Rejected
from kernelwright.core.spec import DeviceKind, Target
from kernelwright.core.stats import speedup, verdict
from kernelwright.core.task import Task
from kernelwright.judge.examinee import Patience
from kernelwright.judge.judge import IsolatedJudge, open_judge
from kernelwright.judge.limits import GIB, Limits

HERE = Path(__file__).parent
GAIN = 1.03
THREADS = {"column_sums": 2}  # of the judge of this reference; one elsewhere
PATIENCE = Patience(build=20.0, call=3.0)
TIGHT = Limits(memory=GIB, disk=GIB // 8, processes=64)  # so that hostile candidates need not take much


@dataclass(frozen=True, slots=True)
class Refused:
    """Rejected at this stage with this in the reason."""

    stage: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NotFaster:
    """Accepted, since its values are right, and not called faster: the trick buys nothing."""


@dataclass(frozen=True, slots=True)
class Fine:
    """Accepted, however fast."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several: what becomes of some tricks depends on what the machine has to spare."""

    fates: tuple[Refused | NotFaster, ...]


Fate = Refused | NotFaster | Fine | AnyOf


class Courts:
    """Judges that open when they are first asked. A context manager that closes them all."""

    def __init__(self, device: DeviceKind = "cpu", seconds: float = 0.3, patience: Patience = PATIENCE) -> None:
        self._device: DeviceKind = device
        self._seconds, self._patience = seconds, patience
        self._stack = ExitStack()
        self._judges: dict[str, IsolatedJudge] = {}

    def __enter__(self) -> Courts:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def judge(self, reference: str) -> IsolatedJudge:
        if reference not in self._judges:
            self._judges[reference] = self._stack.enter_context(self._opened(reference))
        return self._judges[reference]

    def examine(self, reference: str, source: str) -> Outcome:
        return self.judge(reference).examine(Candidate(reference, source, Handmade("test")))

    def _opened(self, reference: str) -> IsolatedJudge:
        task = Task(reference_text(reference), (), Target(self._device, "any", "any"))
        threads = THREADS.get(reference, 1)
        return open_judge(
            task, baselines=("eager",), threads=threads, patience=self._patience, seconds=self._seconds, limits=TIGHT
        )


def reference_text(name: str) -> str:
    return (HERE / "references" / f"{name}.py").read_text()


def differs(outcome: Outcome, fate: Fate) -> str:
    """How an outcome is not the fate that was expected; "" where it is."""
    match fate, outcome:
        case AnyOf(fates), _:
            found = [differs(outcome, one) for one in fates]
            return "" if "" in found else "\n".join(found)
        case Refused(stage, reason), Rejected():
            right = outcome.stage == stage and reason in outcome.reason
            return "" if right else f"wanted {fate}, got {outcome.stage}: {outcome.reason}\n{outcome.detail}"
        case NotFaster(), Accepted(timing=timing):
            return "" if verdict(timing, GAIN) != "FASTER" else f"called {speedup(timing):.2f} times as fast"
        case Fine(), Accepted():
            return ""
    return f"wanted {fate}, got {told(outcome)}"


def told(outcome: Outcome) -> str:
    """An outcome in one line, without its samples."""
    match outcome:
        case Rejected(stage, reason, detail):
            return f"rejected at {stage}: {reason}\n{detail}"
        case Accepted(timing=timing):
            return f"accepted, {verdict(timing, GAIN)}, {speedup(timing):.2f} times as fast"
    return str(outcome)
