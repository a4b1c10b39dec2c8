"""The deployed module is the original to everyone who looks, and faster only where that cannot be told."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kernelwright.capture.module import render
from kernelwright.capture.source import spec_of
from kernelwright.deploy import guard
from kernelwright.deploy.module import Optimized, deploy

pytestmark = pytest.mark.cpu


class Block(nn.Module):
    """Some state of every kind."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, 4)
        self.gain = nn.Parameter(torch.ones(4))
        self.register_buffer("offset", torch.zeros(4), persistent=False)
        self.steps = torch.arange(4.0)
        self.factor = 2.0

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        x = self.head(self.layers(x)) * self.gain + self.get_buffer("offset")
        return (x + self.steps) * scale * self.factor


X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


def made(model: nn.Module | None = None) -> Optimized:
    """A Block behind a kernel that gives the negative of what the Block gives, so that tests see which of them ran."""
    model = model or Block()
    text = render(model, (X, 1.0)).source.replace("class Model(", "class ModelNew(")
    head, _, last = text.partition("\n\ndef get_inputs")[0].rpartition("return ")
    return deploy(model, f"{head}return -({last.strip()})\n", (), [spec_of(X), spec_of(1.0)])


def ran_kernel(model: nn.Module, *inputs: Any, **keywords: Any) -> bool:
    """Whether the kernel answered. Either way the answer is the original's, but for the sign."""
    with torch.no_grad():
        answer = model(*inputs, **keywords)
        expected = model.original(*inputs, **keywords)  # type: ignore[operator]
    ran = torch.allclose(answer, -expected)
    torch.testing.assert_close(answer, -expected if ran else expected)
    return ran


def test_the_kernel_runs_as_it_was_judged() -> None:
    model = made()
    assert ran_kernel(model, X, 1.0)
    with torch.inference_mode():
        assert ran_kernel(model, X, 1.0)


def test_every_difference_between_tensors_is_seen_whatever_was_seen_before() -> None:
    weight = nn.Parameter(torch.randn(4, 4))
    alike = guard.alike_to([weight, X])
    changed = nn.Parameter(torch.randn(4, 4))
    for _ in range(2):  # in Python, then by native guards
        assert alike([weight, X]) and alike([changed, X + 1])
    others = [None, weight.as_subclass(Tagged), torch.randn(4, 5), torch.randn(4, 4).t(), torch.randn(4, 4).double(),
              torch.randn(4, 4, device="meta"), torch.randn(4, 4).to_sparse()]  # fmt: skip
    for value in others:
        assert not alike([value, X])
    assert alike([weight.detach(), X]) and alike([weight, weight.new_zeros(3, 8)])
    changed.data = changed.data.half()
    with torch.inference_mode():
        assert alike([weight, X])
        assert not alike([changed, X])
    assert not alike([changed, X])


OTHER_CALLS: dict[str, Callable[[Optimized], bool]] = {
    "another shape": lambda model: ran_kernel(model, X[:2], 1.0),
    "another dtype of the state": lambda model: ran_kernel(model.double(), X.double(), 1.0),
    "other strides": lambda model: ran_kernel(model, X.t().contiguous().t(), 1.0),
    "another number": lambda model: ran_kernel(model, X, 2.0),
    "a number of another type": lambda model: ran_kernel(model, X, 1),
    "inputs left to their defaults": lambda model: ran_kernel(model, X),
    "inputs by keyword": lambda model: ran_kernel(model, X, scale=1.0),
    "a subclass of Tensor": lambda model: ran_kernel(model, X.as_subclass(Tagged), 1.0),
    "training mode of a submodule": lambda model: (model.layers.train(False), ran_kernel(model, X, 1.0))[1],
    "evaluation mode": lambda model: ran_kernel(model.eval(), X, 1.0),
    "a state of another dtype": lambda model: (_replace(model.head, "bias", torch.zeros(4).double()), _fits(model))[1],
    "a replaced submodule": lambda model: (setattr(model, "head", nn.Linear(8, 4)), ran_kernel(model, X, 1.0))[1],
    "a hook on a submodule": lambda model: (model.head.register_forward_hook(_negate), ran_kernel(model, X, 1.0))[1],
    "a hook on the original": lambda model: (model.original.register_forward_pre_hook(_as_is), _fits(model))[1],
    "a changed number of the user's class": lambda model: _ran_with(model, "factor", 3.0),
    "a changed plain tensor": lambda model: _ran_with(model, "steps", torch.ones(4)),
}  # fmt: skip


class Tagged(torch.Tensor):
    pass


def _ran_with(model: Optimized, name: str, value: object) -> bool:
    setattr(model.original, name, value)
    return ran_kernel(model, X, 1.0)


def _replace(module: nn.Module, name: str, value: torch.Tensor) -> None:
    getattr(module, name).data = value


def _negate(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return -output


def _as_is(module: nn.Module, inputs: Any) -> None:
    return None


def _fits(model: Optimized) -> bool:
    with torch.no_grad():
        return model._fits((X, 1.0))


@pytest.mark.parametrize("name", OTHER_CALLS)
def test_the_original_answers_everything_else(name: str) -> None:
    assert not OTHER_CALLS[name](made())


def test_a_hook_that_goes_lets_the_kernel_back() -> None:
    model = made()
    hook = model.head.register_forward_hook(_negate)
    assert not ran_kernel(model, X, 1.0)
    hook.remove()
    assert ran_kernel(model, X, 1.0)


def test_gradients_are_the_originals() -> None:
    model = made()
    model(X, 1.0).sum().backward()
    assert model.gain.grad is not None
    assert model.gain.grad is model.original.gain.grad
    model.requires_grad_(False)
    assert torch.allclose(model(X, 1.0), -model.original(X, 1.0)), "nothing wants a gradient now"
    assert not torch.allclose(model(X.requires_grad_(), 1.0), -model.original(X, 1.0))
    X.requires_grad_(False)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_calls_that_do_not_mean_what_they_say_are_the_originals() -> None:
    model, fits = made(), []
    with torch.no_grad():
        with torch.autocast("cpu"):
            fits.append(_fits(model))
        with torch.device("meta"):
            fits.append(_fits(model))
        with FlopCounterMode(display=False):
            fits.append(_fits(model))
        torch.func.vmap(lambda x: fits.append(_fits(model)) or x)(X)
        torch.jit.trace(lambda x: fits.append(_fits(model)) or x, X, check_trace=False)
    assert fits and not any(fits)
    assert _fits(model)


def test_an_exported_or_compiled_module_is_the_originals_graph() -> None:
    model = made().requires_grad_(False)
    exported = torch.export.export(model, (X, 1.0), strict=False).module()
    torch.testing.assert_close(exported(X, 1.0), model.original(X, 1.0))


def test_weights_are_shared_and_followed() -> None:
    model = made()
    original = model.original
    assert list(model.parameters()) and all(
        a is b for a, b in zip(model.parameters(), original.parameters(), strict=True)
    )
    with torch.no_grad():
        original.head.weight.mul_(3)
        model.gain.add_(1)
    assert ran_kernel(model, X, 1.0)
    original.head.weight = nn.Parameter(torch.randn(4, 8))
    model.gain = nn.Parameter(torch.randn(4))
    assert original.gain is model.gain
    assert ran_kernel(model, X, 1.0)
    given = {"head.bias": torch.full((4,), 5.0)}
    with torch.no_grad():
        answer = torch.func.functional_call(model, given, (X, 1.0))
        torch.testing.assert_close(answer.abs(), torch.func.functional_call(model.original, given, (X, 1.0)).abs())


def test_a_broken_tie_is_noticed() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
            self.two.weight = self.one.weight

        def forward(self, x: torch.Tensor, scale: float) -> torch.Tensor:
            return self.two(self.one(x).relu()) * scale

    model = made(Tied())
    assert ran_kernel(model, X, 1.0)
    model.two.weight = nn.Parameter(torch.randn(8, 8))
    assert not ran_kernel(model, X, 1.0)


def test_state_looks_like_the_originals() -> None:
    model, plain = made(), Block()
    assert list(model.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert [name for name, _ in model.named_buffers()] == [name for name, _ in plain.named_buffers()]
    assert [name for name, _ in model.named_children()] == [name for name, _ in plain.named_children()]
    assert not model.load_state_dict(plain.state_dict()).missing_keys
    torch.testing.assert_close(model.original(X), plain(X))
    model.eval()
    assert not model.original.training and not model.head.training
    model(X, 1.0).sum().backward()
    model.zero_grad()
    assert model.original.gain.grad is None
    seen: list[nn.Module] = []
    model.apply(seen.append)
    assert model.original in seen and model not in seen
    assert model.factor == 2.0
    assert model.half().original.gain.dtype == torch.float16


def test_it_works_as_a_part_of_a_larger_module() -> None:
    larger, plain = nn.Sequential(made(), nn.Linear(4, 2)), nn.Sequential(Block(), nn.Linear(4, 2))
    assert list(larger.state_dict()) == list(plain.state_dict())
    larger.load_state_dict(plain.state_dict(), strict=True)
    larger.eval()
    torch.testing.assert_close(larger(X), plain(X))


def test_copies_and_pickles_keep_the_kernel_and_have_their_own_weights() -> None:
    model = made()
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert ran_kernel(other, X, 1.0)
        with torch.no_grad():
            other.gain.mul_(2)
        assert other.original.gain is other.gain
        assert not torch.equal(other.gain, model.gain)
        assert ran_kernel(other, X, 1.0)


def test_hooks_of_the_deployed_module_run_round_the_kernel() -> None:
    model = made()
    model.register_forward_hook(_negate)
    with torch.no_grad():
        torch.testing.assert_close(model(X, 1.0), model.original(X, 1.0))


def test_a_fault_is_answered_by_the_original_for_good_with_one_warning() -> None:
    source = made().source.replace("return -", "raise RuntimeError('no such luck')\n        return -")
    model = deploy(Block(), source, (), [spec_of(X), spec_of(1.0)], file="kernel.py")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert not ran_kernel(model, X, 1.0)
        assert not ran_kernel(model, X, 1.0)
    (warning,) = said
    for part in (model.digest[:12], "kernel.py", "no such luck", "original"):
        assert part in str(warning.message)
    assert "no such luck" in repr(model)
    assert not ran_kernel(copy.deepcopy(model), X, 1.0)


@pytest.mark.parametrize("source", ["", "import nothing_of_that_name", "class ModelNew: pass", "def ("])
def test_a_kernel_that_does_not_load_leaves_a_module_that_works(source: str) -> None:
    with pytest.warns(RuntimeWarning, match="original runs"):
        model = deploy(Block(), source, (), [spec_of(X), spec_of(1.0)])
    assert not ran_kernel(model, X, 1.0)


def test_making_the_kernel_leaves_the_callers_random_state_alone() -> None:
    source = made().source
    torch.manual_seed(3)
    before = torch.get_rng_state()
    deploy(Block(), source, (), [spec_of(X), spec_of(1.0)])
    torch.manual_seed(3)
    Block()
    after = torch.get_rng_state()
    torch.manual_seed(3)
    deploy(Block(), source, (), [spec_of(X), spec_of(1.0)])
    assert torch.equal(torch.get_rng_state(), after) and not torch.equal(before, after)


OPEN = """
import sys, torch
model = torch.load(sys.argv[1], weights_only=False)
print(model.fault or model(torch.ones(3, 8)).shape)
"""


def test_a_pickle_opens_in_another_process(tmp_path: Path) -> None:
    model = deploy(nn.Linear(8, 4), "from torch.nn import Linear as ModelNew", (8, 4), [spec_of(X)])
    torch.save(model, tmp_path / "model.pt")
    assert python(tmp_path, "-c", OPEN, "model.pt") == "torch.Size([3, 4])"


def python(folder: Path, *arguments: str) -> str:
    """What a new interpreter prints, started in a folder."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
