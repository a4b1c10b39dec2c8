"""How well the judge judges: cheats, twins and mutants told apart, equal kernels called equal, slower ones slower.

    python -m benchmarks.judge --cheats 3
    python -m benchmarks.judge --same 100 --slower 100 --latency 5 --hostile
    python -m benchmarks.judge --clock --same 40 --slower 40 --device cuda --json

Run from the root of the repository, on a machine that does nothing else. Each part prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from kernelwright import targets
from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.outcome import Accepted, Outcome, Rejected, Screened
from kernelwright.core.stats import speedup, verdict
from kernelwright.core.task import Task
from kernelwright.judge.judge import IsolatedJudge, open_judge
from kernelwright.judge.worker import keep_freed_memory
from tests.cheats.court import GAIN, PATIENCE, Courts, Fate, Fine, Refused, differs, told
from tests.cheats.mutants import MUTANTS, REFERENCES, kernel_text
from tests.cheats.table import CHEATS, TWINS

TASK = """
import torch
from torch import nn


class {name}(nn.Module):
    def forward(self, x):
        {body}


def get_inputs():
    return [torch.randn({shape})]


def get_init_inputs():
    return []
"""
WORK = """for _ in range({steps}):
            x = torch.sin(x)
        y = x
        for _ in range({extra}):
            y = torch.sin(y)
        return x"""
SHAPES = {"cpu": (64, 1024), "cuda": (4096, 4096)}
RUNS_A_JUDGE = 10  # examinations before a judge is replaced by a new one, with a baseline in a new process
HOSTILE = {
    "crash": "crashes",
    "hang": "hangs",
    "exit 0 at import": "exit_at_import",
    "fork": "forks",
    "memory": "memory_filled",
    "disk": "disk_filled",
}
BODIES = {"add": "x + 1", "scale, shift": "x * 2 + 1", "softmax": "torch.softmax(x, -1)", "product": "x @ x + x"}
CLOCKED = {"cpu": ((256, 256), (1024, 1024), (2048, 2048)), "cuda": ((1024, 1024), (4096, 4096), (16384, 16384))}
PRODUCTS = {"cpu": 1024, "cuda": 4096}  # rows of a matrix above which a product takes too long here
CALLS, BYTES, REPEATS = 64, 2 << 30, 9  # of the plain loop: calls in a row, at most; of their inputs; times
DEADLINES = {"crash": PATIENCE.call, "hang": PATIENCE.call}  # of the others: a build's


@dataclass(frozen=True)
class Question:
    """One candidate, the class that it is counted under, and what should become of it."""

    kind: str
    name: str
    reference: str
    source: str
    fate: Fate


@dataclass(frozen=True)
class Tally:
    """How many of one class were refused, were accepted and not faster, were accepted, and against expectation."""

    kind: str
    judged: int
    refused: int
    not_faster: int
    accepted: int
    surprises: int


# Cheats, twins, mutants


def questions() -> Iterator[Question]:
    for row in CHEATS:
        yield Question(f"cheats: {row.kind}", row.name, row.reference, row.source, row.fate)
    for name, (reference, source) in TWINS.items():
        yield Question("honest twins", name, reference, source, Fine())
    for name, reference in REFERENCES.items():
        yield Question("honest kernels", name, reference, kernel_text(name), Fine())
    for mutant in MUTANTS:
        yield Question(f"mutants: {mutant.kind}", mutant.kernel, REFERENCES[mutant.kernel], mutant.source, Refused(""))


def ask_all(runs: int) -> dict[str, Any]:
    outcomes: dict[str, list[tuple[Question, Outcome]]] = {}
    surprises: list[str] = []
    for run in range(runs):
        with Courts() as courts:
            for question in questions():
                outcome = courts.examine(question.reference, question.source)
                outcomes.setdefault(question.kind, []).append((question, outcome))
                if unexpected(question, outcome):
                    surprises.append(f"run {run + 1}, {question.kind}, {question.name}: {told(outcome)}".strip())
    return {"rows": [asdict(tally(kind, found)) for kind, found in outcomes.items()], "surprises": surprises}


def tally(kind: str, found: Sequence[tuple[Question, Outcome]]) -> Tally:
    accepted = [outcome for _, outcome in found if isinstance(outcome, Accepted)]
    idle = 0 if kind.startswith("honest") else sum(verdict(one.timing, GAIN) != "FASTER" for one in accepted)
    surprises = sum(unexpected(*each) for each in found)
    return Tally(kind, len(found), len(found) - len(accepted), idle, len(accepted) - idle, surprises)


def unexpected(question: Question, outcome: Outcome) -> bool:
    """A mutant may be refused for any wrong value, however it shows."""
    if question.kind.startswith("mutants"):
        return not (isinstance(outcome, Rejected) and outcome.stage in ("verify", "time"))
    return differs(outcome, question.fate) != ""


# Equal and slower kernels


def work(milliseconds: float, device: str = "cpu") -> int:
    """Steps that take about so long on this machine; a multiple of twenty, so that 5 % is a number."""
    x = torch.randn(SHAPES[device], device=device)
    samples = [seconds(lambda: torch.sin(x), device) for _ in range(60)]
    return max(20, round(milliseconds / 1e3 / statistics.median(samples) / 20) * 20)


def seconds(call: Callable[[], object], device: str) -> float:
    """By this process's clock, until the device is done."""
    wait: Callable[[], object] = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    kept = call()
    wait()
    taken = time.perf_counter() - start
    del kept
    return taken


def verdicts(milliseconds: float, runs: int, share: float, device: str) -> dict[str, Any]:
    """Verdicts on a candidate that does the reference's work and this share of it again."""
    steps = work(milliseconds, device)
    extra = round(steps * share)
    counts: Counter[str] = Counter()
    speedups: list[float] = []
    for first in range(0, runs, RUNS_A_JUDGE):
        with judge_of_work(steps, device=device) as judge:
            for _ in range(min(RUNS_A_JUDGE, runs - first)):
                outcome = judge.examine(candidate_of_work(steps, extra, device))
                counts[verdict(outcome.timing, GAIN) if isinstance(outcome, Accepted) else told(outcome)] += 1
                speedups += [speedup(outcome.timing)] if isinstance(outcome, Accepted) else []
    low, high = (min(speedups), max(speedups)) if speedups else (0.0, 0.0)
    return {"milliseconds": milliseconds, "more_work": share, "runs": runs, "steps": steps, "extra": extra,
            "verdicts": dict(counts), "speedup_least": low, "speedup_most": high}  # fmt: skip


def judge_of_work(steps: int, baselines: Sequence[Any] = ("eager",), device: str = "cpu") -> IsolatedJudge:
    text = TASK.format(name="Model", body=WORK.format(steps=steps, extra=0), shape=SHAPES[device])
    return open_judge(Task(text, (), targets.detect(device)), baselines=baselines, threads=1)


def candidate_of_work(steps: int, extra: int, device: str = "cpu") -> Candidate:
    text = TASK.format(name="ModelNew", body=WORK.format(steps=steps, extra=extra), shape=SHAPES[device])
    return Candidate("work", text, Handmade("benchmark"))


# The clock


def clock(device: str) -> dict[str, Any]:
    """Microseconds a call of PyTorch's eager mode: by the judge, and by a plain loop that keeps all outputs as well."""
    if device == "cpu":
        keep_freed_memory()  # as workers do
    rows = []
    for shape in CLOCKED[device]:
        for name, body in BODIES.items():
            if name == "product" and shape[0] > PRODUCTS[device]:
                continue
            text = TASK.format(name="Model", body=f"return {body}", shape=shape)
            with open_judge(Task(text, (), targets.detect(device)), baselines=("eager",), threads=1) as judge:
                judged = [ns / 1e3 for ns in judge.baselines().measured[0].samples_ns]
            plain = loop(body, shape, device)
            rows.append({"task": name, "shape": list(shape), "judge_us": round(statistics.median(judged), 1),
                         "judge_from": round(min(judged), 1), "judge_to": round(max(judged), 1),
                         "loop_us": round(plain, 1), "ratio": round(statistics.median(judged) / plain, 2)})  # fmt: skip
    return {"rows": rows}


def loop(body: str, shape: tuple[int, int], device: str) -> float:
    """Microseconds a call, the median of a few times that many calls in a row, each on an input of its own."""
    call = eval(f"lambda x: {body}", {"torch": torch})
    x = torch.randn(shape, device=device)
    sets = [x.clone() for _ in range(min(CALLS, max(1, BYTES // x.nbytes)))]
    samples = [seconds(lambda: [call(one) for one in sets], device) / len(sets) for _ in range(REPEATS)]
    return 1e6 * statistics.median(samples)


# Patience


def latency(runs: int) -> dict[str, Any]:
    """Seconds for each examination of a 10 ms task, with both baselines, after the first."""
    steps = work(10.0)
    taken: list[float] = []
    with judge_of_work(steps, ("eager", "compile")) as judge:
        for number in range(runs + 1):
            started = time.monotonic()
            outcome = judge.examine(candidate_of_work(steps, number % 2))
            assert isinstance(outcome, Accepted), told(outcome)
            taken.append(round(time.monotonic() - started, 2))
    return {"first_s": taken[0], "median_s": statistics.median(taken[1:]), "seconds": taken[1:]}


def hostile() -> dict[str, Any]:
    """Each way to misbehave: seconds until it was reported, the limit, and whether the next candidate was judged."""
    rows = []
    sources = {row.name: row.source for row in CHEATS}
    with Courts() as courts:
        judge = courts.judge("linear_tail")
        honest = Candidate("next", TWINS["lazy_method_honest"][1], Handmade("benchmark"))
        list(judge.screen((honest,)))  # opens what all need
        for name, cheat in HOSTILE.items():
            started = time.monotonic()
            (outcome,) = judge.screen((Candidate(name, sources[cheat], Handmade("benchmark")),))
            taken = time.monotonic() - started
            (after,) = judge.screen((honest,))
            rows.append({"name": name, "seconds": round(taken, 2), "limit_s": DEADLINES.get(name, PATIENCE.build) + 2,
                         "reported": told(outcome).splitlines()[0], "next": type(after).__name__,
                         "fine": isinstance(outcome, Rejected) and isinstance(after, Screened)})  # fmt: skip
    return {"rows": rows}


# Telling


def table(rows: Sequence[dict[str, Any]], names: dict[str, str]) -> str:
    """A Markdown table of these entries of the rows, under these headings."""
    lines = ["| " + " | ".join(names.values()) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def shown(part: str, found: dict[str, Any]) -> str:
    match part:
        case "cheats":
            names = {"kind": "class", "judged": "judged", "refused": "refused", "not_faster": "accepted, not faster",
                     "accepted": "accepted", "surprises": "not as expected"}  # fmt: skip
            return "\n".join([table(found["rows"], names), "", *found["surprises"]])
        case "clock":
            names = {"task": "task", "shape": "shape", "judge_us": "judge, us", "judge_from": "from", "judge_to": "to",
                     "loop_us": "plain loop, us", "ratio": "judge / loop"}  # fmt: skip
            return table(found["rows"], names)
        case "hostile":
            names = {"name": "candidate", "seconds": "seconds", "limit_s": "at most", "reported": "reported",
                     "next": "the next one"}  # fmt: skip
            return table(found["rows"], names)
        case "latency":
            return table([found], {"first_s": "first, s", "median_s": "median of the others, s", "seconds": "all, s"})
    names = {"milliseconds": "task, ms", "more_work": "more work", "runs": "runs", "verdicts": "verdicts",
             "speedup_least": "least speed-up", "speedup_most": "largest"}  # fmt: skip
    return table([found], names)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cheats", type=int, nargs="?", const=3, metavar="RUNS", help="all cheats, twins and mutants")
    parser.add_argument("--same", type=int, metavar="RUNS", help="two identical kernels of 5 ms")
    parser.add_argument("--slower", type=int, metavar="RUNS", help="5 %% more work than a kernel of 10 ms")
    parser.add_argument("--latency", type=int, nargs="?", const=5, metavar="RUNS", help="seconds a candidate")
    parser.add_argument("--hostile", action="store_true", help="candidates that crash, hang, fork and fill")
    parser.add_argument("--clock", action="store_true", help="what calls cost by the judge, and by a plain loop")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="for --same, --slower and --clock")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    elsewhere = (options.cheats, options.latency, options.hostile)
    if not any((*elsewhere, options.same, options.slower, options.clock)):
        parser.error("nothing to do; name at least one of --cheats, --same, --slower, --latency, --hostile, --clock")
    if options.device != "cpu" and any(elsewhere):
        parser.error(
            "--cheats, --latency and --hostile are asked on the CPU; a GPU's cheats are pytest tests/cheats/cuda"
        )
    return options


def measured(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    if options.cheats:
        yield "cheats", ask_all(options.cheats)
    if options.same:
        yield "same", verdicts(5.0, options.same, 0.0, options.device)
    if options.slower:
        yield "slower", verdicts(10.0, options.slower, 0.05, options.device)
    if options.latency:
        yield "latency", latency(options.latency)
    if options.hostile:
        yield "hostile", hostile()
    if options.clock:
        yield "clock", clock(options.device)


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    target = targets.detect(options.device)
    machine = f"{target.name}, {target.cores} cores, torch {torch.__version__}, Python {platform.python_version()}"
    found: dict[str, Any] = {"machine": machine}
    if not options.json:
        print(machine)
    for part, result in measured(options):
        found[part] = result
        if not options.json:
            print(f"\n{part}\n\n{shown(part, result)}", flush=True)
    if options.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
