"""What a forward returned, as JSON values and as a flat list of tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from torch import Tensor

from kernelwright.judge.memory import dtype_name, span


def leaves(value: object) -> Iterator[Tensor]:
    """The tensors in a nest of tuples, lists and dicts, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)


def describe(value: object, owners: Sequence[tuple[str, Tensor]]) -> dict[str, Any]:
    """Types, shapes and dtypes, and for each tensor which of `owners` or earlier outputs it shares memory with."""
    seen = list(owners)
    return _describe(value, seen)


def _describe(value: object, owners: list[tuple[str, Tensor]]) -> dict[str, Any]:
    if isinstance(value, Tensor):
        return _describe_tensor(value, owners)
    if isinstance(value, (tuple, list)):
        return {"kind": type(value).__name__, "items": [_describe(item, owners) for item in value]}
    if isinstance(value, dict):
        items = [_describe(item, owners) for item in value.values()]
        return {"kind": type(value).__name__, "keys": [str(key) for key in value], "items": items}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"kind": type(value).__name__, "value": repr(value)}
    return {"kind": type(value).__name__}


def _describe_tensor(tensor: Tensor, owners: list[tuple[str, Tensor]]) -> dict[str, Any]:
    alias = next((name for name, owner in owners if overlap(tensor, owner)), "")
    number = sum(name.startswith("output") for name, _ in owners)
    owners.append((f"output {number}", tensor))
    return {
        "kind": type(tensor).__name__,
        "shape": list(tensor.shape),
        "dtype": dtype_name(tensor.dtype),
        "device": tensor.device.type,
        "alias": alias,
    }


def overlap(one: Tensor, other: Tensor) -> bool:
    """Whether the stretches of memory from each tensor's first to last element touch."""
    low, high = extent(one)
    other_low, other_high = extent(other)
    return low < other_high and other_low < high


def extent(tensor: Tensor) -> tuple[int, int]:
    start = tensor.data_ptr()
    return start, start + span(tensor.shape, tensor.stride()) * tensor.element_size()


def difference(
    got: dict[str, Any], wanted: dict[str, Any], where: str = "the output", returned: Collection[int] = ()
) -> str:
    """Where two descriptions differ, in one line; "" where they don't.

    An output may own its memory even where the reference's does not, unless that is an input which the reference
    writes to (`returned`, by position) and hands back: callers may count on either being the other.
    """
    if got.get("kind") != wanted["kind"]:
        return f"{where} is a {got.get('kind')!s:.80}, expected a {wanted['kind']}"
    for fact in ("shape", "dtype", "device", "value", "keys"):
        if got.get(fact) != wanted.get(fact):
            return f"{where} has {fact} {got.get(fact)!s:.200}, expected {wanted.get(fact)}"
    if got.get("alias") not in ("", None, wanted.get("alias")):
        return f"{where} shares memory with {got.get('alias')!s:.80}; the reference's does not"
    if wanted.get("alias") in [f"input {i}" for i in returned] and got.get("alias") != wanted["alias"]:
        return f"{where} is new memory; the reference's shares it with {wanted['alias']}, which it writes to"
    items, wanted_items = got.get("items", []), wanted.get("items", [])
    if not isinstance(items, list) or len(items) != len(wanted_items):
        return f"{where} holds {len(items)} values, expected {len(wanted_items)}"
    pairs = enumerate(zip(items, wanted_items, strict=True))
    return next((found for i, pair in pairs if (found := difference(*pair, f"output {i}", returned))), "")
