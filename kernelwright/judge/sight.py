"""What a worker's outputs are at the moment of its answer, read from outside, without a line of its code running.

A candidate that answers first and computes later has nothing there yet. On the CPU the worker is stopped and its memory
read by the system; on CUDA the judge maps the worker's memory and reads it on its own stream, while the clock runs.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from kernelwright.judge import cuda, requests
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.memory import Slot, dtype_named, span
from kernelwright.judge.processes import Fault, Worker

ELEMENTS = 32  # of one output that are looked at

Position = tuple[int, ...]
Strides = tuple[int, ...]
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Some elements of one output as they were when the answer came."""

    call: int
    output: int
    positions: tuple[Position, ...]
    seen: Tensor

    def change(self, outputs: Sequence[Sequence[Tensor]]) -> str:
        """How what was handed over later differs; "" where it is what was seen."""
        handed = outputs[self.call][self.output]
        later = torch.stack([handed[position] for position in self.positions]).cpu()
        changed = (_bits(later) != _bits(self.seen)).any(dim=1)
        if not changed.any():
            return ""
        first = int(changed.int().argmax())
        at, was, now = list(self.positions[first]), self.seen[first].item(), later[first].item()
        return (
            f"output {self.output} of call {self.call} changed after the call had returned: at {at}, {was} became {now}"
        )


@dataclass(frozen=True, slots=True)
class Look:
    """Which elements of which outputs of a sample to look at."""

    call: int
    output: int
    slot: Slot
    positions: tuple[Position, ...]

    def address(self, answer: Mapping[str, Any]) -> tuple[int, Strides]:
        """Where the worker says that this output starts, and its strides. Raises Fault where that is nonsense."""
        try:
            start, *strides = answer["at"][self.call][self.output]
        except (KeyError, IndexError, TypeError, ValueError):
            raise Fault("does not say where its outputs are") from None
        numbers = [start, *strides]
        if not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers) or len(strides) != len(self.slot.shape):
            raise Fault(f"says that an output is at {str(numbers)[:120]}")
        return start, tuple(strides)

    def offsets(self, strides: Sequence[int]) -> list[int]:
        """Bytes from the start to each element."""
        size = dtype_named(self.slot.dtype).itemsize
        return [size * sum(i * stride for i, stride in zip(at, strides, strict=True)) for at in self.positions]


@dataclass(frozen=True, slots=True)
class Clocked:
    """Nanoseconds on the judge's clock and on the device's own (0 where it has none), and what was seen.

    fresh: whether looking took longer than it will the next time, because memory had to be mapped first.
    """

    elapsed_ns: int
    device_ns: float = 0.0
    glimpses: tuple[Glimpse, ...] = ()
    fresh: bool = False


class Sight(Protocol):
    """How the outputs of a worker are seen on one kind of device."""

    def clock(self, examinee: Examinee, count: int, looks: Sequence[Look], earlier: Answer | None = None) -> Clocked:
        """Wake the worker, run `count` calls, look at their outputs or those of an earlier answer, leave it stopped."""
        ...

    def forget(self, worker: Worker) -> None:
        """This worker is about to give memory back, or to end."""
        ...


def plan_looks(calls: Sequence[Sequence[Slot]], draw: random.Random) -> tuple[Look, ...]:
    """Random elements of every output of the last call and of any one: always as many looks, which cost time."""
    return tuple(
        Look(call, output, slot, tuple(_position(slot.shape, draw) for _ in range(ELEMENTS)))
        for call in (draw.randrange(len(calls)), len(calls) - 1)
        for output, slot in enumerate(calls[call])
        if math.prod(slot.shape)
    )


class HostSight:
    """Reads a stopped worker's memory through the system: process_vm_readv(2) of Linux."""

    def clock(self, examinee: Examinee, count: int, looks: Sequence[Look], earlier: Answer | None = None) -> Clocked:
        elapsed, answer = examinee.worker.clock(requests.Run(count), examinee.seconds)
        examinee.worker.pause()
        return Clocked(elapsed, 0.0, tuple(_glimpse(examinee.worker, look, earlier or answer) for look in looks))

    def forget(self, worker: Worker) -> None:
        """Nothing is kept."""


class HandedOver:
    """Where nobody may look: handing over is part of what is timed, so that nothing is left to be computed after it."""

    def clock(self, examinee: Examinee, count: int, looks: Sequence[Look], earlier: Answer | None = None) -> Clocked:
        elapsed, _ = examinee.worker.clock(requests.Run(count), examinee.seconds)
        start = time.perf_counter_ns()
        if looks:
            examinee.outputs(count)
        elapsed += time.perf_counter_ns() - start
        examinee.worker.pause()
        return Clocked(elapsed)

    def forget(self, worker: Worker) -> None:
        """Nothing is kept."""


class DeviceSight:
    """Maps a worker's device memory and reads it while the clock runs.

    Contexts take turns on a device. What a worker's streams still have to do when it answers either delays the judge's
    read, and is paid for, or is not there yet, and is seen.
    """

    def __init__(self, device: str = "cuda") -> None:
        self._device = device
        self._mapped: dict[int, dict[str, Tensor]] = {}

    def clock(self, examinee: Examinee, count: int, looks: Sequence[Look], earlier: Answer | None = None) -> Clocked:
        worker = examinee.worker
        indices = [self._bytes_of(look, look.slot.strides) for look in looks]  # takes a while: before the clock runs
        torch.cuda.synchronize()
        elapsed, answer = worker.clock(requests.Run(count), examinee.seconds)
        start = time.perf_counter_ns()
        spots = [look.address(earlier or answer) for look in looks]
        places = self._places(examinee, [address for address, _ in spots])
        known = self._known(worker)
        glimpses = self._read(worker, looks, indices, spots, places)
        elapsed += time.perf_counter_ns() - start
        fresh = self._known(worker) > known
        if fresh:
            self._map_all(examinee, count, answer)
        worker.pause()
        return Clocked(elapsed, _number(answer.get("device_ns")), glimpses, fresh)

    def forget(self, worker: Worker) -> None:
        for block in self._mapped.pop(worker.pid, {}).values():
            cuda.close_handle(block.data_ptr())

    def _known(self, worker: Worker) -> int:
        return len(self._mapped.get(worker.pid, ()))

    def _places(self, examinee: Examinee, addresses: Sequence[int]) -> list[object]:
        told = examinee.worker.ask(requests.Export(tuple(addresses)), examinee.seconds).get("places")
        if not isinstance(told, list) or len(told) != len(addresses):
            raise Fault(f"does not say where its outputs are: {str(told)[:120]}")
        return told

    def _read(
        self,
        worker: Worker,
        looks: Sequence[Look],
        indices: Sequence[Tensor],
        spots: Sequence[tuple[int, Strides]],
        places: Sequence[object],
    ) -> tuple[Glimpse, ...]:
        """All looks by one copy to the host."""
        gathered: list[Tensor] = []
        for look, index, (_, strides), place in zip(looks, indices, spots, places, strict=True):
            size = span(look.slot.shape, strides) * dtype_named(look.slot.dtype).itemsize
            block = self._open(worker, place, size)  # first: no index could hold what strides a worker may name
            gathered.append(block[index if strides == look.slot.strides else self._bytes_of(look, strides)])
        if not gathered:
            return ()
        seen = torch.cat(gathered).cpu().split([len(one) for one in gathered])
        return tuple(
            Glimpse(look.call, look.output, look.positions, values.view(dtype_named(look.slot.dtype)))
            for look, values in zip(looks, seen, strict=True)
        )

    def _map_all(self, examinee: Examinee, count: int, answer: Answer) -> None:
        """All outputs' memory, so that no later look has to: an allocator hands out the same blocks again."""
        addresses = [
            Look(call, output, slot, ()).address(answer)[0]
            for call, slots in enumerate(examinee.tray.calls[:count])
            for output, slot in enumerate(slots)
            if math.prod(slot.shape)
        ]
        for place in self._places(examinee, addresses):
            self._open(examinee.worker, place, 0)

    def _open(self, worker: Worker, place: object, size: int) -> Tensor:
        """`size` bytes of the worker's memory. Raises Fault where it has none there: reading beyond would end us."""
        match place:
            case [str(handle), int(offset)] if len(handle) == 2 * cuda.HANDLE and offset >= 0:
                pass
            case _:
                raise Fault(f"says that an output is at {str(place)[:120]}")
        mapped = self._mapped.setdefault(worker.pid, {})
        if handle not in mapped:
            try:
                address = cuda.open_handle(handle)
                mapped[handle] = cuda.as_bytes(address, cuda.extent_of(address))
            except (cuda.CudaError, ValueError) as error:
                raise Fault(f"its output's memory cannot be shared: {error}") from None
        whole = mapped[handle]
        if offset + size > len(whole):
            raise Fault(f"says that {size} bytes of output are at {offset} of a block of {len(whole)}")
        return whole[offset : offset + size]

    def _bytes_of(self, look: Look, strides: Strides) -> Tensor:
        """On the device: the offset of every byte of every element that is looked at."""
        size = dtype_named(look.slot.dtype).itemsize
        return (torch.tensor(look.offsets(strides)).unsqueeze(1) + torch.arange(size)).flatten().to(self._device)


def sight_of(device: str, examinee: Examinee) -> Sight:
    """The best way to look at the outputs of workers like this one, which has just been started."""
    if device == "cuda":
        return DeviceSight()
    return HostSight() if _may_read(examinee.worker.pid) else HandedOver()


def _position(shape: Sequence[int], draw: random.Random) -> Position:
    return tuple(draw.randrange(extent) for extent in shape)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _bits(values: Tensor) -> Tensor:
    """One row of bytes for each element."""
    return (
        values.contiguous().view(-1, 1).view(torch.uint8) if values.dtype != torch.bool else values.view(-1, 1).byte()
    )


# Reading another process's memory


class _Piece(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _glimpse(worker: Worker, look: Look, answer: Mapping[str, Any]) -> Glimpse:
    start, strides = look.address(answer)
    dtype = dtype_named(look.slot.dtype)
    seen = torch.empty(len(look.positions), dtype=dtype)
    addresses = [start + offset for offset in look.offsets(strides)]
    if _read(worker.pid, addresses, dtype.itemsize, seen.data_ptr()) != seen.nbytes:
        if ctypes.get_errno() == errno.ESRCH:
            raise worker.death()
        raise Fault(f"has no output {look.output} of call {look.call} where it says: {_last_error()}")
    return Glimpse(look.call, look.output, look.positions, seen)


def _read(pid: int, addresses: Sequence[int], size: int, target: int) -> int:
    """Copies `size` bytes from each address of that process to `target`, one behind the other; -1 where it fails."""
    into = _Piece(target, size * len(addresses))
    pieces = (_Piece * len(addresses))(*((address, size) for address in addresses))
    return _libc().process_vm_readv(pid, ctypes.byref(into), 1, pieces, len(addresses), 0)


def _may_read(pid: int) -> bool:
    """Whether the system lets this process read that one's memory: address 0 is none, which it says only if so."""
    if sys.platform != "linux":
        return False
    spare = ctypes.create_string_buffer(1)
    _read(pid, [0], 1, ctypes.addressof(spare))
    return ctypes.get_errno() == errno.EFAULT


def _last_error() -> str:
    return os.strerror(ctypes.get_errno())


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
