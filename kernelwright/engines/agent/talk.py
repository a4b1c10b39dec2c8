"""One conversation: ask, read the reply, complain where it is none, at most a few times; kept however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from kernelwright.core.conversation import Conversation, Message
from kernelwright.engines.agent.dialogue import Complaint
from kernelwright.engines.agent.meter import BudgetSpent, Charge, Meter
from kernelwright.engines.agent.place import Place

T = TypeVar("T")

TURNS = 3  # replies that one conversation may take


@dataclass(frozen=True, slots=True)
class Reply:
    """One text of a model, and what it took. cost: None where the price is not known."""

    text: str
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0

    @property
    def charge(self) -> Charge:
        return Charge(self.tokens_in + self.tokens_out, self.cost or 0.0)


class NoReply(Exception):
    """A model gave none, retries included. The message says what to do; mistake: whether the user can mend it."""

    def __init__(self, message: str, *, mistake: bool = False) -> None:
        super().__init__(message)
        self.mistake = mistake


class Model(Protocol):
    """Answers. Knows nothing of tasks, candidates or budgets."""

    @property
    def name(self) -> str: ...

    def most(self, messages: Sequence[Message]) -> Charge:
        """What a reply to these can be charged at most."""
        ...

    async def reply(self, place: Place, messages: Sequence[Message], seconds: float) -> Reply:
        """Raises NoReply, after that many seconds at the latest."""
        ...


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """What came of a conversation: an answer, or the reason why there is none."""

    conversation: Conversation
    answer: T | None
    failure: NoReply | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """What every conversation of a run shares."""

    task: str  # digest
    meter: Meter
    keep: Callable[[Conversation], None]
    seconds: float  # that one reply may take

    async def hold(
        self, model: Model, place: Place, opening: Sequence[Message], read: Callable[[str], T | Complaint]
    ) -> Said[T]:
        """Ask until `read` takes a reply. What was said is kept also where this is cancelled."""
        messages, replies = list(opening), list[Reply]()
        found: T | Complaint = Complaint("nothing was asked")
        failure, error = None, "interrupted"
        try:
            while len(replies) < TURNS:
                replies.append(await self._ask(model, place, messages))
                messages.append(Message("assistant", replies[-1].text))
                found = read(replies[-1].text)
                if not isinstance(found, Complaint) or len(replies) == TURNS:
                    break
                messages.append(Message("user", found.text))
            error = found.text if isinstance(found, Complaint) else ""
        except NoReply as raised:
            failure, error = raised, str(raised)
        except BudgetSpent as spent:
            error = str(spent)
        finally:
            conversation = self._record(model, place, messages, replies, error)
            self.keep(conversation)
        return Said(conversation, None if isinstance(found, Complaint) else found, failure)

    async def _ask(self, model: Model, place: Place, messages: Sequence[Message]) -> Reply:
        async with self.meter.room(model.most(messages)) as charged:
            async with _within(self.seconds):
                reply = await model.reply(place, messages, self.seconds)
            charged.append(reply.charge)
        return reply

    def _record(
        self, model: Model, place: Place, messages: Sequence[Message], replies: Sequence[Reply], error: str
    ) -> Conversation:
        costs = [reply.cost for reply in replies if reply.cost is not None]
        return Conversation(
            self.task,
            place.role,
            place.branch,
            place.round,
            model.name,
            tuple(messages),
            sum(reply.tokens_in for reply in replies),
            sum(reply.tokens_cached for reply in replies),
            sum(reply.tokens_out for reply in replies),
            sum(costs) if len(costs) == len(replies) else None,
            sum(reply.seconds for reply in replies),
            error,
        )


class _within:
    """`asyncio.timeout` that ends as NoReply."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, raised: BaseException | None, trace: object) -> None:
        try:
            await self._timeout.__aexit__(kind, raised, None)
        except TimeoutError:
            raise NoReply(f"no reply within {self._seconds:.0f} s") from None
