"""One worker with a built module: give it weights, put it at a desk, run it, look at what it returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kernelwright.judge import requests
from kernelwright.judge.answers import CONSTRUCTION_SEED, AnswerKey
from kernelwright.judge.desk import Desk, Tray, Weights
from kernelwright.judge.inputs import Case
from kernelwright.judge.memory import dtype_name
from kernelwright.judge.processes import Fault, Worker
from kernelwright.judge.requests import Precision, Runner


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a worker may take."""

    build: float = 60.0
    compile: float = 120.0
    call: float = 10.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Way:
    """Where every worker of a judge computes, and what arithmetic it may use."""

    device: str
    precision: Precision


class Examinee:
    """A worker, its tray, and what it was last given. A context manager that owns both."""

    def __init__(self, worker: Worker, weights: Weights, seconds: float, way: Way) -> None:
        self.worker, self.seconds = worker, seconds
        self._weights, self._way = weights, way
        self._holds: object = None
        self._desk: Desk | None = None
        self._tray: Tray | None = None

    def __enter__(self) -> Examinee:
        return self

    def __exit__(self, *exception: object) -> None:
        self.worker.end()
        if self._tray:
            self._tray.close()

    def start_building(self, key: AnswerKey, text: str, defines: str, runner: Runner = "as written") -> None:
        way = self._way
        arguments = text, defines, key.init_inputs, CONSTRUCTION_SEED, runner, way.device, way.precision
        self.worker.tell(requests.Build(*arguments))

    def finish_building(self, key: AnswerKey, seconds: float) -> None:
        """Raises Fault where the module's state is not the reference's, name by name."""
        check_state(self.worker.hear(seconds).get("state"), key)

    def take_state(self, key: AnswerKey, case: Case) -> None:
        self._weights.deliver(self.worker, key.states[case.weights], case.delivery, self.seconds)
        self._holds = (case.weights, case.delivery)

    def holds(self, case: Case) -> bool:
        """Whether the weights of this case were the last ones given."""
        return self._holds == (case.weights, case.delivery)

    def touched(self) -> str:
        """What was written where weights are handed over; "" for nothing. Asked before others are given weights."""
        return "memory of the weights" if self._weights.touched() else ""

    def sit(self, desk: Desk) -> None:
        if self._desk is not desk:
            desk.seat(self.worker)
            self._desk = desk

    def hold_tray(self, tray: Tray) -> None:
        if self._tray:
            self._tray.close()
        self._tray = tray

    def run(self, count: int = 1) -> Mapping[str, Any]:
        """The worker's answer, of which nothing need be true."""
        return self.worker.ask(requests.Run(count), self.seconds)

    def start_running(self) -> None:
        self.worker.tell(requests.Spoil())
        self.worker.tell(requests.Run(1))

    def describe(self) -> Mapping[str, Any]:
        """What the last kept output looks like, in the worker's words: right or not, only bytes will tell."""
        outputs = self.worker.ask(requests.Describe(), self.seconds).get("outputs")
        if not isinstance(outputs, list) or not outputs or not isinstance(outputs[-1], dict):
            raise Fault(f"described no output: {str(outputs)[:200]}")
        return outputs[-1]

    def outputs(self, count: int = 1) -> Sequence[tuple[Tensor, ...]]:
        return self.tray.fetch(self.worker, count, self.seconds)

    def state(self) -> Mapping[str, Tensor]:
        return self.tray.fetch_state(self.worker, self.seconds)

    def release(self) -> None:
        self.worker.ask(requests.Release(), self.seconds)

    def spoil(self) -> None:
        self.worker.ask(requests.Spoil(), self.seconds)

    @property
    def tray(self) -> Tray:
        assert self._tray, "an examinee holds a tray before it hands anything over"
        return self._tray


def check_state(told: object, key: AnswerKey) -> None:
    wanted = {name: [list(value.shape), dtype_name(value.dtype)] for name, value in key.states[0].items()}
    if not isinstance(told, dict):
        raise Fault(f"described no state: {str(told)[:200]}")
    for name in {**wanted, **told}:
        if told.get(name) != wanted.get(name):
            difference = f"state {name[:80]!r} is {_shown(told.get(name))}, expected {_shown(wanted.get(name))}"
            raise Fault(f"{difference}{_remedy(told, wanted)}")


def _remedy(told: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    """What to do where names differ: weights are handed over by name."""
    others = [name[:80] for name in told if name not in wanted]
    if told.keys() == wanted.keys():
        return ""
    instead = f" has {', '.join(map(repr, others[:4]))} instead" if others else " lacks it"
    return (
        f"; ModelNew{instead}: name its parameters and buffers as Model does ({', '.join(list(wanted)[:4]) or 'none'})"
    )


def _shown(entry: object) -> str:
    return "absent" if entry is None else str(entry)[:200]
