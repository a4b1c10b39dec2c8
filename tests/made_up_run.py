"""A run that never was: entries from seeded random numbers, for tests and for benchmarks/report.py."""

from __future__ import annotations

import random
from pathlib import Path

from kernelwright.core.candidate import Candidate, Origin, Plan, Searched, Step, Written
from kernelwright.core.codec import digest, dumps
from kernelwright.core.conversation import Conversation, Message
from kernelwright.core.outcome import (
    Accepted,
    Accuracy,
    Adequacy,
    Baselines,
    Choice,
    Environment,
    Fallback,
    FamilyError,
    Keep,
    Measured,
    Outcome,
    Passed,
    PeakMemory,
    Rejected,
    Screened,
    Timing,
    Trial,
)
from kernelwright.core.run import RUN_FORMAT, Entry, Failed, Problem, Run, Scaling, Solved
from kernelwright.core.spec import Target
from kernelwright.core.stats import speedup

TARGET = Target("cpu", "avx512", "A Made-up Processor", ("g++ 12.2.0", "torch 2.13.0"), 2)
ENVIRONMENT = Environment(TARGET, "2.13.0", "3.11.7", 2, "0.1.0", "sandlock")
OPERATIONS = "Matmul Softmax LayerNorm Conv2d GELU Sum MaxPool Attention LSTM CrossEntropy".split()
FAMILIES = "plain scaled-small scaled-large shifted negated mixed-rows sparse ties cancellation".split()
MUTANTS = ("zeros", "mean fill", "last row zeroed", "one element off", "rows permuted", "weights ignored")
SAMPLES = 12
Attempt = tuple[Trial, Conversation | None]  # and the conversation that it came of

REFERENCE = '''import torch
from torch import nn


class Model(nn.Module):
    """{name}: made up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.linear(x) * 0.5, dim=-1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn({rows}, 1024)]


def get_init_inputs() -> list[int]:
    return [1024]
'''
KERNEL = '''import torch
from torch import nn

from kernelwright.runtime import cpp

SOURCE = r"""
extern "C" void kernel(const float* __restrict x, float* __restrict y, long n) {{
    #pragma omp parallel for
    for (long i = 0; i < n; i += {width}) {{ y[i] = x[i] * 0.5f; }}
}}
"""


class ModelNew(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cpp(SOURCE).kernel(x)
'''


def write(folder: Path, count: int, *, done: int | None = None, seed: int = 0) -> Run:
    """A run's folder over so many problems, of which the first `done` (or all) have come to an end."""
    entries = made_up(count, seed)
    return write_entries(folder, entries, done)


def write_entries(folder: Path, entries: tuple[Entry, ...], done: int | None = None) -> Run:
    run = asked(tuple(entry.problem.name for entry in entries))
    (folder / "entries").mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(dumps(run))
    for entry in entries[:done]:
        write_entry(folder, entry)
    return run


def write_entry(folder: Path, entry: Entry) -> None:
    (folder / "entries" / f"{entry.problem.name.replace('/', '__')}.json").write_text(dumps(entry))


def asked(names: tuple[str, ...]) -> Run:
    options = (("scale", "0.25"), ("budget", "60"))
    return Run(RUN_FORMAT, "a made-up suite", "cpu", ENVIRONMENT, "2026-01-01T09:30:00+00:00", options, names)


def made_up(count: int, seed: int = 0) -> tuple[Entry, ...]:
    return tuple(entry(number, random.Random(seed * 1_000_003 + number)) for number in range(count))


def entry(number: int, draw: random.Random) -> Entry:
    level, name = str(1 + number % 3), f"{number + 1}_{draw.choice(OPERATIONS)}_{draw.choice(OPERATIONS)}"
    scaling = (Scaling("batch_size", 4096, 1024),) if number % 2 else ()
    reference = REFERENCE.format(name=name, rows=1024 + number)
    problem = Problem(f"level{level}/{name}", level, reference, scaling)
    if number % 17 == 16:
        return Entry(problem, Failed("memory", "wanted 18.2 GiB for the inputs, 6.1 GiB are free"), draw.uniform(1, 5))
    result = solved(number, draw)
    tokens = sum(held.tokens for held in result.conversations)
    cost = sum(held.cost or 0.0 for held in result.conversations)
    return Entry(problem, result, draw.uniform(15, 110), tokens, cost)


def solved(number: int, draw: random.Random) -> Solved:
    eager = draw.lognormvariate(15.5, 1.0)
    compiled = eager * draw.uniform(0.7, 1.1)
    baseline, name = min((eager, "eager"), (compiled, "compile"))
    degenerate = "the output does not depend on the input" if number % 23 == 5 else ""
    adequacy = Adequacy(MUTANTS, ("rows permuted",) if number % 4 == 0 else ())
    measured = (Measured("eager", noisy(eager, draw)), Measured("compile", noisy(compiled, draw)))
    made = [tried(number, at, name, baseline, draw) for at in range(draw.randint(4, 18))]
    trials = tuple(trial for trial, _ in made)
    baselines = Baselines(measured, (), degenerate, adequacy)
    return Solved(digest(number), baselines, decided(name, trials), trials, baseline * draw.uniform(0.02, 0.12),
                  tuple(held for _, held in made if held))  # fmt: skip


def decided(baseline: str, trials: tuple[Trial, ...]) -> Choice:
    right = [(speedup(trial.outcome.timing), trial) for trial in trials if isinstance(trial.outcome, Accepted)]
    best, trial = max(right, key=lambda pair: pair[0], default=(0.0, trials[0]))
    passed = tuple(Passed(digest(other.candidate), "right, but slower") for other in trials if other is not trial)
    if best < 1.03:
        return Fallback(baseline, "no kernel is surely faster", passed)
    return Keep(trial, best, (best * 0.97, best * 1.02), passed)


def tried(
    number: int, at: int, baseline: str, time_ns: float, draw: random.Random
) -> tuple[Trial, Conversation | None]:
    source = KERNEL.format(width=8 * (at + 1)) + f"# {number}.{at}\n"
    matmul = Step("matmul", "linear", (("tile", 8 * (at + 1)), ("unroll", 4)))
    origin: Origin = Searched(Plan((matmul, Step("map", "mul"))))
    held = said(number, at // 4, source, draw) if at % 3 == 2 else None
    if held:
        origin = Written(held.model, digest(held), held.tokens, held.cost or 0.0)
    engine = "agent" if isinstance(origin, Written) else "search"
    candidate = Candidate(digest(number), source, origin)
    return Trial(at // 4, engine, candidate, found(baseline, time_ns, draw), ENVIRONMENT), held


def found(baseline: str, time_ns: float, draw: random.Random) -> Outcome:
    luck, faster = draw.random(), draw.lognormvariate(0.35, 0.5)
    if luck < 0.12:
        return Rejected("build", "kernel.cpp:4: 'vec' was not declared in this scope", "g++: error\n" * 6)
    if luck < 0.25:
        return Rejected("verify", "row 17 is 3.1e-02 from float64, 4.0e-06 allowed (inputs: shifted)")
    if luck < 0.7:
        return Screened(time_ns / faster)
    timing = Timing(baseline, noisy(time_ns, draw), noisy(time_ns / faster, draw), time_ns * 0.04)
    return Accepted(accuracy(draw), timing, PeakMemory(8 << 20, 4 << 20))


def accuracy(draw: random.Random) -> Accuracy:
    errors = [(family, draw.lognormvariate(-15, 0.6)) for family in FAMILIES]
    families = [FamilyError(family, 0, error, error * draw.uniform(0.6, 1.5), 4e-6) for family, error in errors]
    return Accuracy("float64", tuple(families))


def noisy(time_ns: float, draw: random.Random) -> tuple[float, ...]:
    return tuple(time_ns * draw.lognormvariate(0, 0.02) for _ in range(SAMPLES))


def said(number: int, at: int, source: str, draw: random.Random) -> Conversation:
    messages = (
        Message("system", "You write kernels. Answer with one file."),
        Message("user", "The reference takes 4.2 ms. Two passes over x can be one."),
        Message("assistant", f"One pass, with the scale folded in:\n\n```python\n{source}```\n\nThis reads x once."),
    )
    tokens = draw.randint(2_000, 30_000)
    return Conversation(
        digest(number), "writer", 0, at, "a-model", messages, tokens, 0, 900, draw.uniform(0.01, 0.2), 12.0
    )
