"""Which conversation of a run one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Place:
    """What was said there before can be found by it."""

    role: Literal["writer", "analyst"]
    branch: int
    round: int
