"""The untrusted side: loads one source, then calls it on bytes that the judge owns, and hands back bytes."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import importlib.util
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kernelwright import runtime
from kernelwright.core.errors import first_line
from kernelwright.judge import cuda, requests, wire
from kernelwright.judge.memory import Arena, Slot, dtype_name
from kernelwright.judge.structure import describe, leaves, overlap

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_PERTURB = -1, -3, -6  # of glibc's mallopt
RECYCLED = 32 << 20  # bytes; glibc never keeps a freed block that is larger
NEVER = (1 << 31) - 1
HUGE = 0x01  # complement 0xFE: -1.7e38 in float32 and bfloat16, NaN in float16
LOADED = "kernelwright_candidate"  # the name of the module that a source becomes
DETAIL = 8000  # characters of a traceback
MOST_BLOCKS = 256  # idle blocks of device memory that are filled
Event = torch.cuda.Event  # bound before a candidate can put something else in its place


class Workbench:
    """What one worker holds: the module, the judge's memory, the arguments, the outputs not yet dropped."""

    def __init__(self) -> None:
        self.module: nn.Module = nn.Module()
        self.call: Any = None
        self.device = "cpu"
        self.allocated = 0
        self.settle: Callable[[], None] = lambda: None
        self.arenas: dict[str, Arena | cuda.DeviceArena] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.kept: list[Any] = []

    def answer(self, request: object, fds: list[int]) -> dict[str, Any]:
        """What was asked, done to the end: also on the device."""
        done = self.do(request, fds)
        self.settle()
        return done

    def do(self, request: object, fds: list[int]) -> dict[str, Any]:
        match request:
            case requests.Run():
                return self.run(request.count)
            case requests.Export():
                return {"places": [dataclasses.astuple(cuda.place_of(address)) for address in request.addresses]}
            case requests.Build():
                return self.build(request)
            case requests.Map():
                self.arenas[request.name] = mapped(request, fds)
            case requests.SetState():
                self.set_state(request)
            case requests.Place():
                self.calls = [tuple(self.argument(value) for value in call) for call in request.calls]
            case requests.Describe():
                return {"outputs": [describe(value, self.owners()) for value in self.kept]}
            case requests.Fetch():
                self.fetch(request)
            case requests.FetchState():
                self.fetch_state(request)
            case requests.Release():
                self.kept.clear()
                fill_fresh_memory(0)
            case requests.Spoil():
                self.spoil()
            case requests.Trim():
                self.trim()
            case requests.Peak():
                return {"bytes": torch.cuda.max_memory_allocated() - self.allocated}
            case requests.Profile():
                return self.profile(request)
            case _:
                raise TypeError(f"unknown request {request!r}")
        return {}

    def build(self, request: requests.Build) -> dict[str, Any]:
        self.choose(request.device, request.precision)
        torch.manual_seed(request.seed)
        model = getattr(load(request.source), request.defines)
        self.module = model(*request.init_inputs).to(self.device)
        self.call = torch.compile(self.module) if request.runner == "torch.compile" else self.module
        state = self.module.state_dict()
        return {"state": {name: [list(value.shape), dtype_name(value.dtype)] for name, value in state.items()}}

    def choose(self, device: str, precision: str) -> None:
        """Before any of the candidate's code is there: where to compute, and how precisely."""
        self.device = device
        if precision == "tf32":
            torch.set_float32_matmul_precision("high")
        if device == "cuda":
            torch.cuda.init()
            self.settle = torch.cuda.synchronize

    def set_state(self, request: requests.SetState) -> None:
        data = self.arenas["state"].data
        state = {name: slot.view(data) for name, slot in request.slots.items()}
        if request.delivery == "load_state_dict":
            self.module.load_state_dict(state, strict=True)
            return
        for name, value in self.module.state_dict().items():
            value.copy_(state[name])

    def argument(self, value: Any) -> Any:
        return value.view(self.arenas["inputs"].data) if isinstance(value, Slot) else value

    def run(self, count: int) -> dict[str, Any]:
        """The calls, on the device's own clock too where it has one. The judge believes none of it."""
        clock = Stopwatch() if self.device == "cuda" else None
        returned = [self.call(*arguments) for arguments in self.calls[:count]]
        device_ns = clock.stop() if clock else 0.0
        self.kept += returned
        return {"done": count, "at": [[whereabouts(leaf) for leaf in leaves(value)] for value in returned],
                "device_ns": device_ns}  # fmt: skip

    def owners(self) -> list[tuple[str, Tensor]]:
        """What outputs may not share memory with unless the reference's do, by name."""
        inputs = [(f"input {i}", value) for i, value in enumerate(self.calls[0]) if isinstance(value, Tensor)]
        return inputs + [(f"state {name!r}", value) for name, value in self.module.state_dict().items()]

    def fetch(self, request: requests.Fetch) -> None:
        data = self.arenas["outputs"].data
        for slots, value in zip(request.calls, self.kept, strict=False):
            for slot, leaf in zip(slots, leaves(value), strict=True):
                copy(leaf, slot, data)

    def fetch_state(self, request: requests.FetchState) -> None:
        state = self.module.state_dict()
        for name, slot in request.slots.items():
            copy(state[name], slot, self.arenas["outputs"].data)

    def trim(self) -> None:
        self.kept.clear()
        runtime.release()
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.allocated = torch.cuda.memory_allocated()
        give_back_freed_memory()

    def spoil(self) -> None:
        """A forward that reads what it has not written finds NaN in reused memory and huge numbers in fresh memory."""
        fill_fresh_memory(HUGE)
        owners = [owner for _, owner in self.owners()] if self.calls else []
        for leaf in leaves(self.kept):
            if not any(overlap(leaf, owner) for owner in owners):
                fill(leaf, 0xFF)
        self.kept.clear()
        if self.device == "cuda":
            fill_idle_blocks(0xFF)

    def profile(self, request: requests.Profile) -> dict[str, Any]:
        from kernelwright.judge import nsight, profiler  # torch.profiler, which no other request needs

        module = sys.modules[LOADED]
        profiler.watch(module)
        found = profiler.operators(self.call, self.calls[0], request.count)
        said = [*profiler.triton_reports(module), *profiler.compiler_reports(Path("candidate.py").read_text("utf-8"))]
        if request.alone is not None and self.device == "cuda":
            said += nsight.reports(request.alone, self.calls[0])
        return {"operators": found, "compiler": said}


class Stopwatch:
    """Nanoseconds of device time, from here to `stop`, by events on the current stream."""

    def __init__(self) -> None:
        self.start, self.end = Event(enable_timing=True), Event(enable_timing=True)
        self.start.record()

    def stop(self) -> float:
        self.end.record()
        self.end.synchronize()
        return self.start.elapsed_time(self.end) * 1e6


def mapped(request: requests.Map, fds: list[int]) -> Arena | cuda.DeviceArena:
    return Arena(request.size, *fds) if request.handle is None else cuda.DeviceArena(request.size, request.handle)


def whereabouts(leaf: Tensor) -> list[int]:
    """The address of the first element, and the strides."""
    return [leaf.data_ptr(), *leaf.stride()]


def load(source: str) -> Any:
    """The source as an imported module with a file behind it, which compilers and tracebacks read."""
    path = Path("candidate.py").resolve()
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(LOADED, path)
    assert spec and spec.loader, f"no loader for {path}"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def copy(leaf: Tensor, slot: Slot, data: Tensor) -> None:
    if tuple(leaf.shape) != slot.shape or dtype_name(leaf.dtype) != slot.dtype:
        wanted = f"{slot.dtype} {slot.shape}"
        raise ValueError(f"a later call returned {dtype_name(leaf.dtype)} {tuple(leaf.shape)}, expected {wanted}")
    slot.view(data).copy_(leaf)


def fill(leaf: Tensor, byte: int) -> None:
    """Every byte of the storage behind this tensor."""
    torch.empty(0, dtype=torch.uint8, device=leaf.device).set_(leaf.untyped_storage()).fill_(byte)


def fill_idle_blocks(byte: int) -> None:
    """Every block that PyTorch's device allocator holds and nobody uses, as far as it hands them out again."""
    segments = torch.cuda.memory_snapshot()
    idle = [block["size"] for part in segments for block in part["blocks"] if block["state"] == "inactive"]
    taken = [torch.empty(size, dtype=torch.uint8, device="cuda") for size in sorted(idle, reverse=True)[:MOST_BLOCKS]]
    for block in taken:
        block.fill_(byte)


def fill_fresh_memory(byte: int) -> None:
    """Have the allocator fill what it hands out with the complement of this byte; 0 leaves it as it comes."""
    allocator_option(M_PERTURB, byte)


def keep_freed_memory() -> None:
    """Recycle every block up to 32 MiB; larger ones come from the system each time, as they always do.

    Left to itself, glibc does this or gives pages back, depending on what was allocated before: the same module took
    7.5 ms a call in one process and 24.5 ms in another, where every call had 18,784 page faults.
    """
    allocator_option(M_MMAP_THRESHOLD, RECYCLED)
    allocator_option(M_TRIM_THRESHOLD, NEVER)


def give_back_freed_memory() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def allocator_option(option: int, value: int) -> None:
    """Does nothing where the allocator is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(option, value)


def main(connection: socket.socket, threads: int, compiler: str) -> None:
    """Serve until the judge hangs up or the first failure, which is told and ends this worker."""
    number = 0
    try:
        keep_freed_memory()
        torch.set_num_threads(threads)
        runtime.configure(compiler=compiler, cache=Path.cwd() / "kernels")
        workbench = Workbench()
        with torch.no_grad():
            while True:
                (number, request), fds = wire.receive(connection)
                wire.send_json(connection, {"answers": number, **workbench.answer(request, fds)})
    except BaseException as error:
        failed = f"{type(error).__name__}: {first_line(error)}"
        wire.send_json(connection, {"answers": number, "failed": failed, "detail": traceback.format_exc()[-DETAIL:]})
