"""The deployed module: the kernel where it was judged, the original elsewhere, one set of parameters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import torch
from torch import nn

from kernelwright.capture.source import execute
from kernelwright.core.codec import digest
from kernelwright.core.errors import UsageError, first_line
from kernelwright.core.outcome import Choice, Keep
from kernelwright.core.spec import InputSpec
from kernelwright.deploy.guard import guard, share

SHARED = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")
MADE = ("_kernel", "_fits")  # made anew for a copy


def deploy(original: nn.Module, candidate_source: str, init_inputs: Sequence[Any], input_specs: Sequence[InputSpec],
           *, choice: Choice | None = None, file: str | None = None) -> Optimized:  # fmt: skip
    """A module that calls like `original` and shares its state, running ModelNew of `candidate_source` where it may.

    init_inputs: what ModelNew's constructor takes. input_specs: the inputs that the kernel was judged for.
    file: where the kernel's text is kept, for messages.
    """
    return Optimized(original, candidate_source, init_inputs, input_specs, choice, file)


class Optimized(nn.Module):
    """`original`, faster. State is the original's, and so is every call that the kernel was not judged for.

    The kernel runs where `guard` finds all as it was judged, and no gradient is wanted; inputs by keyword go to the
    original. An exception from the kernel is answered by the original, for good, with one warning. A kernel that kills
    the process cannot be caught here; the judge runs kernels in processes of their own to find those.
    What forward reads beside tensors, plain numbers and strings of the user's classes (lists, configuration objects,
    globals) is taken as it was when the kernel was captured: deploy again after changing it.
    """

    def __init__(self, original: nn.Module, source: str, init_inputs: Sequence[Any], input_specs: Sequence[InputSpec],
                 choice: Choice | None = None, file: str | None = None) -> None:  # fmt: skip
        super().__init__()
        vars(self)["original"] = original  # no submodule: keys of the state stay the original's
        self.source, self.init_inputs, self.input_specs = source, tuple(init_inputs), tuple(input_specs)
        self.choice, self.file, self.fault = choice, file, ""
        self.training = original.training
        self._attach()

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        if keywords or not self._fits(inputs):
            return self.original(*inputs, **keywords)
        try:
            return self._kernel(*inputs)
        except Exception as fault:
            self._retire(fault)
        return self.original(*inputs)

    @property
    def digest(self) -> str:
        """What the store lists the kernel by; where it was not chosen by us, the SHA-256 of its text."""
        if isinstance(self.choice, Keep):
            return digest(self.choice.trial.candidate)
        return sha256(self.source.encode()).hexdigest()

    # State is the original's

    def state_dict(self, *args: Any, **keywords: Any) -> Any:
        return self.original.state_dict(*args, **keywords)

    def load_state_dict(self, *args: Any, **keywords: Any) -> Any:
        return self.original.load_state_dict(*args, **keywords)

    def train(self, mode: bool = True) -> Optimized:
        self.original.train(mode)
        self.training = mode
        return self

    def apply(self, fn: Any) -> Optimized:
        self.original.apply(fn)
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "original" not in vars(self):
                raise
            return getattr(self.original, name)

    def __repr__(self) -> str:
        gain = f", {self.choice.gain:.2f}x over PyTorch" if isinstance(self.choice, Keep) else ""
        state = f", retired: {self.fault}" if self.fault else ""
        return f"Optimized({self.original!r}, kernel {self.digest[:12]}{gain}{state})"

    # Copies and pickles carry the original and the kernel's text, and build the kernel again

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in (*SHARED, *MADE)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__init__(self)
        vars(self).update(state)
        self._attach()

    # The kernel

    def _attach(self) -> None:
        """Share the original's state, and load the kernel onto it."""
        for name in SHARED:
            vars(self)[name] = vars(self.original)[name]
        self._fits = _never
        if self.fault:
            return
        try:
            self._load()
        except Exception as fault:
            self._retire(fault)

    def _load(self) -> None:
        made = vars(execute(self.source, f"kernelwright_kernel_{self.digest[:12]}")).get("ModelNew")
        if not (isinstance(made, type) and issubclass(made, nn.Module)):
            raise UsageError("the kernel's file defines no class ModelNew(nn.Module)")
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            kernel = made(*self.init_inputs)
        state = share(kernel, self.original)
        vars(self)["_kernel"] = kernel.train(self.original.training).forward  # no submodule either
        self._fits = guard(self.original, self.input_specs, state)

    def _retire(self, fault: Exception) -> None:
        """The original from now on; what went wrong is said once."""
        self.fault = f"{type(fault).__name__}: {first_line(fault)}"
        self._fits = _never
        warnings.warn(
            f"kernel {self.digest[:12]} ({self.file or 'its text is in .source'}) failed and is retired; "
            f"the original runs from now on: {self.fault}",
            RuntimeWarning, stacklevel=3,
        )  # fmt: skip


def _never(given: Sequence[Any]) -> bool:
    return False
