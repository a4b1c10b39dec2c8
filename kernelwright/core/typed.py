"""Whether a value that came from outside has the types that its noun declares."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

NOT_FINITE = {text: float(text) for text in ("inf", "-inf", "nan")}  # JSON has no such numbers; they travel as words
LARGEST = 1 << 1000  # integers below this are numbers that a float can hold


def conform(value: Any, hint: Any, where: str = "") -> Any:
    """The value, with words for infinities turned into numbers. Raises ValueError that names the first misfit."""
    if dataclasses.is_dataclass(hint):
        return _noun(value, hint, where)
    if get_origin(hint) in (Union, types.UnionType):
        return _one_of(value, get_args(hint), where)
    if get_origin(hint) is tuple:
        return _tuple(value, get_args(hint), where)
    if get_origin(hint) is Literal:
        return _checked(value, value in get_args(hint), f"one of {', '.join(map(repr, get_args(hint)))}", where)
    if hint is float:
        value = NOT_FINITE.get(value, value) if isinstance(value, str) else value
        return _checked(value, type(value) is float or (type(value) is int and abs(value) < LARGEST), "a number", where)
    return _checked(value, type(value) is hint, getattr(hint, "__name__", str(hint)), where)


def spell(value: Any) -> Any:
    """JSON values with words for infinities: the way that `conform` leads back."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: spell(item) for key, item in value.items()}
    return [spell(item) for item in value] if isinstance(value, list) else value


def _noun(value: Any, noun: Any, where: str) -> Any:
    _checked(value, type(value) is noun, f"a {noun.__name__}", where)
    hints = get_type_hints(noun)
    fields = [field.name for field in dataclasses.fields(noun)]
    found = {name: conform(getattr(value, name), hints[name], f"{where}.{name}".lstrip(".")) for name in fields}
    return dataclasses.replace(value, **found)


def _one_of(value: Any, hints: Sequence[Any], where: str) -> Any:
    if type(value) in hints:
        return conform(value, type(value), where)
    for hint in hints:
        try:
            return conform(value, hint, where)
        except ValueError:
            continue
    wanted = " or ".join(getattr(hint, "__name__", str(hint)) for hint in hints)
    return _checked(value, False, wanted, where)


def _tuple(value: Any, hints: Sequence[Any], where: str) -> Any:
    _checked(value, isinstance(value, tuple), "a list", where)
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    _checked(value, len(value) == len(hints), f"a list of {len(hints)}", where)
    return tuple(conform(item, hint, f"{where}[{i}]") for i, (item, hint) in enumerate(zip(value, hints, strict=True)))


def _checked(value: Any, fits: bool, wanted: str, where: str) -> Any:
    if not fits:
        raise ValueError(f"{where or 'it'} is {value!r:.80}, wanted {wanted}")
    return value
