"""One run over a suite of problems: what was asked, and what came of each problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kernelwright.core.conversation import Conversation
from kernelwright.core.outcome import Baselines, Choice, Environment, Trial
from kernelwright.core.task import Contract

RUN_FORMAT = 2  # of the run folder; raise it when a noun of this file changes


@dataclass(frozen=True, slots=True)
class Scaling:
    """One size constant of a reference file that was shrunk so that the problem fits the device."""

    name: str
    original: int
    used: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One reference file of a suite, as it was run."""

    name: str  # "level1/23_Softmax": unique in its suite, a path without the suffix
    level: str  # "1" to "4" in KernelBench; the folder's name, or "", elsewhere
    reference: str  # the text as run, after scaling
    scaling: tuple[Scaling, ...] = ()


@dataclass(frozen=True, slots=True)
class Solved:
    """The flow went through: a kernel was kept, or PyTorch was.

    floor_ns: the roofline's least time for the problem on this machine: its operations and its unavoidable bytes.
    conversations: all that was said with language models about it, oldest first.
    """

    task: str  # digest
    baselines: Baselines
    choice: Choice
    trials: tuple[Trial, ...]
    floor_ns: float = 0.0
    conversations: tuple[Conversation, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """No decision: the problem itself cannot be run here, or running it broke. It counts as PyTorch kept."""

    stage: Literal["broken", "capture", "machine", "memory", "crash", "timeout"]
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of one problem, and what that cost."""

    problem: Problem
    result: Solved | Failed
    seconds: float
    tokens: int = 0
    cost: float = 0.0  # US dollars


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked. The folder of a run holds this as run.json and each entry as entries/NAME.json."""

    format: int
    suite: str
    device: str
    environment: Environment
    started: str  # ISO 8601, UTC
    options: tuple[tuple[str, str], ...] = ()  # levels, only, scale, budget, engines, models, store: by name
    problems: tuple[str, ...] = ()  # the names of all problems that the run is over, in order
    contract: Contract = field(default_factory=Contract)  # of all problems; its precision goes with every number
