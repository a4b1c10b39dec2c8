"""The stage verify: every case, the state, what outputs share, and whether the same bytes give the same answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accuracy, FamilyError
from kernelwright.judge import numerics
from kernelwright.judge.answers import Answer, AnswerKey
from kernelwright.judge.desk import Desk
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.inputs import Case
from kernelwright.judge.numerics import Deviation
from kernelwright.judge.objection import Objection
from kernelwright.judge.structure import difference

Found = Sequence[Deviation]

MORE_CALLS = 4  # after one whose output must stay: a candidate may use a few buffers in turn
HOPELESS = 1 / 64  # where PyTorch itself is so far from the truth, a case can tell nothing


@dataclass(frozen=True, slots=True)
class Standard:
    """What one case demands of each judged tensor: PyTorch's own error, and what is allowed.

    `baseline` holds PyTorch's values where they matter: integers (ties), and tensors that are not finite.
    """

    errors: tuple[float, ...]
    allowed: tuple[float, ...]
    baseline: tuple[Tensor | None, ...]

    @property
    def hopeless(self) -> bool:
        return any(error > HOPELESS for error in self.errors)


def attempt(examinee: Examinee, desk: Desk, key: AnswerKey, case: Case) -> None:
    """Run one case. Its output is kept in the worker."""
    if not examinee.holds(case) or key.answer(case).changed:
        examinee.take_state(key, case)
    desk.write(0, key.inputs(case))
    desk.publish()
    examinee.sit(desk)
    examinee.run()


def handed_over(examinee: Examinee, desk: Desk, answer: Answer) -> tuple[tuple[Tensor, ...], Mapping[str, Tensor]]:
    """The tensors that are judged, in the answer's order, and the whole state. Views until the next request."""
    outputs = examinee.outputs()[0]
    state = examinee.state()
    return (*outputs, *desk.left_in(0, answer.written), *(state[name] for name in answer.changed)), state


def deviations(tensors: Sequence[Tensor], answer: Answer, baseline: Sequence[Tensor | None], tie: float) -> Found:
    """How far each tensor is from the truth: candidates, baselines and the judge's own mutants are all compared here.

    Outputs that are positions may differ from the oracle's, and from the baseline's, where values differ by `tie`.
    """
    found: list[Deviation] = []
    for i, (got, truth, other) in enumerate(zip(tensors, answer.truths, baseline, strict=True)):
        pick = answer.picks.get(i)
        found.append(numerics.deviation(got, truth, other))
        if pick and math.isinf(found[-1].error):
            found[-1] = numerics.deviation(pick.settled(got, truth, tie), truth, other)
    return found


def standard(baseline: Examinee, desk: Desk, key: AnswerKey, case: Case) -> Standard | None:
    """Measured on a baseline. None where the reference refuses these inputs or PyTorch's own answer is useless."""
    try:
        answer = key.answer(case)
    except UsageError:
        return None
    baseline.spoil()
    attempt(baseline, desk, key, case)
    tensors, _ = handed_over(baseline, desk, answer)
    measured = measure(key, answer, tensors)
    baseline.release()
    return None if measured.hopeless else measured


def measure(key: AnswerKey, answer: Answer, tensors: Sequence[Tensor]) -> Standard:
    """What is demanded where PyTorch itself hands these over. To be called after `key.expect`."""
    errors = tuple(found.error for found in deviations(tensors, answer, tensors, key.tie))
    floors = [numerics.floor(got.dtype, key.oracle.length) for got in tensors]
    limits = tuple(numerics.allowed(floor, error) for floor, error in zip(floors, errors, strict=True))
    kept = (None if got.is_floating_point() and bool(got.isfinite().all()) else got.clone() for got in tensors)
    return Standard(errors, limits, tuple(kept))


class Verification:
    """The checks of one candidate, each raising Objection. `desk_for` says where a case is laid out."""

    def __init__(
        self, examinee: Examinee, desk_for: Callable[[Case], Desk], key: AnswerKey, description: Mapping[str, Any]
    ) -> None:
        self._examinee, self._desk_for, self._key, self._description = examinee, desk_for, key, description

    def check(self, case: Case, wanted: Standard) -> tuple[FamilyError, ...]:
        """One case: metadata, inputs untouched, values, state. A case that does not bind objects to no value."""
        self._attempt(case)
        self._check_form(case)
        answer = self._key.answer(case)
        tensors, state = handed_over(self._examinee, self._desk_for(case), answer)
        found = deviations(tensors, answer, wanted.baseline, self._key.tie)
        for name, deviation, allowed in zip(answer.names, found, wanted.allowed, strict=True):
            if case.binding and not deviation.error <= allowed:
                raise Objection("verify", f"{self._key.place(case)}, {name}, {explain(deviation, allowed)}")
        self._check_kept_state(case, answer, state)
        return tuple(
            FamilyError(case.name, i, deviation.error, error, allowed, case.binding)
            for i, (deviation, error, allowed) in enumerate(zip(found, wanted.errors, wanted.allowed, strict=True))
        )

    def check_repeat(self, case: Case, wanted: Standard) -> bool:
        """Whether two runs on the same bytes agree bitwise. Objects where they differ by a quarter of the tolerance."""
        first, second = self._again(case), self._again(case)
        told = apart(first, second, [allowed / 4 for allowed in wanted.allowed])
        if told:
            raise Objection("verify", f"{self._key.place(case)}, second run on the same bytes: {told}")
        return all(_same_bytes(one, other) for one, other in zip(first, second, strict=True))

    def spread(self, case: Case) -> tuple[float, str]:
        """How far two runs on the same bytes differ, and where, if by more than rounding explains."""
        first, second = self._again(case), self._again(case)
        largest = max(
            (numerics.deviation(other, one).error for one, other in zip(first, second, strict=True)), default=0.0
        )
        return largest, apart(first, second, [numerics.floor(one.dtype, self._key.oracle.length) for one in first])

    def check_outputs_stay(self, case: Case, other: Case) -> None:
        """An output that was handed out must not change when inputs are overwritten and later calls run."""
        if _shares(self._description):
            return
        self._attempt(case)
        before = [tensor.clone() for tensor in self._examinee.outputs()[0]]
        for _ in range(MORE_CALLS):
            attempt(self._examinee, self._desk_for(other), self._key, other)
        for i, (one, now) in enumerate(zip(before, self._examinee.outputs()[0], strict=True)):
            if not _same_bytes(one, now):
                raise Objection("verify", f"output {i} of one call changes when later calls run: memory is reused")

    def _attempt(self, case: Case) -> None:
        self._examinee.spoil()
        attempt(self._examinee, self._desk_for(case), self._key, case)

    def _again(self, case: Case) -> list[Tensor]:
        self._attempt(case)
        tensors, _ = handed_over(self._examinee, self._desk_for(case), self._key.answer(case))
        return [tensor.clone() for tensor in tensors]

    def _check_form(self, case: Case) -> None:
        desk = self._desk_for(case)
        told = difference(dict(self._examinee.describe()), dict(self._description), returned=desk.written)
        if told:
            raise Objection("verify", f"{self._key.place(case)}: {told}")
        touched = desk.touched() or self._examinee.touched()
        if touched:
            raise Objection(
                "verify", f"{self._key.place(case)}: {touched} was overwritten; the reference leaves it alone"
            )

    def _check_kept_state(self, case: Case, answer: Answer, state: Mapping[str, Tensor]) -> None:
        given = self._key.states[case.weights]
        changed = [name for name in state if name not in answer.changed and not _same_bytes(state[name], given[name])]
        if changed:
            told = f"state {changed[0]!r} is not what was given; the reference leaves it alone"
            raise Objection("verify", f"{self._key.place(case)}: {told}")


def verify(examination: Verification, standards: Mapping[Case, Standard], oracle: str, spread: float) -> Accuracy:
    """All checks, cheapest reasons first. `spread` is the reference's own, from run to run."""
    order = tuple(standards)
    errors = [error for case in order for error in examination.check(case, standards[case])]
    same = examination.check_repeat(order[0], standards[order[0]])
    examination.check_outputs_stay(order[0], order[-1])
    return Accuracy(oracle, tuple(errors), same, spread)


def apart(first: Sequence[Tensor], second: Sequence[Tensor], limits: Sequence[float]) -> str:
    """Where the second run differs from the first by more than its limit; "" where it doesn't."""
    for i, (one, other, limit) in enumerate(zip(first, second, limits, strict=True)):
        found = numerics.deviation(other, one)
        if not found.error <= limit:
            return f"output {i}, {explain(found, limit)}"
    return ""


def explain(deviation: Deviation, allowed: float) -> str:
    """Where, what, and by how much it may differ."""
    got, wanted = deviation.got, deviation.wanted
    if not isinstance(wanted, float):
        return f"at {list(deviation.at)}: got {got}, expected {wanted}"
    limit = allowed * deviation.magnitude
    margin = f", allowed {limit:.2g}" if math.isfinite(wanted) else ""
    return f"at {list(deviation.at)}: got {got:.9g}, expected {wanted:.9g}{margin}"


def _shares(description: Mapping[str, Any]) -> bool:
    """Whether the reference itself returns memory that is not new."""
    return bool(description.get("alias")) or any(_shares(item) for item in description.get("items", []))


def _same_bytes(one: Tensor, other: Tensor) -> bool:
    if torch.equal(one, other):
        return True
    return torch.equal(one.contiguous().view(-1).view(torch.uint8), other.contiguous().view(-1).view(torch.uint8))
