"""What right looks like: owns the reference, the secret seeds, the weights, and the float64 oracle's answers."""

from __future__ import annotations

import copy
import hashlib
import itertools
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kernelwright.capture import source
from kernelwright.capture.source import Input, Reference
from kernelwright.core.errors import UsageError, blame
from kernelwright.core.task import Contract
from kernelwright.judge import inputs as asking
from kernelwright.judge import numerics
from kernelwright.judge.families import PLAIN, Family
from kernelwright.judge.inputs import Case, State
from kernelwright.judge.picks import Pick, Picks
from kernelwright.judge.reductions import LongestReduction
from kernelwright.judge.structure import leaves

MASTER = 32  # bytes
NOTHING: AbstractContextManager[Any] = nullcontext()
CONSTRUCTION_SEED = 0  # the same for reference and candidates, and no secret: weights are set afterwards


@dataclass(frozen=True, slots=True)
class Answer:
    """The oracle's outputs; the inputs that the call wrote to, by position; the state entries that it changed.

    picks: where outputs that are positions point, by the number of the output.
    """

    outputs: tuple[Tensor, ...]
    written: Mapping[int, Tensor]
    changed: Mapping[str, Tensor]
    picks: Mapping[int, Pick]

    @property
    def truths(self) -> tuple[Tensor, ...]:
        """All that is judged, in this order."""
        return (*self.outputs, *self.written.values(), *self.changed.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Of what is judged, one by one."""
        outputs = (f"output {i}" for i in range(len(self.outputs)))
        return (*outputs, *(f"input {i}" for i in self.written), *(f"state {name!r}" for name in self.changed))

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in (*self.truths, *self.picks.values()))

    def narrowed(self, dtypes: Sequence[torch.dtype]) -> Answer:
        """Outputs in float32 where candidates give no more: half the memory, for a rounding that no rule notices."""
        pairs = zip(self.outputs, dtypes, strict=True)
        return replace(self, outputs=tuple(_narrow(value) if dtype.itemsize <= 4 else value for value, dtype in pairs))


class AnswerKey:
    """All that a candidate must never see. Answers are kept while they fit into `memory` bytes.

    master: the secret that every seed derives from; from the operating system, unless a verdict is played again.
    """

    def __init__(
        self, text: str, contract: Contract, state: State | None, memory: int, device: str, master: bytes = b""
    ) -> None:
        self.reference: Reference = source.load(text)
        self.contract, self.device = contract, device
        self.master = master or os.urandom(MASTER)
        self.seeds = seeds(self.master, "timing")
        self.init_inputs, model = construct(self.reference)
        given = model.state_dict() if state is None else state
        asked = seeds(self.master, "cases")
        states = _weights({name: value.detach().cpu() for name, value in given.items()}, asked)
        self.states = tuple({name: value.to(device) for name, value in state.items()} for state in states)
        drawn = asking.drawn(self.reference, next(asked))
        floating = any(map(_is_floating, drawn))
        self.cases = asking.cases(asked, contract, floating=floating, weights=len(self.states))
        self._drawn_dtypes = [value.dtype if isinstance(value, Tensor) else None for value in drawn]
        self._model = model.to(device)
        self._oracle: Oracle | None = None
        self._memory = memory
        self._dtypes: tuple[torch.dtype, ...] = ()
        self._inputs: dict[Case, tuple[Input, ...]] = {}
        self._answers: dict[Case, Answer] = {}

    def inputs(self, case: Case) -> tuple[Input, ...]:
        if case not in self._inputs:
            drawn = self.drawn(case.seed, case.family)
            self._spend(sum(value.nbytes for value in drawn if isinstance(value, Tensor)), self._inputs, case, drawn)
            return drawn
        return self._inputs[case]

    def drawn(self, seed: int, family: Family = PLAIN) -> tuple[Input, ...]:
        """The generator's inputs for this seed, as this family has them, where the task computes."""
        drawn = asking.drawn(self.reference, seed, family)
        return tuple(value.to(self.device) if isinstance(value, Tensor) else value for value in drawn)

    def answer(self, case: Case) -> Answer:
        """Raises UsageError where the reference itself refuses these inputs."""
        if case not in self._answers:
            answer = self.oracle.answer(self.inputs(case), self.states[case.weights])
            answer = answer.narrowed(self._dtypes) if self._dtypes else answer
            self._spend(answer.nbytes, self._answers, case, answer)
            return answer
        return self._answers[case]

    def expect(self, dtypes: Sequence[torch.dtype]) -> None:
        """Learns what the reference's outputs really are, and keeps answers no wider than that needs."""
        self._dtypes = tuple(dtypes)
        for case, answer in self._answers.items():
            self._answers[case] = answer.narrowed(self._dtypes)
            self._memory += answer.nbytes - self._answers[case].nbytes

    def as_given(self, answer: Answer) -> tuple[Tensor, ...]:
        """All that is judged, in the dtypes that candidates hand it over in. To be called after `expect`."""
        dtypes = (*self._dtypes, *(self._drawn_dtypes[i] for i in answer.written),
                  *(self.states[0][name].dtype for name in answer.changed))  # fmt: skip
        return tuple(value.to(dtype) for value, dtype in zip(answer.truths, dtypes, strict=True))

    def prepare(self) -> None:
        """Every case's answer, as far as they can be kept."""
        for case in self.cases:
            try:
                self.answer(case)
            except UsageError:
                continue
            if case not in self._answers:
                return

    @property
    def oracle(self) -> Oracle:
        """In float64 where the reference can be run so on the first case, else as it is."""
        if self._oracle is None:
            first = self.cases[0]
            self._oracle = most_precise(self._model, self.inputs(first), self.states[first.weights])
        return self._oracle

    @property
    def tie(self) -> float:
        """Relative difference between values that are compared with each other which rounding alone explains.

        Both may be off by that much, and they are computed in the least precise dtype that there is.
        """
        dtypes = (*self._dtypes, *self._drawn_dtypes, *(value.dtype for value in self.states[0].values()))
        return 2 * max(numerics.floor(dtype, self.oracle.length) for dtype in dtypes if dtype)

    @property
    def plain(self) -> Oracle:
        """The reference as it is written, in this process."""
        return Oracle(copy.deepcopy(self._model), None, "the reference's own dtypes")

    def place(self, case: Case) -> str:
        """How reasons name a case."""
        return f'family "{case.name}", case {self.cases.index(case) + 1} of {len(self.cases)}'

    def _spend(self, nbytes: int, kept: dict[Case, Any], case: Case, value: Any) -> None:
        if nbytes <= self._memory:
            self._memory -= nbytes
            kept[case] = value


class Oracle:
    """The reference in one precision."""

    def __init__(self, model: nn.Module, dtype: torch.dtype | None, name: str) -> None:
        self._model, self._dtype, self.name = model, dtype, name
        self.length, self.products = 1, False

    def answer(self, inputs: Sequence[Input], state: State, instead: AbstractContextManager[Any] = NOTHING) -> Answer:
        """What comes out, while `instead` is in force."""
        refusal = blame(UsageError, "the model fails on its own inputs")
        precision = _default_dtype(self._dtype or torch.get_default_dtype())
        with torch.no_grad(), refusal, torch.random.fork_rng(devices=[]), precision:
            self._model.load_state_dict(state, strict=True)
            before = {name: value.clone() for name, value in self._model.state_dict().items()}
            arguments = [self._cast(value) for value in inputs]
            versions = [_version(value) for value in arguments]
            with LongestReduction() as watch, Picks() as picks, instead:
                returned = self._model(*arguments)
        self.length, self.products = max(self.length, watch.length), self.products or watch.products
        after = self._model.state_dict()
        outputs = tuple(leaves(returned))
        return Answer(
            tuple(leaf.clone() for leaf in outputs),
            {i: value.clone() for i, value in enumerate(arguments)
             if isinstance(value, Tensor) and _version(value) != versions[i]},
            {name: after[name].clone() for name in before if not _same_values(after[name], before[name])},
            picks.of(outputs),
        )  # fmt: skip

    def _cast(self, value: Input) -> Input:
        """A copy with the same strides, so that views which the reference cannot take are refused here already."""
        if not isinstance(value, Tensor):
            return value
        dtype = self._dtype if self._dtype and value.is_floating_point() else value.dtype
        return torch.empty_strided(value.shape, value.stride(), dtype=dtype, device=value.device).copy_(value)


def most_precise(model: nn.Module, inputs: Sequence[Input], state: State) -> Oracle:
    """Float64 where the model takes it. Raises UsageError where it takes not even its own inputs."""
    exact = Oracle(copy.deepcopy(model).double(), torch.float64, "float64")
    try:
        answer = exact.answer(inputs, state)
    except UsageError as error:
        plain = Oracle(copy.deepcopy(model), None, f"the reference's own dtypes, because in float64 {error}")
        plain.answer(inputs, state)
        return plain
    if any(leaf.is_floating_point() and leaf.dtype != torch.float64 for leaf in answer.outputs):
        exact.name = "float64, except where the reference casts down"
    return exact


def construct(reference: Reference) -> tuple[tuple[Any, ...], nn.Module]:
    """The constructor's arguments, and a model made with them exactly as workers make theirs."""
    with torch.random.fork_rng(devices=[]), blame(UsageError, "get_init_inputs() or Model's constructor fails"):
        torch.manual_seed(CONSTRUCTION_SEED)
        arguments = source.init_arguments(reference)
        check_travels(arguments, reference.model.__module__)
        torch.manual_seed(CONSTRUCTION_SEED)
        return arguments, reference.model(*copy.deepcopy(arguments))


def check_travels(arguments: tuple[Any, ...], home: str) -> None:
    """Workers construct with the same arguments, and have no module named `home`."""
    wanted = "wanted numbers, words, tensors, and lists of such"
    try:
        travels = home.encode() not in pickle.dumps(arguments)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(f"get_init_inputs() returns what no other process can be given: {error}; {wanted}") from None
    if not travels:
        raise UsageError(f"get_init_inputs() returns something that the reference's own file defines; {wanted}")


def seeds(master: bytes, purpose: str) -> Iterator[int]:
    """Endless seeds of 63 bits for one purpose, the same ones for the same master."""
    for number in itertools.count():
        yield int.from_bytes(hashlib.sha256(master + f"{purpose} {number}".encode()).digest()[:8], "little") >> 1


def _weights(given: State, seeds: Iterator[int]) -> tuple[State, ...]:
    """The weights given and two other sets; only the given one where there are none to change."""
    if not any(value.is_floating_point() for value in given.values()):
        return (given,)
    return (given, asking.rerandomised(given, next(seeds)), asking.rerandomised(given, next(seeds)))


def _same_values(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one, other) or bool(torch.allclose(one, other, rtol=0, atol=0, equal_nan=True))


def _version(value: Input) -> int:
    """How often a tensor has been written to, by PyTorch's count."""
    return value._version if isinstance(value, Tensor) else 0


def _is_floating(value: Input) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _narrow(value: Tensor) -> Tensor:
    return value.float() if value.dtype == torch.float64 else value


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
