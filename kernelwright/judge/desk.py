"""Where workers are asked: shared memory for inputs and state, and the judge's own copy of every byte in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kernelwright.capture.source import Input
from kernelwright.judge import requests
from kernelwright.judge.families import Layout
from kernelwright.judge.inputs import State
from kernelwright.judge.memory import (
    GUARD,
    Slot,
    aligned,
    arrive,
    dtype_name,
    dtype_named,
    lay_out,
    new_arena,
    room,
    shift,
)
from kernelwright.judge.processes import Fault, Worker
from kernelwright.judge.requests import Delivery
from kernelwright.judge.structure import leaves

OUTPUTS, INPUTS, STATE = "outputs", "inputs", "state"
UNWRITTEN = 0xFF  # NaN in every floating dtype
GUARD_BYTE = 0xFF  # between tensors: NaN in every floating dtype, so that reading there shows


class Desk:
    """Inputs for `count` calls. What the judge writes appears to all workers at once, in the same storage.

    layout: how the tensors lie; `example` has the strides. written: positions of inputs that the reference writes to.
    """

    def __init__(
        self, example: Sequence[Input], count: int, layout: Layout = "as drawn", written: Collection[int] = ()
    ) -> None:
        tensors = [value for value in example if isinstance(value, Tensor)]
        slots = input_slots(tensors, layout)
        size = room(slots)
        self._slots = [shift(slots, i * size) for i in range(count)]
        self.calls = tuple(_arguments(example, slots) for slots in self._slots)
        self.count, self.nbytes, self.written = count, count * size, tuple(written)
        self._arena = new_arena(self.nbytes, tensors[0].device.type)
        self._own = torch.full_like(self._arena.data, GUARD_BYTE)

    def own(self, call: int) -> list[Tensor]:
        """The judge's own copy of one call's input tensors, to be written before `publish`."""
        return [slot.view(self._own) for slot in self._slots[call]]

    def arguments(self, call: int) -> tuple[Input, ...]:
        """One call's arguments, in the judge's own copy."""
        return tuple(slot.view(self._own) if isinstance(slot, Slot) else slot for slot in self.calls[call])

    def write(self, call: int, values: Sequence[Input]) -> None:
        for target, value in zip(self.own(call), leaves(list(values)), strict=True):
            target.copy_(value)

    def publish(self) -> None:
        self._arena.data.copy_(self._own)
        arrive(self._arena.data)

    def draft(self, call: int, values: Sequence[Tensor]) -> Tensor:
        """The bytes of one call's inputs with these values, where `replace` is quick to take them from."""
        data = self._own[self._region(call)].clone()
        for slot, value in zip(self._slots[0], values, strict=True):
            slot.view(data).copy_(value)
        return data.cpu().pin_memory() if data.is_cuda else data

    def replace(self, call: int, draft: Tensor) -> None:
        """Write a draft while a worker runs.

        It comes from the host: a kernel that copies would stand in line behind the worker's, the copy engine doesn't.
        """
        target = self._arena.data[self._region(call)]
        target.copy_(draft, non_blocking=True)
        arrive(target)

    def accept(self, call: int, draft: Tensor) -> None:
        """Take a draft over into the judge's own copy."""
        self._own[self._region(call)].copy_(draft)

    def touched(self) -> str:
        """What a worker has written where it may only read; "" for nothing."""
        if torch.equal(self._arena.data.view(torch.int64), self._own.view(torch.int64)):  # four times as fast as bytes
            return ""
        for call in self.calls:
            for position, slot in enumerate(call):
                if isinstance(slot, Slot) and position not in self.written and not self._kept(slot.offset, slot.end):
                    return f"input {position}"
        slots = [slot for call in self._slots for slot in call]
        return "" if all(self._kept(*gap) for gap in gaps(slots, self._arena.size)) else "memory beside an input"

    def left_in(self, call: int, positions: Collection[int]) -> tuple[Tensor, ...]:
        """What these inputs of one call hold now; views that hold until the next `publish`."""
        return tuple(slot.view(self._arena.data) for position, slot in enumerate(self.calls[call])
                     if isinstance(slot, Slot) and position in positions)  # fmt: skip

    def copies(self, call: int) -> tuple[Tensor, ...]:
        """Copies of what the inputs that the reference writes to hold now."""
        return tuple(value.clone() for value in self.left_in(call, self.written))

    def _region(self, call: int) -> slice:
        size = self.nbytes // self.count
        return slice(call * size, (call + 1) * size)

    def _kept(self, start: int, end: int) -> bool:
        return torch.equal(self._arena.data[start:end], self._own[start:end])

    def seat(self, worker: Worker) -> None:
        """Have the worker take its arguments from here."""
        worker.share(INPUTS, self._arena)
        worker.tell(requests.Place(self.calls))

    def close(self) -> None:
        self._arena.close()


class Weights:
    """The state of the task in shared memory, one set of values at a time, and the judge's own copy of it."""

    def __init__(self, example: State) -> None:
        self.slots = dict(zip(example, lay_out(example.values(), GUARD), strict=True))
        device = next((value.device.type for value in example.values()), "cpu")
        self._arena = new_arena(room(tuple(self.slots.values())), device)
        self._own = torch.full_like(self._arena.data, GUARD_BYTE)

    def deliver(self, worker: Worker, state: State, delivery: Delivery, seconds: float) -> None:
        for name, slot in self.slots.items():
            slot.view(self._own).copy_(state[name])
        self._arena.data.copy_(self._own)
        arrive(self._arena.data)
        worker.share(STATE, self._arena)
        worker.ask(requests.SetState(self.slots, delivery), seconds)

    def touched(self) -> bool:
        """Whether a worker has written where weights are handed over."""
        return not torch.equal(self._arena.data.view(torch.int64), self._own.view(torch.int64))

    def close(self) -> None:
        self._arena.close()


class Tray:
    """Where one worker puts the outputs of `count` calls, and its state behind them. Guards lie all around."""

    def __init__(self, description: Mapping[str, Any], state: Mapping[str, Slot], count: int, device: str) -> None:
        slots = output_slots(description)
        size = room(slots)
        self.calls = tuple(shift(slots, i * size) for i in range(count))
        self._state = dict(zip(state, shift(state.values(), count * size), strict=True))
        self._arena = new_arena(count * size + room(tuple(state.values())), device)
        filled = [*(slot for call in self.calls for slot in call), *self._state.values()]
        self._gaps = tuple(gaps(filled, self._arena.size))

    def fetch(self, worker: Worker, count: int, seconds: float) -> tuple[tuple[Tensor, ...], ...]:
        """The outputs of the first `count` kept calls; views that hold until the next fetch. Raises Fault."""
        calls = self.calls[:count]
        self._arena.data.fill_(UNWRITTEN)
        arrive(self._arena.data)
        worker.share(OUTPUTS, self._arena)
        worker.ask(requests.Fetch(calls), seconds)
        self._check_guards()
        return tuple(tuple(slot.view(self._arena.data) for slot in slots) for slots in calls)

    def fetch_state(self, worker: Worker, seconds: float) -> dict[str, Tensor]:
        worker.share(OUTPUTS, self._arena)
        worker.ask(requests.FetchState(self._state), seconds)
        self._check_guards()
        return {name: slot.view(self._arena.data) for name, slot in self._state.items()}

    def close(self) -> None:
        self._arena.close()

    def _check_guards(self) -> None:
        guards = torch.cat([self._arena.data[start:end] for start, end in self._gaps])
        if not bool((guards == UNWRITTEN).all()):
            raise Fault("wrote beside the memory for its outputs")


def gaps(slots: Sequence[Slot], size: int) -> Iterator[tuple[int, int]]:
    """The stretches of bytes that no slot covers."""
    free = 0
    for slot in sorted(slots, key=lambda slot: slot.offset):
        if slot.offset > free:
            yield free, slot.offset
        free = max(free, slot.end)
    if free < size:
        yield free, size


def input_slots(tensors: Sequence[Tensor], layout: Layout) -> tuple[Slot, ...]:
    """In the strides of these tensors, which may have holes. "offset" is one element further on, off every boundary."""
    slots: list[Slot] = []
    start = GUARD
    for tensor in tensors:
        offset = aligned(start) + (tensor.itemsize if layout == "offset" else 0)
        slots.append(Slot(offset, tuple(tensor.shape), tuple(tensor.stride()), dtype_name(tensor.dtype)))
        start = slots[-1].end + GUARD
    return tuple(slots)


def output_slots(description: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Slots for contiguous tensors of the described shapes."""
    shapes = _tensors(description)
    return lay_out((torch.empty(shape, dtype=dtype_named(dtype), device="meta") for shape, dtype in shapes), GUARD)


def output_dtypes(description: Mapping[str, Any]) -> list[torch.dtype]:
    return [dtype_named(dtype) for _, dtype in _tensors(description)]


def _tensors(description: Mapping[str, Any]) -> list[tuple[list[int], str]]:
    if "dtype" in description:
        return [(description["shape"], description["dtype"])]
    return [found for item in description.get("items", []) for found in _tensors(item)]


def _arguments(example: Sequence[Input], slots: Sequence[Slot]) -> tuple[Slot | Input, ...]:
    remaining = iter(slots)
    return tuple(next(remaining) if isinstance(value, Tensor) else value for value in example)
