"""Replies from kept conversations: the same run again, without network and without charge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernelwright.core import codec
from kernelwright.core.conversation import Conversation, Message
from kernelwright.core.errors import UsageError
from kernelwright.engines.agent.meter import Charge
from kernelwright.engines.agent.place import Place
from kernelwright.engines.agent.talk import NoReply, Reply


@dataclass(frozen=True, slots=True)
class Replayed:
    """A `talk.Model` that says again what was said in the same role, branch and round."""

    name: str
    kept: tuple[tuple[Place, Conversation], ...]

    def most(self, messages: Sequence[Message]) -> Charge:
        return Charge()

    async def reply(self, place: Place, messages: Sequence[Message], seconds: float) -> Reply:
        conversation = dict(self.kept).get(place)
        if conversation is None:
            raise NoReply(
                f"no conversation of the {place.role} was kept for branch {place.branch}, round {place.round}"
            )
        turn = sum(message.role == "assistant" for message in messages)
        said = [message.text for message in conversation.messages if message.role == "assistant"]
        if turn >= len(said):
            raise NoReply(conversation.error or f"{conversation.model} said no more in this conversation")
        if turn:
            return Reply(said[turn])
        figures = (conversation.tokens_in, conversation.tokens_cached, conversation.tokens_out)
        return Reply(said[0], *figures, conversation.cost, conversation.seconds)


def replayed(conversations: Iterable[Conversation]) -> tuple[Replayed, ...]:
    """One model for each branch that was kept."""
    kept = [(Place(each.role, each.branch, each.round), each) for each in conversations]
    branches = sorted({place.branch for place, _ in kept})
    return tuple(
        Replayed(mine[0][1].model, tuple(mine))
        for branch in branches
        for mine in [[pair for pair in kept if pair[0].branch == branch]]
    )


def read(path: Path) -> list[Conversation]:
    """The conversations in a folder of JSON files, or in one such file, as `optimize` writes them."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    found = [value for file in files if isinstance(value := _value(file, path), Conversation)]
    if not found:
        raise UsageError(
            f"no conversations in {path}; wanted files as kernelwright optimize writes them to OUTPUT/conversations"
        )
    return found


def _value(file: Path, asked: Path) -> object:
    """What a file holds; None for one that is something else, where a whole folder was named."""
    try:
        return codec.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if asked.is_dir():
            return None
        raise UsageError(f"cannot read a conversation from {file}: {error}") from error
