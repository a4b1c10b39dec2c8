"""Reference files in KernelBench's form: `Model`, `get_inputs()` and `get_init_inputs()`."""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kernelwright.core.errors import UsageError, blame
from kernelwright.core.spec import InputSpec, ScalarSpec, TensorSpec

Input = torch.Tensor | int | float | bool

FORM = "a reference file defines class Model(nn.Module), get_inputs() and get_init_inputs()"


@dataclass(frozen=True, slots=True)
class Reference:
    """A loaded reference file. `get_inputs` draws from torch's global generator."""

    source: str
    model: type[nn.Module]
    get_inputs: Callable[[], object]
    get_init_inputs: Callable[[], Sequence[Any]]


def read(path: Path) -> str:
    """The text of a reference file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {path}: byte {error.start} is no UTF-8; wanted a Python file") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; wanted a Python file") from None


def load(source: str) -> Reference:
    """Run the file's top level and take its three names. Raises UsageError that says what is missing."""
    module = execute(source, f"kernelwright_reference_{hashlib.sha256(source.encode()).hexdigest()[:12]}")
    model = getattr(module, "Model", None)
    if not (isinstance(model, type) and issubclass(model, nn.Module)):
        raise UsageError(f"no class Model(nn.Module) in the reference; {FORM}")
    get_inputs = getattr(module, "get_inputs", None)
    if not callable(get_inputs):
        raise UsageError(f"no get_inputs() in the reference; {FORM}")
    return Reference(source, model, get_inputs, getattr(module, "get_init_inputs", list))


def execute(source: str, name: str) -> types.ModuleType:
    """A module made of this text. Tracebacks and inspect.getsource see its lines."""
    filename = f"<{name}>"
    try:
        code = compile(ast.parse(source), filename, "exec")
    except SyntaxError as error:
        raise UsageError(f"the reference is not Python: {error.msg}, line {error.lineno}") from error
    except ValueError as error:
        raise UsageError(f"the reference is not Python: {error}") from error
    module = types.ModuleType(name)
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    sys.modules[name] = module
    with blame(UsageError, "the reference fails when it is imported"):
        exec(code, module.__dict__)
    return module


def build(reference: Reference) -> nn.Module:
    """`Model(*get_init_inputs())`."""
    with blame(UsageError, "get_init_inputs() or Model's constructor fails"):
        return reference.model(*init_arguments(reference))


def init_arguments(reference: Reference) -> tuple[Any, ...]:
    """What `Model` and `ModelNew` are constructed with, by position."""
    arguments = reference.get_init_inputs()
    if not isinstance(arguments, (list, tuple)):
        kind = type(arguments).__name__
        raise UsageError(f"get_init_inputs() returns {kind}; wanted a list of the constructor's arguments, in order")
    return tuple(arguments)


def draw_inputs(reference: Reference, seed: int) -> tuple[Input, ...]:
    """One set of inputs from the file's own generator; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]), blame(UsageError, "get_inputs() fails"):
        torch.manual_seed(seed)
        drawn = reference.get_inputs()
    return check_inputs(drawn)


def check_inputs(drawn: object) -> tuple[Input, ...]:
    if not isinstance(drawn, (list, tuple)):
        raise UsageError(f"get_inputs() returns {type(drawn).__name__}; wanted a list of tensors and numbers")
    for position, value in enumerate(drawn):
        if not isinstance(value, (torch.Tensor, int, float)):
            raise UsageError(f"input {position} is a {type(value).__name__}; wanted a tensor or a number")
    if not any(isinstance(value, torch.Tensor) for value in drawn):
        raise UsageError("get_inputs() returns no tensor; there is nothing to compute on")
    return tuple(drawn)


def spec_of(value: Input) -> InputSpec:
    if not isinstance(value, torch.Tensor):
        return ScalarSpec(value)
    dtype = str(value.dtype).removeprefix("torch.")
    return TensorSpec(tuple(value.shape), tuple(value.stride()), dtype, value.device.type)
