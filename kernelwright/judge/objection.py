"""How a stage refuses a candidate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kernelwright.core.outcome import Stage
from kernelwright.judge.processes import Fault


class Objection(Exception):
    """A stage refuses one candidate. Only the judge's `settle` catches this."""

    def __init__(self, stage: Stage, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.stage: Stage = stage
        self.detail = detail


@contextmanager
def during(stage: Stage) -> Iterator[None]:
    """A worker that fails in here is refused by this stage."""
    try:
        yield
    except Fault as fault:
        raise Objection(stage, str(fault), fault.detail) from fault
