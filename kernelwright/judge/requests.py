"""What the judge can ask of its child processes. Each request is answered by one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kernelwright.judge.limits import Limits
from kernelwright.judge.memory import Slot
from kernelwright.judge.sandbox import Boundary

Delivery = Literal["load_state_dict", "in place"]
Runner = Literal["as written", "torch.compile"]
Precision = Literal["parity", "tf32"]


@dataclass(frozen=True, slots=True)
class Start:
    """To the template: fork a worker. Descriptors: its socket, its log."""

    folder: str
    variables: Mapping[str, str]
    threads: int
    compiler: str
    boundary: Boundary
    limits: Limits


@dataclass(frozen=True, slots=True)
class End:
    """To the template: say how a worker ended, killing it when it has not done so within `grace` seconds."""

    pid: int
    grace: float


@dataclass(frozen=True, slots=True)
class Build:
    """Import the source, construct the class that it defines, and move the module to the device."""

    source: str
    defines: str
    init_inputs: tuple[Any, ...]
    seed: int
    runner: Runner = "as written"
    device: str = "cpu"
    precision: Precision = "parity"


@dataclass(frozen=True, slots=True)
class Map:
    """Map memory under a name: what comes as a descriptor, or device memory by its handle."""

    name: str
    size: int
    handle: str | None = None


@dataclass(frozen=True, slots=True)
class SetState:
    """Take over parameters and buffers from the arena `state`."""

    slots: Mapping[str, Slot]
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the arena `inputs` the arguments of each call lie. What is no slot is passed as it is."""

    calls: tuple[tuple[Slot | Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Call the module on the first `count` sets of arguments, keep what it returns, and say where that lies."""

    count: int


@dataclass(frozen=True, slots=True)
class Export:
    """Say how another process can open the device memory at these addresses."""

    addresses: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trim:
    """Give memory that is not in use back to the system, and start counting the peak anew."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Say how many bytes of device memory were in use at most since `Trim`, beyond those in use then."""


@dataclass(frozen=True, slots=True)
class Describe:
    """Say what the kept outputs look like."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Copy the tensors in the kept outputs, oldest call first, to these slots of the arena `outputs`."""

    calls: tuple[tuple[Slot, ...], ...]


@dataclass(frozen=True, slots=True)
class FetchState:
    """Copy parameters and buffers to these slots of the arena `outputs`."""

    slots: Mapping[str, Slot]


@dataclass(frozen=True, slots=True)
class Release:
    """Drop the kept outputs. From here on memory is as the allocator gives it."""


@dataclass(frozen=True, slots=True)
class Spoil:
    """Overwrite the kept outputs with NaN and drop them. From here on fresh memory holds huge numbers."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Say where the time of `count` calls on the first arguments goes, and what compilers say of the kernels.

    alone: what a module that Nsight Compute watches is made with; None where it cannot be asked.
    """

    count: int
    alone: tuple[Any, ...] | None = None
