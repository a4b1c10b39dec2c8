"""Example inputs as expressions that draw others like them.

Tensors are drawn with the shape, dtype and strides seen, and values of the same kind: real numbers by mean and spread
or by range, whole numbers by range, and orders and masks that a kernel's reader would miss (equal, counted, sorted,
permuted, triangular) as they are. Figures are rounded, so that inputs drawn twice from one source give one text.
"""

from __future__ import annotations

import json
import math
import re

import torch

from kernelwright.capture.source import Input
from kernelwright.core.errors import UsageError

KNOWN = frozenset({
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
})  # fmt: skip


def drawing(value: Input, name: str) -> str:
    """Python text that draws such an input. Needs `torch`."""
    if not isinstance(value, torch.Tensor):
        return _number(value)
    if value.dtype not in KNOWN:
        raise UsageError(f"input {name} has dtype {value.dtype}; supported: {', '.join(sorted(map(str, KNOWN)))}")
    value = value.detach()
    unexpanded = value[tuple(_first_of(size, stride) for size, stride in zip(value.shape, value.stride(), strict=True))]
    text = _values(unexpanded)
    if unexpanded.shape != value.shape:
        return f"{_operand(text)}.expand{_tuple(value.shape)}"
    return text if value.is_contiguous() else _laid_out(value, text)


def _first_of(size: int, stride: int) -> slice:
    """Of a dimension that repeats one element, that element."""
    return slice(0, 1) if stride == 0 and size > 1 else slice(None)


def _laid_out(value: torch.Tensor, text: str) -> str:
    if value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last):
        return f"{_operand(text)}.to(memory_format=torch.channels_last)"
    made = f"torch.empty_strided({_tuple(value.shape)}, {_tuple(value.stride())}{_options(value)})"
    return f"{made}.copy_({text})"


def _values(value: torch.Tensor) -> str:
    shape, options = _tuple(value.shape), _options(value)
    if value.numel() == 0:
        return f"torch.empty({shape}{options})"
    first = value.flatten()[0]
    if bool((value == first).all()):
        return f"torch.full({shape}, {_number(first.item())}{options})"
    if value.dtype == torch.bool:
        return _booleans(value, shape)
    return _reals(value, shape, options) if value.is_floating_point() else _integers(value, shape, options)


def _reals(value: torch.Tensor, shape: str, options: str) -> str:
    """Uniform where nothing is negative, else normal; two values, as in additive masks, where there are no more."""
    low, high = value.min(), value.max()
    if bool(((value == low) | (value == high)).all()):
        chosen = f"torch.where({_booleans(value == high, shape)}, {_number(high.item())}, {_number(low.item())})"
        return chosen if value.dtype == torch.float32 else f"{chosen}.to({value.dtype})"
    finite = value[value.isfinite()].double()
    if finite.numel() < 2:
        return f"torch.randn({shape}{options})"
    if finite.min() >= 0:
        return f"torch.rand({shape}{options})" + _times(1.0 if finite.max() <= 1 else finite.max().item())
    mean, spread = finite.mean().item(), finite.std().item()
    chance = max(0.1, 3 / math.sqrt(finite.numel()))  # how far off the mean and spread of so few may be
    scaled = f"torch.randn({shape}{options})" + _times(1.0 if abs(spread - 1) < chance else spread)
    return scaled if abs(mean) < chance * spread else f"{scaled} {'-' if mean < 0 else '+'} {_short(abs(mean))}"


def _integers(value: torch.Tensor, shape: str, options: str) -> str:
    """Counted, permuted or sorted as seen; else any whole numbers of the range."""
    low, high = _inwards(int(value.min()), int(value.max()))
    flat = value.flatten()
    if bool((flat.diff() == flat[1] - flat[0]).all()):
        start, step = int(flat[0]), int(flat[1] - flat[0])
        counted = f"torch.arange({start}, {start + step * value.numel()}, {step}{options})"
        return counted if value.dim() == 1 else f"{counted}.view{shape}"
    if value.dim() > 1 and bool((value == value.reshape(-1, value.shape[-1])[0]).all()):
        row = _values(value.reshape(-1, value.shape[-1])[0])
        return f"{_operand(row)}.expand{shape}.contiguous()"
    if value.dim() == 1 and bool((value.sort().values == torch.arange(value.numel())).all()):
        return f"torch.randperm({value.numel()}{options})"
    dtype = "" if value.dtype == torch.int64 else f", dtype={value.dtype}"
    drawn = f"torch.randint({low}, {high + 1}, {shape}{dtype}{_device(value)})"
    ordered = value.shape[-1] > 2 and bool((value.diff(dim=-1) >= 0).all())
    return f"{drawn}.sort(dim=-1).values" if ordered else drawn


def _inwards(low: int, high: int) -> tuple[int, int]:
    """A wide range with rounded ends, inside the one seen: an index beyond it may have no row."""
    grain = 10 ** (len(str(high - low)) - 2)
    return (low, high) if high - low < 100 else ((low // grain + 1) * grain, high // grain * grain)


def _booleans(value: torch.Tensor, shape: str) -> str:
    """Triangles as they are, rows that begin true and end false as such, else true as often as seen."""
    ones = torch.ones_like(value)
    if value.dim() >= 2:
        for side in ("tril", "triu"):
            for diagonal in (0, -1, 1):
                if bool((value == getattr(ones, side)(diagonal)).all()):
                    return f"torch.ones({shape}, dtype=torch.bool{_device(value)}).{side}({diagonal or ''})"
        if bool((value[..., :-1] >= value[..., 1:]).all()) and bool(value[..., 0].all()):
            length, rows = value.shape[-1], _tuple((*value.shape[:-1], 1))
            return f"torch.arange({length}) < torch.randint(1, {length + 1}, {rows})"
    return f"torch.rand({shape}{_device(value)}) < {_short(value.double().mean().item())}"


def _operand(text: str) -> str:
    """In brackets where a method would bind to a part of it."""
    return f"({text})" if re.search(r"\) [-+*<] ", text) else text


def _options(value: torch.Tensor) -> str:
    """`, dtype=torch.int32, device="cuda"`, each where it is not the usual one."""
    return ("" if value.dtype == torch.float32 else f", dtype={value.dtype}") + _device(value)


def _device(value: torch.Tensor) -> str:
    return "" if value.device.type == "cpu" else f", device={json.dumps(value.device.type)}"


def _times(factor: float) -> str:
    return "" if factor == 1.0 else f" * {_short(factor)}"


def _short(number: float) -> str:
    return repr(float(f"{number:.2g}"))


def _number(number: float | bool) -> str:
    return f'float("{number}")' if isinstance(number, float) and not math.isfinite(number) else repr(number)


def _tuple(numbers: torch.Size | tuple[int, ...]) -> str:
    return repr(tuple(numbers))
