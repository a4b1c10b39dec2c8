"""Where workers are asked: shared memory for inputs and state, and the judge's own copy of every byte in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kernelwright.capture.source import Input
from kernelwright.judge import requests
from kernelwright.judge.inputs import State
from kernelwright.judge.memory import Slot, arrive, dtype_named, lay_out, new_arena, room, shift
from kernelwright.judge.processes import Worker
from kernelwright.judge.requests import Delivery
from kernelwright.judge.structure import leaves

OUTPUTS, INPUTS, STATE = "outputs", "inputs", "state"
UNWRITTEN = 0xFF  # NaN in every floating dtype
GUARD_BYTE = 0xA5  # between tensors


class Desk:
    """Inputs for `count` calls. What the judge writes appears to all workers at once, in the same storage."""

    def __init__(self, example: Sequence[Input], count: int) -> None:
        tensors = [value for value in example if isinstance(value, Tensor)]
        slots = lay_out(tensors)
        size = room(slots)
        self._slots = [shift(slots, i * size) for i in range(count)]
        self.calls = tuple(_arguments(example, slots) for slots in self._slots)
        self.count, self.nbytes = count, count * size
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

    def touched(self) -> str:
        """What a worker has written where it may only read; "" for nothing."""
        if torch.equal(self._arena.data.view(torch.int64), self._own.view(torch.int64)):  # four times as fast as bytes
            return ""
        positions = [i for i, value in enumerate(self.calls[0]) if isinstance(value, Slot)]
        for slots in self._slots:
            for position, slot in zip(positions, slots, strict=True):
                if not torch.equal(self._arena.data[slot.offset : slot.end], self._own[slot.offset : slot.end]):
                    return f"input {position}"
        return "memory beside an input"

    def seat(self, worker: Worker) -> None:
        """Have the worker take its arguments from here."""
        worker.share(INPUTS, self._arena)
        worker.tell(requests.Place(self.calls))

    def close(self) -> None:
        self._arena.close()


class Weights:
    """The state of the task in shared memory, one set of values at a time."""

    def __init__(self, example: State) -> None:
        self.slots = dict(zip(example, lay_out(example.values()), strict=True))
        device = next((value.device.type for value in example.values()), "cpu")
        self._arena = new_arena(room(tuple(self.slots.values())), device)

    def deliver(self, worker: Worker, state: State, delivery: Delivery, seconds: float) -> None:
        for name, slot in self.slots.items():
            slot.view(self._arena.data).copy_(state[name])
        arrive(self._arena.data)
        worker.share(STATE, self._arena)
        worker.ask(requests.SetState(self.slots, delivery), seconds)

    def close(self) -> None:
        self._arena.close()


class Tray:
    """Where one worker puts the outputs of `count` calls, and its state behind them."""

    def __init__(self, description: Mapping[str, Any], state: Mapping[str, Slot], count: int, device: str) -> None:
        slots = output_slots(description)
        size = room(slots)
        self.calls = tuple(shift(slots, i * size) for i in range(count))
        self._state = dict(zip(state, shift(state.values(), count * size), strict=True))
        self._arena = new_arena(count * size + room(tuple(state.values())), device)

    def fetch(self, worker: Worker, count: int, seconds: float) -> tuple[tuple[Tensor, ...], ...]:
        """The outputs of the first `count` kept calls; views that hold until the next fetch."""
        calls = self.calls[:count]
        self._arena.data.fill_(UNWRITTEN)
        arrive(self._arena.data)
        worker.share(OUTPUTS, self._arena)
        worker.ask(requests.Fetch(calls), seconds)
        return tuple(tuple(slot.view(self._arena.data) for slot in slots) for slots in calls)

    def fetch_state(self, worker: Worker, seconds: float) -> dict[str, Tensor]:
        worker.share(OUTPUTS, self._arena)
        worker.ask(requests.FetchState(self._state), seconds)
        return {name: slot.view(self._arena.data) for name, slot in self._state.items()}

    def close(self) -> None:
        self._arena.close()


def output_slots(description: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Slots for contiguous tensors of the described shapes."""
    shapes = _tensors(description)
    return lay_out(torch.empty(shape, dtype=dtype_named(dtype), device="meta") for shape, dtype in shapes)


def _tensors(description: Mapping[str, Any]) -> list[tuple[list[int], str]]:
    if "dtype" in description:
        return [(description["shape"], description["dtype"])]
    return [found for item in description.get("items", []) for found in _tensors(item)]


def _arguments(example: Sequence[Input], slots: Sequence[Slot]) -> tuple[Slot | Input, ...]:
    remaining = iter(slots)
    return tuple(next(remaining) if isinstance(value, Tensor) else value for value in example)
