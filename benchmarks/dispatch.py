"""What a deployed module adds to a call: its guard and dispatch, round a kernel that does nothing.

    python benchmarks/dispatch.py [--tensors 12] [--rounds 40]

Both sides are called in turn, a few thousand times a round; the figures are nanoseconds a call over the rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from kernelwright.capture.source import spec_of
from kernelwright.deploy.module import deploy
from kernelwright.targets import cpu

CALLS = 5000

KERNEL = """
from torch import nn

class ModelNew(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(layers)))

    def forward(self, x):
        return x
"""


class Layers(nn.Module):
    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(layers)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tensors", type=int, default=12, help="of state: a weight and a bias a layer")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    x = torch.randn(4, 8)
    deployed = deploy(Layers(options.tensors // 2), KERNEL, (options.tensors // 2,), (spec_of(x),))
    bare = deployed._kernel
    with torch.no_grad():
        assert deployed(x) is x, "the kernel has to run, or the original is measured"
        pairs = [(nanoseconds(bare, x), nanoseconds(deployed, x)) for _ in range(options.rounds)]
    added = [with_guard - without for without, with_guard in pairs]
    print(json.dumps({
        "tensors": options.tensors,
        "added_ns": quartiles(added),
        "kernel_alone_ns": quartiles([without for without, _ in pairs]),
        "rounds": options.rounds,
        "calls_a_round": CALLS,
        "machine": cpu.detect().name,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }, indent=2))  # fmt: skip


def nanoseconds(call: Callable[[torch.Tensor], object], x: torch.Tensor) -> float:
    started = time.perf_counter_ns()
    for _ in range(CALLS):
        call(x)
    return (time.perf_counter_ns() - started) / CALLS


def quartiles(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"minimum": min(values), "first_quartile": low, "median": middle, "third_quartile": high}


if __name__ == "__main__":
    main()
