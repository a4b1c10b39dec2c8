"""What replies have cost, and whether one more may be asked for: limits are passed by at most one reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PAUSE = 0.02  # seconds between looks, while other requests are under way


@dataclass(frozen=True, slots=True)
class Charge:
    """Tokens and US dollars."""

    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Charge) -> Charge:
        return Charge(self.tokens + other.tokens, self.cost + other.cost)


class BudgetSpent(Exception):
    """No further reply may be asked for."""


@dataclass
class Meter:
    """Counts charges. `max_tokens` and `max_cost` are hard; None is no limit."""

    max_tokens: int | None = None
    max_cost: float | None = None
    spent: Charge = Charge()
    _under_way: list[Charge] = field(default_factory=list)

    def exhausted(self, more: Charge = Charge()) -> bool:
        """Whether what is spent, and this on top, reaches a limit."""
        total = self.spent + more
        return (self.max_tokens is not None and total.tokens >= self.max_tokens) or (
            self.max_cost is not None and total.cost >= self.max_cost
        )

    @asynccontextmanager
    async def room(self, most: Charge) -> AsyncIterator[list[Charge]]:
        """Room for one reply that is charged at most that much; the block appends what it was charged.

        Waits while the replies under way could by themselves reach a limit. Raises BudgetSpent where one is reached.
        """
        while self._under_way and not self.exhausted() and self.exhausted(sum(self._under_way, Charge())):
            await asyncio.sleep(PAUSE)
        if self.exhausted():
            raise BudgetSpent(self.text())
        self._under_way.append(most)
        charged: list[Charge] = []
        try:
            yield charged
        finally:
            self._under_way.remove(most)
            self.spent = sum(charged, self.spent)

    def text(self) -> str:
        limits = [f"{self.max_tokens} tokens"] if self.max_tokens is not None else []
        limits += [f"${self.max_cost:g}"] if self.max_cost is not None else []
        return (
            f"{self.spent.tokens} tokens and ${self.spent.cost:.4f} of {' and '.join(limits) or 'no limit'} are spent"
        )
