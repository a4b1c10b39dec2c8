"""In a worker that is not confined: what Nsight Compute counts while each kernel of one call runs.

It watches a process of its own over a socket, which every sandbox refuses.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

PROGRAM = "ncu"
SECONDS = 50.0
WARM_UPS = 3
HANDED_OVER = Path("call.pt")
ALONE = "import sys; sys.path[:0] = {path!r}; from kernelwright.judge import nsight; nsight.alone()"
METRICS = {
    "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed": "% of the memory's peak",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "% of the arithmetic's",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "% of the warps there is room for",
    "launch__registers_per_thread": "registers a thread",
}


def reports(init_inputs: Sequence[Any], arguments: Sequence[Any]) -> list[str]:
    """A line for each launch of one call of candidate.py's ModelNew; none where Nsight Compute is not installed."""
    if shutil.which(PROGRAM) is None:
        return []
    handed = [value.cpu() if isinstance(value, torch.Tensor) else value for value in arguments]
    torch.save((list(init_inputs), handed), HANDED_OVER)
    command = [PROGRAM, "--csv", "--page", "raw", "--profile-from-start", "off", "--metrics", ",".join(METRICS),
               sys.executable, "-c", ALONE.format(path=sys.path)]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [f"Nsight Compute took more than {SECONDS:g} s"]
    lines = list(told(done.stdout))
    return lines or [f"Nsight Compute tells nothing: {(done.stdout + done.stderr).strip()[-200:]}"]


def told(output: str) -> Iterator[str]:
    """What its CSV says: one header, one line of units, one line for each launch; its own remarks begin with ==."""
    rows = csv.DictReader(line for line in output.splitlines() if not line.startswith("=="))
    for row in rows:
        if row.get("ID"):
            figures = ", ".join(f"{row[metric]} {words}" for metric, words in METRICS.items() if row.get(metric))
            yield f"{row['Kernel Name'][:60]}: {figures}"


def alone() -> None:
    """In the process that is watched: one call, after a few that are not."""
    from kernelwright.judge import worker

    init_inputs, arguments = torch.load(HANDED_OVER)
    model = worker.load(Path("candidate.py").read_text("utf-8")).ModelNew(*init_inputs).cuda()
    moved = [value.cuda() if isinstance(value, torch.Tensor) else value for value in arguments]
    runtime: Any = torch.cuda.cudart()
    with torch.no_grad():
        for _ in range(WARM_UPS):
            model(*moved)
        torch.cuda.synchronize()
        runtime.cudaProfilerStart()
        model(*moved)
        torch.cuda.synchronize()
        runtime.cudaProfilerStop()
