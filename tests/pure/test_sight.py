"""Looking into a worker's device memory, with blocks of the host in the place of a GPU's."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kernelwright.judge import cuda, requests
from kernelwright.judge.memory import Slot
from kernelwright.judge.processes import Fault
from kernelwright.judge.sight import DeviceSight, plan_looks

SHAPE, OFFSET = (8, 6), 16
SLOT = Slot(0, SHAPE, (6, 1), "float32")
CALLS = tuple((SLOT,) for _ in range(5))
HUGE = 1 << 61


class Blocks:
    """A worker that keeps one output a call, each in a block of its own, as large outputs are."""

    pid = 7

    def __init__(self, strides: tuple[int, int] = (6, 1)) -> None:
        self.blocks = [torch.zeros(OFFSET + 4 * 48, dtype=torch.uint8) for _ in CALLS]
        views = [block[OFFSET:].view(torch.float32).as_strided(SHAPE, strides) for block in self.blocks]
        self.outputs = [(view.copy_(torch.randn(SHAPE)),) for view in views]
        self.at: Any = [[[number, *strides]] for number in range(len(CALLS))]
        self.places: Any = None

    def clock(self, request: requests.Run, seconds: float) -> tuple[int, Mapping[str, Any]]:
        return 1000, {"at": self.at[: request.count], "device_ns": 5.0}

    def ask(self, request: requests.Export, seconds: float) -> Mapping[str, Any]:
        return {"places": self.places or [[_handle(address), OFFSET] for address in request.addresses]}

    def pause(self) -> None:
        pass


def _handle(number: int) -> str:
    return f"{number:0{2 * cuda.HANDLE}x}"


def seated(worker: Blocks, monkeypatch: pytest.MonkeyPatch) -> Any:
    """At a desk, on a device where a handle is the number of a block, and its address too."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(cuda, "open_handle", lambda handle: int(handle, 16))
    monkeypatch.setattr(cuda, "extent_of", lambda address: len(worker.blocks[address]))
    monkeypatch.setattr(cuda, "as_bytes", lambda address, size: worker.blocks[address][:size])
    return SimpleNamespace(worker=worker, seconds=1.0, tray=SimpleNamespace(calls=CALLS))


@pytest.mark.parametrize("strides", [(6, 1), (1, 8)])
def test_what_lies_there_is_seen_and_a_later_change_too(
    strides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Blocks(strides)
    found = DeviceSight("cpu").clock(seated(worker, monkeypatch), 5, plan_looks(CALLS, random.Random(0)))
    assert [glimpse.call for glimpse in found.glimpses] == [3, 4]
    assert [glimpse.change(worker.outputs) for glimpse in found.glimpses] == ["", ""]
    worker.outputs[4][0].zero_()
    assert "output 0 of call 4 changed after the call had returned" in found.glimpses[1].change(worker.outputs)
    assert found.device_ns == 5.0 and found.elapsed_ns > 1000


def test_memory_is_mapped_once_also_where_nobody_has_looked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    examinee, sight = seated(Blocks(), monkeypatch), DeviceSight("cpu")
    looks = [plan_looks(CALLS, random.Random(seed)) for seed in range(12)]
    assert {look.call for plan in looks for look in plan} == set(range(5))
    assert [sight.clock(examinee, 5, plan).fresh for plan in looks] == [True, *[False] * 11]


def test_without_a_call_an_earlier_ones_outputs_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Blocks()
    earlier = worker.clock(requests.Run(1), 1.0)[1]
    looks = plan_looks(CALLS[:1], random.Random(0))
    found = DeviceSight("cpu").clock(seated(worker, monkeypatch), 0, looks, earlier)
    assert [(glimpse.call, glimpse.change(worker.outputs)) for glimpse in found.glimpses] == [(0, ""), (0, "")]


@pytest.mark.parametrize(
    ("at", "places"),
    [
        (None, None),
        ([5] * 5, None),
        ([[5]] * 5, None),
        ([[["x", 6, 1]]] * 5, None),
        ([[[-1, 6, 1]]] * 5, None),
        ([[[0, 6]]] * 5, None),
        ([[[0, HUGE, HUGE]]] * 5, None),
        ([[[0, 7, 1]]] * 5, None),  # beyond the block
        ([*([[5]] * 3), *([[[0, 6, 1]]] * 2)], None),  # nonsense where nobody looks, but something is mapped
        ([[[0, 6, 1]]] * 5, [["no handle", 0]] * 2),
        ([[[0, 6, 1]]] * 5, [[_handle(0), -4]] * 2),
        ([[[0, 6, 1]]] * 5, [[_handle(0), OFFSET]]),
    ],
)
def test_a_worker_that_tells_nonsense_is_at_fault(at: Any, places: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Blocks()
    worker.at, worker.places = at if at is not None else [], places
    with pytest.raises(Fault):
        DeviceSight("cpu").clock(seated(worker, monkeypatch), 5, plan_looks(CALLS, random.Random(0)))
