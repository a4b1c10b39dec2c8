"""The dialogues that a run's folder keeps: conversations/DIGEST.json, a list of messages."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONVERSATIONS = "conversations"
A_DIGEST = re.compile(r"[0-9A-Za-z_-]+")  # whatever else a run's folder names is no file of it


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a dialogue. Its text is data: nobody has vouched for it."""

    role: str
    text: str


def read_conversation(run: Path, digest: str) -> tuple[Message, ...]:
    """The messages in order; none where the dialogue was not kept. A file that is broken says so in a message."""
    file = run / CONVERSATIONS / f"{digest}.json"
    if not A_DIGEST.fullmatch(digest) or not file.is_file():
        return ()
    try:
        return messages(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        return (Message("note", f"{file.name} cannot be read: {error}"),)


def messages(data: Any) -> tuple[Message, ...]:
    """From {"messages": [{"role": ..., "text": ...}]}, or the list alone. Raises ValueError for anything else."""
    said = data.get("messages") if isinstance(data, dict) else data
    if not isinstance(said, list):
        raise ValueError(f"wanted a list of messages, found {type(said).__name__}")
    return tuple(message(one) for one in said)


def message(data: Any) -> Message:
    if not isinstance(data, dict):
        raise ValueError(f"wanted a message with role and text, found {type(data).__name__}")
    return Message(str(data.get("role", "")), str(data.get("text", "")))
