"""A proposal and where it came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One decision of a plan: what was done (a trick or a skeleton), where, with which parameters."""

    name: str
    at: str
    parameters: tuple[tuple[str, int | float | str | bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the search decided. The same plan on the same task prints the same file, byte for byte."""

    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Searched:
    """Found by the search engine."""

    plan: Plan
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """Written by a language model; `conversation` is the digest of the kept dialogue.

    cost: US dollars, as far as the model's price is known. branch: which of the agent's parallel lines of work.
    """

    model: str
    conversation: str
    tokens: int
    cost: float
    branch: int = 0


@dataclass(frozen=True, slots=True)
class Handmade:
    """Written by a person."""

    author: str


@dataclass(frozen=True, slots=True)
class Stored:
    """Taken from the store: the digest of the candidate it repeats."""

    digest: str


Origin = Searched | Written | Handmade | Stored


@dataclass(frozen=True, slots=True)
class Candidate:
    """One proposed file that defines ModelNew. Nothing in it has been checked."""

    task: str  # digest of the task
    source: str
    origin: Origin
