"""What a run over a suite costs a problem beside the flow itself, with a flow that decides at once.

    python -m benchmarks.runner SUITE [--level 1,2,3] [--only GLOB] [--scale S] [--json]

Seconds a problem: a process of its own is started, PyTorch is there, and an entry is on the disk. With a scale, the
scaled reference is run once besides, to see that it runs; that is part of the figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from kernelwright import settings
from kernelwright.bench import child
from kernelwright.bench.runner import Asked, Bench
from kernelwright.core import codec
from kernelwright.core.outcome import Baselines, Fallback, Measured
from kernelwright.core.run import Solved

BASELINES = Baselines((Measured("eager", (1e6,)),), ())


def decide(job: child.Job) -> str:
    """In place of the flow."""
    return codec.dumps(Solved(job.problem.name, BASELINES, Fallback("eager", "nothing was proposed"), ()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--level", default="")
    parser.add_argument("--only", default="*")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    asked = Asked(options.suite, tuple(filter(None, options.level.split(","))), options.only, options.scale)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), settings.load(), 1, lambda run, entries: None, solve=decide)
        _, entries = bench.begin(asked)
    seconds = [entry.seconds for entry in entries]
    count, median, most = len(seconds), statistics.median(seconds), max(seconds)
    if options.json:
        print(json.dumps({"problems": count, "median": median, "most": most}))
    else:
        print(f"{count} problems, seconds each: median {median:.2f}, at most {most:.2f}")


if __name__ == "__main__":
    main()
