"""How fast each skeleton's C++ is beside eager PyTorch: GFLOP/s or GB/s by shape.

    python benchmarks/kernels.py [--only matmul] [--rounds 15] [--all-parameters] [--json]

Kernel and eager run in turn on the same inputs. Figures are the least and the median time of the rounds; outputs are
recycled on both sides, so that page faults favour neither.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn, randn

from kernelwright import targets
from kernelwright.capture.export import program
from kernelwright.core.spec import Target
from kernelwright.kernels import map as map_
from kernelwright.kernels import matmul, rowwise
from kernelwright.kernels.kernel import Kernel
from kernelwright.kernels.region import region
from kernelwright.kernels.skeleton import Skeleton
from kernelwright.runtime import cpp, empty

Case = tuple[Skeleton, str, Callable[..., Any], tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class Row:
    """One kernel on one shape. Times in milliseconds."""

    skeleton: str
    case: str
    parameters: dict[str, Any]
    unit: str
    best: float  # in the unit, from the least time
    kernel_ms: tuple[float, float]  # least, median
    eager_ms: tuple[float, float]
    speedup: float  # of medians


class Wrapped(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def cases() -> Iterator[Case]:
    def linear(rows: int, columns: int, depth: int) -> tuple[torch.Tensor, ...]:
        return randn(rows, depth), randn(columns, depth), randn(columns)

    for sides in ((1024, 1024, 1024), (128, 4096, 4096), (16, 4096, 4096), (4, 4096, 4096), (1, 4096, 4096)):
        yield matmul, f"linear {sides}", F.linear, linear(*sides)
    yield matmul, "linear, gelu (2048, 2048, 512)", lambda x, w, b: F.gelu(F.linear(x, w, b)), linear(2048, 2048, 512)
    yield matmul, "linear (65536, 64, 64)", F.linear, linear(65536, 64, 64)
    yield (
        matmul,
        "bmm 96 x (128, 128, 64)",
        lambda q, k: q @ k.transpose(1, 2),
        (randn(96, 128, 64), randn(96, 128, 64)),
    )
    yield matmul, "bmm 8 x (512, 512, 512)", torch.bmm, (randn(8, 512, 512), randn(8, 512, 512))
    yield rowwise, "softmax (4096, 1024)", lambda x: F.softmax(x, -1), (randn(4096, 1024),)
    yield rowwise, "softmax (64, 65536)", lambda x: F.softmax(x, -1), (randn(64, 65536),)
    yield rowwise, "softmax (65536, 10)", lambda x: F.softmax(x, -1), (randn(65536, 10),)
    yield rowwise, "layer norm (8192, 768)", lambda x: F.layer_norm(x, (768,)), (randn(8192, 768),)
    yield rowwise, "gelu, layer norm (8192, 768)", lambda x: F.layer_norm(F.gelu(x), (768,)), (randn(8192, 768),)
    yield rowwise, "cross entropy (8192, 1000)", F.cross_entropy, (randn(8192, 1000), torch.randint(0, 1000, (8192,)))
    yield rowwise, "mse loss 4 M", F.mse_loss, (randn(4096, 1024), randn(4096, 1024))
    yield rowwise, "sum over the first (4096, 1024)", lambda x: x.sum(0), (randn(4096, 1024),)
    yield rowwise, "softmax over channels (16, 128, 28, 28)", lambda x: F.softmax(x, 1), (randn(16, 128, 28, 28),)
    yield map_, "gelu 4 M", F.gelu, (randn(4096, 1024),)
    yield map_, "mish 4 M", F.mish, (randn(4096, 1024),)
    yield map_, "relu(x * s + b) 4 M", lambda x, s, b: F.relu(x * s + b), (randn(4096, 1024), randn(1024), randn(1024))
    yield (
        map_,
        "silu by channels (16, 64, 56, 56)",
        lambda x, s: F.silu(x * s),
        (randn(16, 64, 56, 56), randn(64, 1, 1)),
    )
    yield map_, "transposed sum (2048, 2048)", lambda x, y: x.t() + y, (randn(2048, 2048), randn(2048, 2048))


def measured(case: Case, target: Target, rounds: int, every: bool) -> Iterator[Row]:
    skeleton, name, function, inputs = case
    graph = program(Wrapped(function), list(inputs))
    here = region(skeleton.NAME, [node for node in graph.graph.nodes if node.op == "call_function"])
    placeholders = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
    tensors = dict(zip(placeholders, inputs, strict=True))
    choices = skeleton.parameters(here, target)
    for parameters in choices if every else choices[:1]:
        kernel = skeleton.write(here, parameters, "cpp", "kernel")
        ours, eager = timed(called(kernel, tensors), lambda: function(*inputs), rounds)
        unit, work = ("GFLOP/s", kernel.flops) if skeleton.NAME == "matmul" else ("GB/s", kernel.nbytes)
        speedup = statistics.median(eager) / statistics.median(ours)
        yield Row(skeleton.NAME, name, dict(parameters), unit, work / min(ours) / 1e9, both(ours), both(eager), speedup)


def called(kernel: Kernel, tensors: dict[str, torch.Tensor]) -> Callable[[], None]:
    """The kernel on these inputs, into fresh outputs as a candidate file has them."""
    function = getattr(cpp("\n".join([*kernel.headers, kernel.source])), kernel.name)
    inputs = [tensors[argument.name] for argument in kernel.inputs]
    others = [argument.spec for argument in kernel.arguments if argument.role != "input"]

    def call() -> None:
        function(*inputs, *(empty(spec.shape, getattr(torch, spec.dtype), spec.strides) for spec in others))

    return call


def timed(ours: Callable[[], object], eager: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds a call, the two sides in turn."""
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for side, call in zip(samples, (ours, eager), strict=True):
            start = time.perf_counter()
            call()
            if number >= 2:
                side.append(time.perf_counter() - start)
    return samples


def both(seconds: list[float]) -> tuple[float, float]:
    return round(min(seconds) * 1e3, 4), round(statistics.median(seconds) * 1e3, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("map", "rowwise", "matmul"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--all-parameters", action="store_true", help="every choice, not the best guess alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    target = targets.cpu.detect()
    chosen = [case for case in cases() if options.only in (None, case[0].NAME)]
    machine = f"{target.name}, {target.arch}, {torch.get_num_threads()} threads, {', '.join(target.toolchain)}"
    if not options.json:
        print(machine)
    with torch.no_grad():
        rows = []
        for case in chosen:
            for row in measured(case, target, options.rounds, options.all_parameters):
                rows.append(asdict(row))
                if not options.json:
                    print(shown(row), flush=True)
    if options.json:
        print(json.dumps({"machine": machine, "rows": rows}, indent=1))


def shown(row: Row) -> str:
    kernel, eager = (f"{least:8.3f} ({median:.3f})" for least, median in (row.kernel_ms, row.eager_ms))
    return f"{row.case:42} {row.best:6.1f} {row.unit:7} kernel {kernel} ms  eager {eager} ms  {row.speedup:5.2f} x"


if __name__ == "__main__":
    main()
