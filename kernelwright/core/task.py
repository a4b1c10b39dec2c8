"""One thing to speed up, and what "the same, and faster" means for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kernelwright.core.spec import InputSpec, Target


@dataclass(frozen=True, slots=True)
class Contract:
    """What a kernel must hold to be kept. Part of the task, so that no verdict outlives its question.

    numeric: "row" is the rule of docs/judge.md: error by row, against the baseline's own error.
    precision: "parity" allows what the baseline's own arithmetic allows; "tf32" gives TF32 to both sides.
    prepack: whether values derived from weights may be kept between calls.
    gain: least speed-up over the baseline that is worth keeping.
    robustness: whether families of inputs that the reference's own generator would hardly make bind, or are reported.
    layouts: "fixed" where inputs always have the strides of the examples; "any" has views of other strides bind too.
    """

    numeric: Literal["row"] = "row"
    precision: Literal["parity", "tf32"] = "parity"
    prepack: bool = True
    gain: float = 1.03
    robustness: Literal["reported", "binding"] = "reported"
    layouts: Literal["fixed", "any"] = "fixed"


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to speed up. `digest(task)` keys everything that is ever found out about it."""

    reference: str  # source text that defines Model, get_inputs() and get_init_inputs()
    inputs: tuple[InputSpec, ...]
    target: Target
    contract: Contract = Contract()
