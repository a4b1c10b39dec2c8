"""The run over a suite: problems that are not done yet, each in a process of its own, each result kept as it comes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kernelwright.bench import child, folder, scaling, suites
from kernelwright.bench.pen import Ended, Limits, Pen
from kernelwright.bench.suites import Listed
from kernelwright.core import codec
from kernelwright.core.errors import KernelwrightError, MachineError, StoreError, UsageError
from kernelwright.core.outcome import Environment
from kernelwright.core.run import RUN_FORMAT, Entry, Failed, Problem, Run, Solved
from kernelwright.core.task import Contract
from kernelwright.report.run import read_run
from kernelwright.settings import Settings

STORE, TURNS, LOGS = "store.sqlite", "turns", "logs"
CHECK_SECONDS = 120.0  # for one run of a scaled reference, or for PyTorch to start
MEMORY_SHARE = 0.8  # of the machine's, for all problems under way together


@dataclass(frozen=True, slots=True)
class Asked:
    """What a new run is over, and with what. `store` is empty for one in the run's folder."""

    suite: str
    levels: tuple[str, ...] = ()
    only: str = "*"
    scale: float = 1.0
    store: str = ""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a problem may take: `fixed` seconds and `factor` times the search's budget; bytes for all jobs together."""

    factor: float = 3.0
    fixed: float = 1200.0  # a whole model takes two cores ten minutes to judge
    memory: int = int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

    def limits(self, budget: float, jobs: int) -> Limits:
        """With more jobs each waits for the others' measurements, and has its share of the memory."""
        return Limits((self.fixed + self.factor * budget) * jobs, self.memory // jobs)


Tell = Callable[[Run, Sequence[Entry]], None]  # all entries that are there, whenever there is one more


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a run is kept, and how it is made. Both ways raise UsageError, MachineError or StoreError.

    Whatever ends it, what was done by then is in the folder, and `resume` does the rest.
    solve: what is done in each problem's process.
    """

    folder: Path
    settings: Settings
    jobs: int
    tell: Tell
    allowance: Allowance = Allowance()
    solve: Callable[[child.Job], str | StoreError] = child.solve

    def begin(self, asked: Asked) -> tuple[Run, tuple[Entry, ...]]:
        """A new run, and what came of each problem, in order."""
        problems = suites.listed(asked.suite, asked.levels, asked.only)
        with folder.held(self.folder):
            folder.check_free(self.folder)
            run = described(asked, self.settings, problems, self._environment(self.settings))
            folder.begin(self.folder, run)
            return run, self._finish(run, problems)

    def resume(self) -> tuple[Run, tuple[Entry, ...]]:
        """The run that is in the folder, gone on with: what is missing is run, and nothing else."""
        run = read_run(self.folder)
        with folder.held(self.folder):
            if len(folder.done(self.folder, run)) == len(run.problems):
                return run, self._finish(run, ())
            self._check_machine(run)
            return run, self._finish(run, listed_again(run))

    def _check_machine(self, run: Run) -> None:
        """Raises UsageError where this is another machine than the run's, or one with other versions."""
        here = self._environment(self._settings(run))
        if here != run.environment:
            fields = [field.name for field in dataclasses.fields(here)]
            differ = [name for name in fields if getattr(here, name) != getattr(run.environment, name)]
            was, now = ([str(getattr(one, name)) for name in differ] for one in (run.environment, here))
            raise UsageError(
                f"the run {self.folder} was made with other {', '.join(differ)}: {'; '.join(was)}. Here: "
                f"{'; '.join(now)}. Their times do not mix: go on where it was made, or start a new run"
            )

    def _environment(self, settings: Settings) -> Environment:
        log = self.folder / "start.log"
        with Pen() as pen:
            answer = pen.run(child.environment, (settings,), self._limits(CHECK_SECONDS), log)
        if isinstance(answer, KernelwrightError):
            raise answer
        if isinstance(answer, Ended):
            raise MachineError(f"PyTorch does not start in a process of its own: {answer.reason}; {log} has more")
        return answer

    def _finish(self, run: Run, problems: Sequence[Listed]) -> tuple[Entry, ...]:
        entries = {entry.problem.name: entry for entry in folder.done(self.folder, run)}
        self.tell(run, tuple(entries.values()))
        missing = [problem for problem in problems if problem.name not in entries]
        with ThreadPoolExecutor(self.jobs) as pool, Pen() as pen:  # the pen is left first, and with it all work ends
            for future in as_completed([pool.submit(self._entry, problem, run, pen) for problem in missing]):
                entry = future.result()
                folder.add(self.folder, entry)
                entries[entry.problem.name] = entry
                self.tell(run, tuple(entries.values()))
        return tuple(entries[name] for name in run.problems)

    # One problem

    def _entry(self, problem: Listed, run: Run, pen: Pen) -> Entry:
        began = time.monotonic()
        asked, result = self._result(problem, run, pen)
        said = result.conversations if isinstance(result, Solved) else ()
        tokens, cost = sum(each.tokens for each in said), sum(each.cost or 0.0 for each in said)
        return Entry(asked, result, time.monotonic() - began, tokens, cost)

    def _result(self, problem: Listed, run: Run, pen: Pen) -> tuple[Problem, Solved | Failed]:
        asked = Problem(problem.name, problem.level, problem.text)
        if problem.broken:
            return asked, Failed("broken", problem.broken)
        fitted = self._fitted(asked, run, pen)
        if isinstance(fitted, Failed):
            return asked, fitted
        limits = self.allowance.limits(option(run, "budget"), self.jobs)
        answer = pen.run(self.solve, (self._job(fitted, run),), limits, self._log(asked))
        if isinstance(answer, KernelwrightError):
            raise answer
        return fitted, failed(answer) if isinstance(answer, Ended) else codec.loads(answer)

    def _fitted(self, problem: Problem, run: Run, pen: Pen) -> Problem | Failed:
        """The problem in its scaled sizes; with fewer of them scaled, or none, where the model breaks otherwise."""
        scaled = [replace(problem, reference=text, scaling=changes)
                  for text, changes in scaling.attempts(problem.reference, option(run, "scale"))]  # fmt: skip
        for attempt in scaled[:-1]:
            job = self._job(attempt, run)
            answer = pen.run(child.objection, (job,), self._limits(CHECK_SECONDS), self._log(problem))
            if isinstance(answer, Ended):
                return failed(answer)
            if not answer:
                return attempt
        return problem

    def _job(self, problem: Problem, run: Run) -> child.Job:
        return child.Job(problem, self._settings(run), run.contract, self.folder / TURNS)

    def _settings(self, run: Run) -> Settings:
        """Ours, and what belongs to the run."""
        return replace(
            self.settings,
            device=run.device,
            budget=option(run, "budget"),
            store=Path(dict(run.options).get("store") or self.folder / STORE),
            engines=names(run, "engines"),
            models=names(run, "models"),
        )

    def _limits(self, seconds: float) -> Limits:
        return Limits(seconds * self.jobs, self.allowance.memory // self.jobs)

    def _log(self, problem: Problem) -> Path:
        logs = self.folder / LOGS
        logs.mkdir(exist_ok=True)
        return logs / f"{problem.name.replace('/', '__')}.txt"


def described(asked: Asked, settings: Settings, problems: Iterable[Listed], environment: Environment) -> Run:
    options = {
        "levels": ",".join(asked.levels),
        "only": asked.only,
        "scale": f"{asked.scale:g}",
        "budget": f"{settings.budget:g}",
        "engines": ",".join(settings.engines),
        "models": ",".join(settings.models),
        "store": asked.store,
    }
    now = datetime.now(UTC).isoformat(timespec="seconds")
    over = tuple(problem.name for problem in problems)
    suite = suites.absolute(asked.suite)
    return Run(RUN_FORMAT, suite, settings.device, environment, now, tuple(options.items()), over, Contract())


def listed_again(run: Run) -> tuple[Listed, ...]:
    """The run's problems as the suite has them now; one that is gone is broken."""
    found = {problem.name: problem for problem in suites.listed(run.suite)}
    gone = f"it is no longer in {run.suite}"
    return tuple(found.get(name) or Listed(name, suites.level_of(name), "", gone) for name in run.problems)


def option(run: Run, name: str) -> float:
    """A number among the run's options."""
    return float(dict(run.options)[name])


def names(run: Run, name: str) -> tuple[str, ...]:
    """What stands with commas between in one of the run's options; runs of an earlier format lack some."""
    return tuple(filter(None, dict(run.options).get(name, "").split(",")))


def failed(ended: Ended) -> Failed:
    return Failed(ended.stage, ended.reason)
