"""How long the agent engine itself takes in a round, with models that answer at once: python benchmarks/agent.py.

Its processor's time stands beside the clock's, which on a busy machine counts others' work too.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kernelwright.capture.subject import from_file
from kernelwright.core.candidate import Candidate
from kernelwright.core.conversation import Message
from kernelwright.core.outcome import Accepted, Accuracy, Environment, FamilyError, Rejected, Timing, Trial
from kernelwright.core.task import Contract, Task
from kernelwright.engines.agent import Agent, Meter
from kernelwright.engines.agent.facts import facts
from kernelwright.engines.agent.meter import Charge
from kernelwright.engines.agent.place import Place
from kernelwright.engines.agent.talk import Reply
from kernelwright.store import open_store
from kernelwright.targets import cpu

ROUNDS, BRANCHES = 20, 4
LINES = 300  # of each file that is "written"


@dataclass(frozen=True)
class Instant:
    """A model that needs no time: a long file, another one each time."""

    name: str = "instant:model"

    def most(self, messages: Sequence[Message]) -> Charge:
        return Charge(sum(len(message.text.encode()) for message in messages))

    async def reply(self, place: Place, messages: Sequence[Message], seconds: float) -> Reply:
        body = "".join(f"    line_{i} = {i}\n" for i in range(LINES))
        return Reply(f"```python\n# {place}\nclass ModelNew:\n{body}```", 5000, 0, 3000, 0.01, 0.0)


def rounds(task: Task, store_path: Path) -> list[tuple[float, float]]:
    """Milliseconds that `propose` took in each round, by the clock and by this process; conversations are stored."""
    roofline = cpu.roofline(task.target)
    environment = Environment(task.target, "", "", 1, "")
    history: list[Trial] = []
    taken = []
    with open_store(store_path) as store, asyncio.Runner() as runner:
        models = tuple(Instant() for _ in range(BRANCHES))
        keep = lambda held: store.keep(task, held)  # noqa: E731
        engine = Agent(
            models, roofline, Meter(10**9, 1e6), keep, runner.run, lambda: 60.0, rounds=ROUNDS, patience=ROUNDS
        )
        for number in range(ROUNDS):
            started = time.perf_counter(), time.process_time()
            candidates = engine.propose(task, history)
            taken.append(((time.perf_counter() - started[0]) * 1e3, (time.process_time() - started[1]) * 1e3))
            history += [judged(number, each, environment) for each in candidates]
    return taken


def judged(number: int, candidate: Candidate, environment: Environment) -> Trial:
    """Every third is wrong, so that files are mended and improved in turn."""
    wrong = Rejected("verify", 'family "plain", output 0, at [0]: got 1.5, expected 0.5, allowed 1e-06')
    outcome = wrong if number % 3 == 2 else right(number + 1.0)
    return Trial(number, "agent", candidate, outcome, environment)


def right(speedup: float) -> Accepted:
    baseline = tuple(1e6 + 1e3 * pair for pair in range(20))
    timing = Timing("eager", baseline, tuple(ns / speedup for ns in baseline))
    return Accepted(Accuracy("float64", (FamilyError("plain", 0, 1e-7, 1e-7, 4e-7),)), timing)


def main() -> None:
    import tempfile

    for named in sys.argv[1:] or ["examples/linear_tail.py", "examples/lstm_cell_loop.py"]:
        task = from_file(Path(named), cpu.detect(), Contract()).task
        started = time.perf_counter()
        facts(task, cpu.roofline(task.target))
        captured = time.perf_counter() - started
        with tempfile.TemporaryDirectory() as folder:
            taken = rounds(task, Path(folder, "store.sqlite"))
        clock, own = zip(*taken, strict=True)
        print(
            f"{named}: {statistics.median(own):.1f} ms of processor time a round, {max(own):.1f} at most; "
            f"by the clock {statistics.median(clock):.1f} and {max(clock):.1f} "
            f"({ROUNDS} rounds of {BRANCHES} branches; once for the task: {captured:.1f} s to capture its graph)"
        )


if __name__ == "__main__":
    main()
