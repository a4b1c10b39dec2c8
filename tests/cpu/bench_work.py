"""A flow that only pretends, for tests of the run around it; `python -m tests.cpu.bench_work SUITE RUN` makes a run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from kernelwright import settings
from kernelwright.bench import child
from kernelwright.bench.runner import Allowance, Asked, Bench, Tell
from kernelwright.core import codec
from kernelwright.core.outcome import Fallback
from kernelwright.core.run import Failed, Solved
from kernelwright.report.run import RUN_FILE
from tests.pure.samples import BASELINES

GIBIBYTE = 1 << 30


def pretend(job: child.Job) -> str:
    """Loads the reference as the flow does, says which process this is, and takes a moment."""
    reason = child.objection(job)
    print(os.getpid(), flush=True)
    time.sleep(0.2)
    if reason:
        return codec.dumps(Failed("broken", reason))
    return codec.dumps(Solved("a task", BASELINES, Fallback("eager", "nothing was proposed"), ()))


def a_bench(folder: Path, tell: Tell = lambda run, entries: None, jobs: int = 1, seconds: float = 60.0) -> Bench:
    """A run of which each problem may take so many seconds and 2 GiB."""
    allowance = Allowance(factor=0.0, fixed=seconds / jobs, memory=2 * GIBIBYTE * jobs)
    return Bench(folder, settings.load(), jobs, tell, allowance, pretend)


if __name__ == "__main__":
    suite, folder = sys.argv[1], Path(sys.argv[2])
    if (folder / RUN_FILE).exists():
        a_bench(folder).resume()
    else:
        a_bench(folder).begin(Asked(suite))
