"""What a task can tell at all: before any candidate is seen, the judge tries wrong outputs of its own making.

Each goes through the comparison that candidates go through. It is caught where any binding case refuses it; one that
no case refuses, the task cannot tell from the right answer. Degenerate tasks are found so, from no list.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kernelwright.capture.source import Input
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Adequacy
from kernelwright.judge import numerics
from kernelwright.judge.answers import NOTHING, Answer, AnswerKey
from kernelwright.judge.inputs import Case, State
from kernelwright.judge.reductions import RoundedProducts
from kernelwright.judge.verify import Standard, deviations, explain

Tensors = tuple[Tensor, ...]

OTHER_INPUT = "the output for another input"
MEAN_FILL = "mean fill"
LOWER = {torch.float64: torch.float32, torch.float32: torch.bfloat16,
         torch.float16: torch.float8_e5m2, torch.bfloat16: torch.float8_e5m2}  # fmt: skip
CLEARLY = 100  # times what is allowed


@dataclass(frozen=True, slots=True)
class Question:
    """One case, what it demands, the right answer in the dtypes that candidates give, and the right answer to the case
    before it on the same weights."""

    key: AnswerKey
    case: Case
    standard: Standard
    answer: Answer
    right: Tensors
    before: Tensors

    @property
    def count(self) -> int:
        """Outputs, and inputs that are written to; state is not tampered with."""
        return len(self.right) - len(self.answer.changed)

    def refusal(self, tensors: Tensors) -> str:
        """Why a candidate with these outputs would be refused; "" where it would pass."""
        found = deviations(tensors, self.answer, self.standard.baseline, self.key.tie)
        for name, one, allowed in zip(self.answer.names, found, self.standard.allowed, strict=True):
            if not one.error <= allowed:
                return f"{self.key.place(self.case)}, {name}, {explain(one, allowed)}"
        return ""

    def with_outputs(self, answer: Answer) -> Tensors | None:
        """Another answer's outputs, where they have the shapes of the right ones."""
        outputs = self.key.as_given(answer)[: self.count]
        fits = [value.shape for value in outputs] == [value.shape for value in self.right[: self.count]]
        return (*outputs, *self.right[self.count :]) if fits else None

    def with_output(self, number: int, value: Tensor | None) -> Tensors | None:
        return None if value is None else (*self.right[:number], value, *self.right[number + 1 :])


Mutant = Callable[[Question], "Tensors | None"]  # None where there is no such wrong output


def assess(key: AnswerKey, demands: Iterable[tuple[Case, Standard]]) -> Adequacy:
    """`demands` are the binding cases, and are taken only until every wrong output is caught."""
    mutants: dict[str, Mutant] = {}
    tried: dict[str, None] = {}
    refused: list[str] = []
    before: dict[int, Tensors] = {}
    for case, standard in demands:
        answer = key.answer(case)
        right = key.as_given(answer)
        question = Question(key, case, standard, answer, right, before.get(case.weights, ()))
        if not tried:
            mutants = all_mutants(question)
            refused += honest_refused(question)
        for name, mutant in list(mutants.items()):
            made = mutant(question)
            tried |= {} if made is None else {name: None}
            if made is not None and question.refusal(made):
                del mutants[name]
        before[case.weights] = right
        if not mutants.keys() & {*tried, OTHER_INPUT}:  # the rest don't apply to this task
            break
    return Adequacy(tuple(tried), tuple(name for name in tried if name in mutants), tuple(refused))


def degenerate(found: Adequacy) -> str:
    """Why a candidate that ignores its inputs would pass; "" where none would."""
    if OTHER_INPUT not in found.survived:
        return ""
    fills = [name for name in found.tried if name.startswith(MEAN_FILL)]
    constant = fills and all(name in found.survived for name in fills)
    return "the output is constant" if constant else "the output does not depend on the input"


def all_mutants(question: Question) -> dict[str, Mutant]:
    """By name: those that tamper with one output, for each output; and those that are runs of something else."""
    found: dict[str, Mutant] = {}
    for number in range(question.count):
        of = f" in {question.answer.names[number]}" if question.count > 1 else ""
        for name, change in TAMPERING.items():
            found[name + of] = lambda q, n=number, c=change: q.with_output(n, c(q, n))
    return {**found, **RUNS}


def zeros(question: Question, number: int) -> Tensor:
    return torch.zeros_like(question.right[number])


def mean_fill(question: Question, number: int) -> Tensor | None:
    value = question.right[number]
    if value.numel() < 2:
        return None
    if not value.is_floating_point():
        return torch.full_like(value, value.flatten()[0].item())
    finite = value[value.isfinite()]
    return torch.full_like(value, finite.double().mean().item() if finite.numel() else 0.0)


def copied_input(question: Question, number: int) -> Tensor | None:
    value = question.right[number]
    fitting = (given for given in question.key.inputs(question.case) if isinstance(given, Tensor)
               and given.shape == value.shape and given.dtype == value.dtype)  # fmt: skip
    return next(fitting, None)


def last_row_zeroed(question: Question, number: int) -> Tensor | None:
    value = question.right[number]
    return zeroed(value, value.shape[-1]) if value.dim() >= 2 and 0 < value.shape[-1] < value.numel() else None


def last_tile_zeroed(question: Question, number: int) -> Tensor | None:
    value = question.right[number]
    return zeroed(value, numerics.TILE) if value.numel() > numerics.TILE else None


def last_column_zeroed(question: Question, number: int) -> Tensor | None:
    value = question.right[number]
    if value.dim() < 2 or value.shape[-1] < 2 or not bool(value[..., -1].any()):
        return None
    changed = value.clone()
    changed[..., -1] = 0
    return changed


def rows_permuted(question: Question, number: int) -> Tensor | None:
    value = question.right[number]
    return value.roll(1, 0) if value.dim() >= 1 and value.shape[0] > 1 and value.numel() else None


def one_element_off(question: Question, number: int) -> Tensor | None:
    """In the middle, by a hundred times of what is allowed there."""
    value = question.right[number]
    if value.numel() == 0:
        return None
    changed = value.flatten().clone()
    rows = numerics.rows(value)
    row = rows.shape[0] // 2
    place = min(row * rows.shape[1], value.numel() - 1)
    changed[place] = _off(rows[row], value, CLEARLY * question.standard.allowed[number], changed[place])
    return changed.view(value.shape)


def _off(row: Tensor, value: Tensor, error: float, element: Tensor) -> Tensor | float:
    if not value.is_floating_point():
        return element == 0
    if not bool(element.isfinite()):
        return 0.0
    finite = value.where(value.isfinite(), 0).abs()
    magnitude = max(float(row.where(row.isfinite(), 0).abs().amax()), numerics.WEAKEST * float(finite.amax()))
    return element + max(error * magnitude, torch.finfo(value.dtype).tiny)


def zeroed(value: Tensor, count: int) -> Tensor | None:
    """The last elements zeroed; None where they are zero anyway, for that would be right."""
    flat = value.flatten()
    if not bool(flat[-count:].any()):
        return None
    return torch.cat((flat[:-count], torch.zeros_like(flat[-count:]))).view(value.shape)


def other_input(question: Question) -> Tensors | None:
    same = [value.shape for value in question.before] == [value.shape for value in question.right]
    return (*question.before[: question.count], *question.right[question.count :]) if same else None


def weights_ignored(question: Question) -> Tensors | None:
    """The answer with other weights."""
    states, mine = question.key.states, question.case.weights
    other = states[(mine + 1) % len(states)]
    if all(torch.equal(value, other[name]) for name, value in states[mine].items()):
        return None
    return run(question, question.key.inputs(question.case), other)


def lower_precision(question: Question) -> Tensors | None:
    """Inputs, weights and outputs rounded to the next dtype down; what is between is exact."""
    own = next((LOWER[value.dtype] for value in question.right if value.dtype in LOWER), None)
    if own is None:
        return None
    inputs = [_rounded(value, own) for value in question.key.inputs(question.case)]
    state = {name: _rounded(value, own) for name, value in question.key.states[question.case.weights].items()}
    made = run(question, inputs, state)
    return None if made is None else tuple(_rounded(value, own) for value in made)


def tf32_products(question: Question) -> Tensors | None:
    """Matrix products and convolutions of float32 with their operands rounded to ten bits."""
    key, case = question.key, question.case
    wanted = key.oracle.products and key.contract.precision != "tf32"
    if not wanted or question.right[0].dtype != torch.float32:
        return None
    return run(question, key.inputs(case), key.states[case.weights], RoundedProducts())


def run(
    question: Question, inputs: Sequence[Input], state: State, instead: AbstractContextManager[Any] = NOTHING
) -> Tensors | None:
    """The oracle on something else; None where the reference refuses that."""
    with suppress(UsageError):
        return question.with_outputs(question.key.oracle.answer(inputs, state, instead))
    return None


def _rounded(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype).to(value.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


TAMPERING: dict[str, Callable[[Question, int], Tensor | None]] = {
    "zeros": zeros,
    MEAN_FILL: mean_fill,
    "a copy of an input": copied_input,
    "last row zeroed": last_row_zeroed,
    "last tile zeroed": last_tile_zeroed,
    "last column zeroed": last_column_zeroed,
    "rows permuted": rows_permuted,
    "one element off": one_element_off,
}
RUNS: dict[str, Mutant] = {
    OTHER_INPUT: other_input,
    "weights ignored": weights_ignored,
    "a run one precision lower": lower_precision,
    "products in TF32": tf32_products,
}


def honest_refused(question: Question) -> list[str]:
    """The reference as it is written, summing in another order, if the rule does not accept that."""
    with suppress(UsageError), another_order(question.right[0].dtype):
        key, case = question.key, question.case
        made = question.with_outputs(key.plain.answer(key.inputs(case), key.states[case.weights]))
        told = question.refusal(made) if made else ""
        return [f"the reference on one thread, without oneDNN: {told}"] if told else []
    return []


@contextmanager
def another_order(dtype: torch.dtype) -> Iterator[None]:
    """Other kernels of PyTorch's than those that it prefers. Without oneDNN, products in half precision take ages."""
    threads = torch.get_num_threads()
    wide = dtype.itemsize >= 4
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # of flags that this machine doesn't have
        stack.enter_context(torch.backends.mkldnn.flags(enabled=not wide))
        stack.enter_context(torch.backends.cudnn.flags(enabled=not wide))
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
