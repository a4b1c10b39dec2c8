"""What right looks like: owns the reference, the secret seeds, the weights, and the float64 oracle's answers."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kernelwright.capture import source
from kernelwright.capture.source import Input, Reference
from kernelwright.core.errors import UsageError, blame
from kernelwright.judge import inputs as families
from kernelwright.judge.inputs import Case, Family, State
from kernelwright.judge.reductions import LongestReduction
from kernelwright.judge.structure import leaves

CONSTRUCTION_SEED = 0  # the same for reference and candidates, and no secret: weights are set afterwards


@dataclass(frozen=True, slots=True)
class Answer:
    """The oracle's outputs, and the state entries that the call changed, with what they became."""

    outputs: tuple[Tensor, ...]
    changed: Mapping[str, Tensor]

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in (*self.outputs, *self.changed.values()))


class AnswerKey:
    """All that a candidate must never see. Answers are kept while they fit into `memory` bytes."""

    def __init__(self, text: str, state: State | None, memory: int, device: str) -> None:
        self.reference: Reference = source.load(text)
        self.device = device
        self.seeds = secret_seeds()
        self.init_inputs, model = construct(self.reference)
        given = model.state_dict() if state is None else state
        states = _weights({name: value.detach().cpu() for name, value in given.items()}, self.seeds)
        self.states = tuple({name: value.to(device) for name, value in state.items()} for state in states)
        self.cases = families.cases(self.seeds, self._families(), len(self.states))
        self._model = model.to(device)
        self._oracle: Oracle | None = None
        self._memory = memory
        self._inputs: dict[Case, tuple[Input, ...]] = {}
        self._answers: dict[Case, Answer] = {}

    def inputs(self, case: Case) -> tuple[Input, ...]:
        if case not in self._inputs:
            drawn = self.drawn(case.seed, case.family)
            self._spend(sum(value.nbytes for value in drawn if isinstance(value, Tensor)), self._inputs, case, drawn)
            return drawn
        return self._inputs[case]

    def drawn(self, seed: int, family: Family = families.PLAIN) -> tuple[Input, ...]:
        """The generator's inputs for this seed, as this family has them, where the task computes."""
        drawn = families.drawn(self.reference, seed, family)
        return tuple(value.to(self.device) if isinstance(value, Tensor) else value for value in drawn)

    def answer(self, case: Case) -> Answer:
        """Raises UsageError where the reference itself refuses these inputs."""
        if case not in self._answers:
            answer = self.oracle.answer(self.inputs(case), self.states[case.weights])
            self._spend(answer.nbytes, self._answers, case, answer)
            return answer
        return self._answers[case]

    @property
    def oracle(self) -> Oracle:
        """In float64 where the reference can be run so on the first case, else as it is."""
        if self._oracle is None:
            first = self.cases[0]
            self._oracle = most_precise(self._model, self.inputs(first), self.states[first.weights])
        return self._oracle

    def _families(self) -> tuple[families.Family, ...]:
        drawn = families.drawn(self.reference, next(self.seeds))
        floating = any(isinstance(value, Tensor) and value.is_floating_point() for value in drawn)
        return families.FAMILIES if floating else (families.PLAIN,)

    def _spend(self, nbytes: int, kept: dict[Case, Any], case: Case, value: Any) -> None:
        if nbytes <= self._memory:
            self._memory -= nbytes
            kept[case] = value


class Oracle:
    """The reference in one precision."""

    def __init__(self, model: nn.Module, dtype: torch.dtype | None, name: str) -> None:
        self._model, self._dtype, self.name = model, dtype, name
        self.length = 1

    def answer(self, inputs: Sequence[Input], state: State) -> Answer:
        refusal = blame(UsageError, "the model fails on its own inputs")
        precision = _default_dtype(self._dtype or torch.get_default_dtype())
        with torch.no_grad(), refusal, torch.random.fork_rng(devices=[]), precision:
            self._model.load_state_dict(state, strict=True)
            before = {name: value.clone() for name, value in self._model.state_dict().items()}
            with LongestReduction() as watch:
                returned = self._model(*(self._cast(value) for value in inputs))
        self.length = max(self.length, watch.length)
        after = self._model.state_dict()
        changed = {name: after[name].clone() for name in before if not _same_values(after[name], before[name])}
        return Answer(tuple(leaf.clone() for leaf in leaves(returned)), changed)

    def _cast(self, value: Input) -> Input:
        if not isinstance(value, Tensor):
            return value
        value = value.clone()
        return value.to(self._dtype) if self._dtype and value.is_floating_point() else value


def most_precise(model: nn.Module, inputs: Sequence[Input], state: State) -> Oracle:
    """Float64 where the model takes it. Raises UsageError where it takes not even its own inputs."""
    exact = Oracle(copy.deepcopy(model).double(), torch.float64, "float64")
    try:
        answer = exact.answer(inputs, state)
    except UsageError as error:
        plain = Oracle(model, None, f"the reference's own dtypes, because in float64 {error}")
        plain.answer(inputs, state)
        return plain
    if any(leaf.is_floating_point() and leaf.dtype != torch.float64 for leaf in answer.outputs):
        exact.name = "float64, except where the reference casts down"
    return exact


def construct(reference: Reference) -> tuple[tuple[Any, ...], nn.Module]:
    """The constructor's arguments, and a model made with them exactly as workers make theirs."""
    with torch.random.fork_rng(devices=[]), blame(UsageError, "get_init_inputs() or Model's constructor fails"):
        torch.manual_seed(CONSTRUCTION_SEED)
        arguments = tuple(reference.get_init_inputs())
        torch.manual_seed(CONSTRUCTION_SEED)
        return arguments, reference.model(*copy.deepcopy(arguments))


def secret_seeds() -> Iterator[int]:
    """From the operating system, so that nothing a candidate can read tells them."""
    while True:
        yield int.from_bytes(os.urandom(8), "little") >> 1


def _weights(given: State, seeds: Iterator[int]) -> tuple[State, ...]:
    """The weights given and two other sets; only the given one where there are none to change."""
    if not any(value.is_floating_point() for value in given.values()):
        return (given,)
    return (given, families.rerandomised(given, next(seeds)), families.rerandomised(given, next(seeds)))


def _same_values(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one, other) or bool(torch.allclose(one, other, rtol=0, atol=0, equal_nan=True))


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
