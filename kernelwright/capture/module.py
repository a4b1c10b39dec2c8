"""A live module as a reference file, and the weights that go with it.

The file declares the module's parameters and buffers under their own names, and its forward is printed from the
captured graph; so what it computes is what the module computes in the mode (training or not) that it was captured in.
"""

from __future__ import annotations

import inspect
import json
import keyword
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from kernelwright.capture.drawing import drawing
from kernelwright.capture.export import input_names, program
from kernelwright.capture.source import Input, spec_of
from kernelwright.core.errors import UsageError
from kernelwright.graph.printing import attribute, forward_lines, signature

SUPPORTED = "wanted a tuple of tensors and numbers, passed by position as in model(*inputs)"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A reference file and the state it was rendered with. The tensors are the live module's own, not copies."""

    source: str
    state: Mapping[str, torch.Tensor]


def render(model: nn.Module, example_inputs: Sequence[Input], *, name: str | None = None) -> Rendered:
    """The module as a reference file in KernelBench's form.

    State that the module does not save but its forward reads (buffers that are not persistent, tensors that are plain
    attributes) becomes a buffer of the rendered Model, for its values have to come from somewhere.
    Raises CaptureError that names the op or graph break, or UsageError for inputs that are not supported.
    """
    inputs = _checked(example_inputs)
    graph = program(model, inputs)
    names = input_names(model, len(inputs))
    read = [str(node.target) for node in graph.graph.nodes if node.op == "get_attr"]
    state = _state(model, read)
    root = _tree(model, state)
    mode = "training" if model.training else "evaluation"
    called = name or type(model).__name__
    lines = [
        f'"""{called}, captured from a live module in {mode} mode. Its weights are kept beside this file."""',
        "",
        "import torch",
        "import torch.nn.functional as F",
        "from torch import nn",
        "",
        "",
        f"class Model({'nn.ModuleList' if _length(root.members) else 'nn.Module'}):",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        {line}" for line in _declared(root, "", state)),
        "",
        f"    {signature(graph.graph, [spec_of(value) for value in inputs], names)}",
        *(f"        {line}" for line in forward_lines(graph)),
        "",
        "",
        "def get_inputs():",
        "    return [",
        *(f"        {drawing(value, known)}," for value, known in zip(inputs, names, strict=True)),
        "    ]",
        "",
        "",
        "def get_init_inputs():",
        "    return []",
    ]
    return Rendered("\n".join(lines) + "\n", {key: held.tensor for key, held in state.items()})


def save(rendered: Rendered, folder: Path, name: str = "model") -> Path:
    """Writes NAME.py, and NAME.safetensors beside it. Tensors that share memory are written once each."""
    from safetensors.torch import save_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.py"
        path.write_text(rendered.source, encoding="utf-8")
        save_file({key: tensor.detach().clone().contiguous() for key, tensor in rendered.state.items()},
                  path.with_suffix(".safetensors"))  # fmt: skip
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    return path


def _checked(inputs: object) -> tuple[Input, ...]:
    if not isinstance(inputs, (tuple, list)):
        raise UsageError(f"the example inputs are a {type(inputs).__name__}; {SUPPORTED}")
    for position, value in enumerate(inputs):
        if not isinstance(value, (torch.Tensor, int, float)):
            raise UsageError(f"example input {position} is a {type(value).__name__}; {SUPPORTED}")
    if not any(isinstance(value, torch.Tensor) for value in inputs):
        raise UsageError("no example input is a tensor; there is nothing to compute on")
    return tuple(inputs)


@dataclass(frozen=True, slots=True)
class Held:
    """One tensor of the module's state: how the rendered Model declares it, and the first name that it goes by."""

    tensor: torch.Tensor
    kind: Literal["parameter", "frozen parameter", "buffer"]
    first: str


State = dict[str, Held]


def _state(model: nn.Module, read: Sequence[str]) -> State:
    """What the module saves and what its forward reads, in the order in which a constructor would make it."""
    saved = model.state_dict().keys()
    names = [f"{path}.{name}".lstrip(".") for path, module in model.named_modules(remove_duplicate=False)
             for name in (*module._parameters, *module._buffers)]  # fmt: skip
    first: dict[object, str] = {}
    state: State = {}
    for name in dict.fromkeys((*names, *read)):
        tensor = _tensor(model, name)
        if tensor is not None and (name in saved or name in read):
            state[name] = Held(tensor.detach(), _kind(tensor), first.setdefault(_identity(tensor), name))
    return state


def _tensor(model: nn.Module, path: str) -> torch.Tensor | None:
    found: Any = model
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _kind(tensor: torch.Tensor) -> Literal["parameter", "frozen parameter", "buffer"]:
    if not isinstance(tensor, nn.Parameter):
        return "buffer"
    return "parameter" if tensor.requires_grad else "frozen parameter"


def _identity(tensor: torch.Tensor) -> object:
    """Equal for two names of the same tensor."""
    if tensor.numel() == 0:
        return id(tensor)
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device, _kind(tensor)


# The tree of modules that hold state


@dataclass(frozen=True, slots=True)
class Holder:
    """One module: its own state by name, its members that hold some, and the line that makes it all, if one does."""

    own: tuple[str, ...]
    members: Mapping[str, Holder]
    line: str = ""


def _tree(model: object, state: State, path: str = "") -> Holder:
    prefix = f"{path}." if path else ""
    below = [name.removeprefix(prefix) for name in state if name.startswith(prefix)]
    own = tuple(name for name in below if "." not in name)
    names = dict.fromkeys(name.partition(".")[0] for name in below if "." in name)
    members = {name: _tree(getattr(model, name), state, prefix + name) for name in names}
    line = _usual(model, {name: state[prefix + name] for name in own}, prefix) if path and not members else ""
    return Holder(own, members, line)


def _usual(model: object, own: State, prefix: str) -> str:
    """`nn.Linear(16, 8)`, where PyTorch's own class makes just this state and none of it goes by an earlier name."""
    if not isinstance(model, nn.Module) or type(model) is not getattr(nn, type(model).__name__, None):
        return ""
    text = f"nn.{type(model).__name__}({_arguments(model)})"
    try:
        with torch.device("meta"):
            twin: nn.Module = eval(text, {"nn": nn})
    except (TypeError, SyntaxError, NameError, ValueError):
        return ""  # a class whose repr is not how it is made
    made = {
        name: (tensor.shape, tensor.dtype, _kind(tensor)) for name, tensor in twin.state_dict(keep_vars=True).items()
    }
    wanted = {name: (held.tensor.shape, held.tensor.dtype, held.kind) for name, held in own.items()}
    return text if made == wanted and all(held.first == prefix + name for name, held in own.items()) else ""


def _arguments(model: nn.Module) -> str:
    """The constructor's arguments as repr has them, without those that hold the default."""
    parameters = inspect.signature(type(model)).parameters
    shown = []
    for item in _split(model.extra_repr()):
        key, _, value = item.partition("=")
        default = parameters[key].default if key in parameters else None
        if default is inspect.Parameter.empty:
            shown.append(value)
        elif value != repr(default):
            shown.append(item)
    return ", ".join(shown)


def _split(text: str) -> list[str]:
    """`3, kernel_size=(3, 3)` at the commas outside brackets."""
    items, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            items.append("")
        else:
            items[-1] += character
    return [item.strip() for item in items if item.strip()]


# Statements of the constructor


def _declared(holder: Holder, path: str, state: State) -> Iterator[str]:
    """What makes everything below a holder that is itself there already."""
    here = attribute(path) if path else "self"
    for name in holder.own:
        yield _own(here, name, f"{path}.{name}".lstrip("."), state)
    if not path and _length(holder.members):
        yield f"self.extend(nn.Module() for _ in range({_length(holder.members)}))"
    for name, member in holder.members.items():
        yield _set(here, name, member.line or _container(member), "add_module")
        if not member.line:
            yield from _declared(member, f"{path}.{name}".lstrip("."), state)


def _container(holder: Holder) -> str:
    if length := _length(holder.members):
        return f"nn.ModuleList(nn.Module() for _ in range({length}))"
    return "nn.ParameterList()" if _length(holder.own) else "nn.Module()"


def _length(names: Iterable[str]) -> int:
    """How long a list has to be for the numbers among these names."""
    return 1 + max((int(name) for name in names if name.isdecimal()), default=-1)


def _own(here: str, name: str, path: str, state: State) -> str:
    held = state[path]
    value = attribute(held.first) if held.first != path else _made(held)
    if held.kind == "buffer":
        return f"{here}.register_buffer({json.dumps(name)}, {value})"
    return f"{here}.append({value})" if name.isdecimal() else _set(here, name, value, "register_parameter")


def _made(held: Held) -> str:
    shape = ", ".join(map(str, held.tensor.shape)) or "()"
    dtype = "" if held.tensor.dtype == torch.float32 else f", dtype={held.tensor.dtype}"
    made = f"torch.zeros({shape}{dtype})"
    match held.kind:
        case "parameter":
            return f"nn.Parameter({made})"
        case "frozen parameter":
            return f"nn.Parameter({made}, requires_grad=False)"
        case "buffer":
            return made


def _set(here: str, name: str, value: str, method: str) -> str:
    if name.isdecimal():
        return f"{here}[{name}] = {value}"
    if name.isidentifier() and not keyword.iskeyword(name):
        return f"{here}.{name} = {value}"
    return f"{here}.{method}({json.dumps(name)}, {value})"
