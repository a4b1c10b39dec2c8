"""What was said to a language model, what it answered, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Message:
    """One text of a conversation. `assistant` is the model."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that passed between one branch of the agent engine and its model in one round, in one role.

    error: why it came to nothing, where it did. cost: US dollars; None where the model's price is not known.
    """

    task: str  # digest
    role: Literal["writer", "analyst"]
    branch: int
    round: int
    model: str  # "openai:gpt-5"
    messages: tuple[Message, ...]
    tokens_in: int = 0
    tokens_cached: int = 0  # of those that went in, how many the provider had in its cache
    tokens_out: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0  # spent waiting for replies, retries included
    error: str = ""

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out
