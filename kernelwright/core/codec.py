"""Values to JSON and back; a value's identity is the digest of the whole of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, cast

from kernelwright.core import candidate, certificate, conversation, outcome, run, spec, task

NOUNS: dict[str, type] = {
    name: noun
    for module in (spec, task, candidate, conversation, outcome, run, certificate)
    for name, noun in vars(module).items()
    if dataclasses.is_dataclass(noun) and isinstance(noun, type)
}


def encode(value: object) -> Any:
    """Frozen dataclasses, tuples and scalars as JSON values; anything else is refused, not stringified."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, tuple):
        return [encode(item) for item in cast("tuple[object, ...]", value)]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"cannot encode {value!r}: use frozen dataclasses, tuples and scalars")


def decode(data: Any) -> Any:
    """The inverse of `encode`. Raises ValueError for a noun or field that this version does not know."""
    if isinstance(data, list):
        return tuple(decode(item) for item in cast("list[Any]", data))
    if not isinstance(data, dict):
        return data
    fields = dict(cast("dict[str, Any]", data))
    name = fields.pop("is", None)
    if name not in NOUNS:
        raise ValueError(f"unknown noun {name!r}; known: {', '.join(sorted(NOUNS))}")
    try:
        return NOUNS[name](**{key: decode(item) for key, item in fields.items()})
    except TypeError as error:
        raise ValueError(f"cannot read {name}: {error}") from error


def dumps(value: object) -> str:
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"))


def loads(text: str) -> Any:
    return decode(json.loads(text))


def digest(value: object) -> str:
    """SHA-256 of the whole value, as hex."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
