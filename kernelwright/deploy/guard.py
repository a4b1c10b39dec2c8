"""Whether a call is one that the kernel was judged for. Everything else is the original's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn.modules import module as hooks

from kernelwright.core.errors import UsageError
from kernelwright.core.spec import InputSpec, ScalarSpec, TensorSpec

Guard = Callable[[Sequence[Any]], bool]

PLAIN = (torch.Tensor, nn.Parameter, nn.Buffer)  # subclasses may compute as they like
SIMPLE = (bool, int, float, str, type(None))


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """Where one tensor of the module's state is kept: found anew at each call, so that one put in its place is used."""

    holder: dict[str, Any]
    name: str

    @property
    def tensor(self) -> torch.Tensor:
        return self.holder[self.name]


def guard(original: nn.Module, inputs: Sequence[InputSpec], state: Shared) -> Guard:
    """A function of the positional inputs that is true only where the kernel may stand for `original`.

    It looks at: the number, dtypes, devices, shapes and strides of inputs, the values of numbers; the same of all
    state, and which names share one tensor; modules, their hooks, training flags, and the plain numbers and strings
    that hang on the user's own classes; gradients wanted, autocast, tracing, and modes that replace tensors.
    """
    kind = next(spec.device for spec in inputs if isinstance(spec, TensorSpec))
    slots = state.slots
    inputs_fit, state_fits = _inputs_fit(inputs), _state_fits(slots, state.same)
    modules_fit = _modules_fit(original)

    def fits(given: Sequence[Any]) -> bool:
        return (
            _is_plain_mode(kind)
            and inputs_fit(given)
            and state_fits()
            and modules_fit()
            and not (torch.is_grad_enabled() and _wants_gradient(given, slots))
        )

    return fits


def _inputs_fit(inputs: Sequence[InputSpec]) -> Guard:
    tensors = [(place, getattr(torch, spec.dtype), torch.Size(spec.shape), spec.strides, _device(spec.device))
               for place, spec in enumerate(inputs) if isinstance(spec, TensorSpec)]  # fmt: skip
    numbers = [(place, spec.value) for place, spec in enumerate(inputs) if isinstance(spec, ScalarSpec)]

    def fit(given: Sequence[Any]) -> bool:
        if len(given) != len(inputs):
            return False
        for place, dtype, shape, strides, device in tensors:
            if not _is_laid_out(given[place], dtype, shape, strides, device):
                return False
        return all(type(given[place]) is type(value) and given[place] == value for place, value in numbers)

    return fit


def _device(kind: str) -> torch.device:
    """The device that kernels are judged on: the first of its kind."""
    return torch.device(kind) if kind == "cpu" else torch.device(kind, 0)


def _state_fits(slots: Sequence[Slot], same: Sequence[tuple[Slot, Slot]]) -> Callable[[], bool]:
    """Looks at each tensor itself, for `.data = ` and `.half()` change it under the same identity."""
    tied = list(_tied(slots))
    distinct = [slot for slot in slots if slot not in {second for _, second in tied}]
    places = [(slot.holder, slot.name) for slot in distinct]
    pairs = [(one.holder, one.name, other.holder, other.name) for one, other in (*same, *tied)]
    alike = alike_to([slot.tensor for slot in distinct])

    def fit() -> bool:
        if not alike([holder.get(name) for holder, name in places]):
            return False
        return all(holder.get(name) is other.get(twin) for holder, name, other, twin in pairs)

    return fit


def alike_to(tensors: Sequence[torch.Tensor]) -> Callable[[Sequence[Any]], bool]:
    """Whether values are plain tensors with the dtypes, shapes, strides and devices of these, one by one.

    Answered by torch.compile's native guards where they say yes, at 50 ns a tensor; Python takes 350 and has the last
    word, for those guards also look at what may change here, such as requires_grad.
    """
    layouts = [(value.dtype, value.shape, value.stride(), value.device) for value in tensors]
    native = {False: _none_is, True: _none_is}  # they see whether they were made in inference mode

    def alike(values: Sequence[Any]) -> bool:
        mode = torch.is_inference_mode_enabled()
        if native[mode](*values):
            return True
        if not all(_is_laid_out(value, *layout) for value, layout in zip(values, layouts, strict=True)):
            return False
        native[mode] = _native_guards(values)
        return True

    return alike


def _is_laid_out(
    value: Any, dtype: torch.dtype, shape: torch.Size, strides: Sequence[int], device: torch.device
) -> bool:
    return (
        type(value) in PLAIN
        and value.dtype is dtype
        and value.layout is torch.strided
        and value.shape == shape
        and (value.stride() == strides or _same_strides(value, strides))
        and value.device == device
    )


def _same_strides(value: torch.Tensor, wanted: Sequence[int]) -> bool:
    """Whether strides say the same: those of dimensions of size one say nothing."""
    return all(size == 1 or one == other for size, one, other in zip(value.shape, value.stride(), wanted, strict=True))


def _native_guards(tensors: Sequence[torch.Tensor]) -> Callable[..., bool]:
    try:
        from torch._C._dynamo.guards import TensorGuards
    except ImportError:  # not part of PyTorch's public interface
        return _none_is
    sizes: Any = [list(tensor.shape) for tensor in tensors]
    strides: Any = [list(tensor.stride()) for tensor in tensors]
    return TensorGuards(*tensors, dynamic_dims_sizes=sizes, dynamic_dims_strides=strides).check


def _none_is(*values: Any) -> bool:
    return not values


def _modules_fit(original: nn.Module) -> Callable[[], bool]:
    modules = list(original.modules())
    members = [(parent._modules, name, child) for parent in modules for name, child in parent._modules.items()]
    training = [(module, module.training) for module in modules]
    facts = [fact for module in modules for fact in _facts(module)]
    registries = [registry for module in modules for registry in (module._forward_hooks, module._forward_pre_hooks)]
    registries += [hooks._global_forward_hooks, hooks._global_forward_pre_hooks]

    def fit() -> bool:
        for registry in registries:
            if registry:
                return False
        for holder, name, child in members:
            if holder.get(name) is not child:
                return False
        for module, flag in training:
            if module.training is not flag:
                return False
        for holder, name, value in facts:
            found = holder.get(name)
            if found is not value and (type(found) is not type(value) or found != value):
                return False
        return True

    return fit


def _is_plain_mode(kind: str) -> bool:
    """Whether calls mean just what they say: no tracing, no autocast, no transform, nothing that intercepts them."""
    return not (
        torch.compiler.is_compiling()
        or torch.is_autocast_enabled(kind)
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch._C._functorch.peek_interpreter_stack() is not None  # pyright: ignore[reportAttributeAccessIssue]
        or forward_ad._current_level >= 0
        or torch._C._get_tracing_state() is not None
    )


def _wants_gradient(given: Sequence[Any], slots: Sequence[Slot]) -> bool:
    tensors = [value for value in given if isinstance(value, torch.Tensor)]
    return any(tensor.requires_grad for tensor in (*tensors, *(slot.tensor for slot in slots)))


def _facts(module: nn.Module) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Plain attributes of classes that are not PyTorch's: forward may read them, and they were captured as values."""
    if not type(module).__module__.startswith("torch."):
        for name, value in vars(module).items():
            if isinstance(value, SIMPLE) and name not in ("training", "call_super_init", "dump_patches"):
                yield vars(module), name, value


def _tied(slots: Sequence[Slot]) -> Iterator[tuple[Slot, Slot]]:
    first: dict[int, Slot] = {}
    for slot in slots:
        other = first.setdefault(id(slot.tensor), slot)
        if other is not slot:
            yield other, slot


@dataclass(frozen=True, slots=True)
class Shared:
    """The state that a kernel reads, where the original keeps it, and pairs of places that have to hold one tensor."""

    slots: tuple[Slot, ...]
    same: tuple[tuple[Slot, Slot], ...]


def share(kernel: nn.Module, original: nn.Module) -> Shared:
    """Give `kernel` the original's state in place of its own, and say where it is kept.

    Where a module of both keeps the same names, they keep one dict from now on, so that what is assigned in one is in
    the other. State that the original keeps as a plain attribute is handed over as it is now.
    Raises UsageError where the original lacks a name.
    """
    slots: list[Slot] = []
    same: list[tuple[Slot, Slot]] = []
    for path, mine in list(kernel.named_modules(remove_duplicate=False)):
        theirs = _counterpart(original, path)
        for registry in ("_parameters", "_buffers"):
            own: dict[str, Any] = getattr(mine, registry)
            there: dict[str, Any] = getattr(theirs, registry, {})
            names = [name for name, value in own.items() if value is not None]
            if names and all(name in there for name in names):
                vars(mine)[registry] = there
                slots += [Slot(there, name) for name in names]
            else:
                same += [_handed_over(own, name, path, theirs) for name in names]
    return Shared((*slots, *(place for place, _ in same)), tuple(same))


def _handed_over(own: dict[str, Any], name: str, path: str, theirs: Any) -> tuple[Slot, Slot]:
    """One tensor put where the kernel reads it: the place in the original that it came from, and that."""
    for place in (getattr(theirs, "_parameters", {}), getattr(theirs, "_buffers", {}), getattr(theirs, "__dict__", {})):
        if isinstance(place.get(name), torch.Tensor):
            own[name] = place[name]
            return Slot(place, name), Slot(own, name)
    raise UsageError(f"the kernel reads {f'{path}.{name}'.lstrip('.')!r}; the module has no such parameter or buffer")


def _counterpart(original: nn.Module, path: str) -> Any:
    found: Any = original
    for name in path.split(".") if path else ():
        found = getattr(found, name, None)
    return found
