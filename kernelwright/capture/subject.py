"""What a person points at, ready to be worked on: a task, the weights it came with, a name to show."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from kernelwright.capture import source
from kernelwright.capture.module import render
from kernelwright.core.errors import UsageError, blame
from kernelwright.core.spec import InputSpec, Target, TensorSpec
from kernelwright.core.task import Contract, Task


@dataclass(frozen=True, slots=True)
class Subject:
    """A task, the state that the module came with (empty for a reference file), and a name for people."""

    name: str
    task: Task
    state: Mapping[str, torch.Tensor] = field(default_factory=dict)


def from_file(path: Path, target: Target, contract: Contract) -> Subject:
    """The task of a reference file. Raises UsageError where the file is not one, or fails on its own inputs."""
    return from_text(path.stem, source.read(path), target, contract)


def from_text(name: str, text: str, target: Target, contract: Contract) -> Subject:
    """The task of a reference file's text."""
    return Subject(name, _task(text, target, contract))


def from_module(model: nn.Module, inputs: Sequence[source.Input], target: Target, contract: Contract) -> Subject:
    """The task of a live module, rendered as a reference file. Raises CaptureError that names what it meets."""
    rendered = render(model, inputs)
    task = Task(rendered.source, tuple(source.spec_of(value) for value in inputs), target, contract)
    return Subject(type(model).__name__, task, rendered.state)


def from_name(name: str, inputs: str | None, target: Target, contract: Contract) -> Subject:
    """The task of `package.module:Model`, with inputs from `package.module:function` or the module's get_inputs."""
    make = _named(name)
    draw = _named(inputs or f"{name.partition(':')[0]}:get_inputs")
    with blame(UsageError, f"{name} cannot be constructed without arguments"):
        model = make() if isinstance(make, type) else make
    if not isinstance(model, nn.Module):
        raise UsageError(f"{name} is a {type(model).__name__}; wanted an nn.Module or a class of one")
    with blame(UsageError, "the inputs function fails"):
        drawn = draw()
    return from_module(model, source.check_inputs(drawn), target, contract)


def _task(text: str, target: Target, contract: Contract) -> Task:
    reference = source.load(text)
    inputs = source.draw_inputs(reference, seed=0)
    model = source.build(reference)
    with torch.no_grad(), blame(UsageError, "the model fails on its own inputs"):
        model(*inputs)
    specs = tuple(source.spec_of(value) for value in inputs)
    return Task(text, tuple(_on(target.kind, spec) for spec in specs), target, contract)


def _on(device: str, spec: InputSpec) -> InputSpec:
    """The same input where the target computes: a reference file draws on the CPU, whoever runs it moves it."""
    return replace(spec, device=device) if isinstance(spec, TensorSpec) else spec


def _named(name: str) -> Callable[[], object]:
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise UsageError(f"cannot read {name!r}: wanted FILE.py or package.module:Name")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does, so that a module of the current folder is found
    with blame(UsageError, f"cannot import {module}"):
        found = importlib.import_module(module)
    if not hasattr(found, attribute):
        remedy = "; name a function that returns inputs with --inputs" if attribute == "get_inputs" else ""
        raise UsageError(f"{module} has no {attribute!r}{remedy}")
    return getattr(found, attribute)
