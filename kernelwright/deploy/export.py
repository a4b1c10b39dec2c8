"""A kernel as one readable Python file, with what it needs beside it, that runs where kernelwright is not installed."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import torch

import kernelwright.runtime
from kernelwright.capture.source import load
from kernelwright.core.candidate import Candidate
from kernelwright.core.errors import UsageError, blame
from kernelwright.core.spec import InputSpec, TensorSpec
from kernelwright.core.task import Task

RUNTIME = "kernel_runtime"  # what the copy of kernelwright.runtime is called
WEIGHTS = "weights.safetensors"

HEADER = Template('''"""$about

How to use it:

    from $name import load

    model = load($parameters)$given
    output = model($inputs)

It takes these inputs and refuses others, and computes no gradients:

$listed

It needs $needs.
"""
''')

FOOTER = Template('''

# What the kernel was made for: dtype, shape, strides and device of tensors; numbers as they are.
INPUTS = (
$inputs
)


class Optimized(ModelNew):
    """ModelNew that refuses what its kernel was not made for, rather than read memory that is not its own."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.state = [layout(tensor) for tensor in (*self.parameters(), *self.buffers())]

    def forward(self, *inputs):
        seen = tuple(layout(value) if isinstance(value, torch.Tensor) else value for value in inputs)
        if seen != INPUTS:
            raise ValueError(f"the kernel was made for inputs {INPUTS}; these are {seen}")
        if [layout(tensor) for tensor in (*self.parameters(), *self.buffers())] != self.state:
            raise ValueError("the kernel was made for parameters as the constructor makes them; these were converted")
        with torch.no_grad():
            return super().forward(*inputs)


def layout(tensor):
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), tensor.stride(), tensor.device.type


def example(dtype, shape, strides, device):
    return torch.empty_strided(shape, strides, dtype=getattr(torch, dtype), device=device).zero_()


def load($parameters):
    """The module$loaded."""
    model = Optimized($arguments)
$loading    return model


if __name__ == "__main__":
    print(load($parameters)(*(example(*wanted) if isinstance(wanted, tuple) else wanted for wanted in INPUTS)))
''')

LOADING = f'''    weights = Path(__file__).resolve().with_name("{WEIGHTS}")
    model.load_state_dict(load_file(weights))
'''


def export(task: Task, candidate: Candidate, folder: Path, *,
           state: Mapping[str, torch.Tensor] | None = None, name: str = "optimized") -> Path:  # fmt: skip
    """Writes NAME.py, the runtime that its kernels need, and `state` as safetensors where it is given.

    Returns the file's path. Raises UsageError where the folder cannot be written.
    """
    text = written(task, candidate.source, name, with_weights=state is not None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if _uses_runtime(candidate.source):
            _copy_runtime(folder / RUNTIME)
        if state is not None:
            _save(state, folder / WEIGHTS)
        path = folder / f"{name}.py"
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; name another folder") from error
    return path


def written(task: Task, source: str, name: str, *, with_weights: bool) -> str:
    """The file's text: how to use it, the candidate as it is, and what keeps it to the inputs it was made for."""
    about, body = _parted(source)
    arguments = _init_arguments(task)
    values = {
        "about": about or "ModelNew, optimized.",
        "name": name,
        "arguments": "*arguments" if arguments is None else arguments,
        "parameters": "*arguments" if arguments is None else "",
        "given": ""
        if with_weights
        else "\n    model.load_state_dict(...)  # the weights of the module that it stands for",
        "inputs": ",\n".join(f"    {_described(spec)}" for spec in task.inputs) + ",",
        "listed": "\n".join(f"    {_told(spec)}" for spec in task.inputs),
        "needs": _needs(source, with_weights),
        "loaded": ", with the weights beside this file" if with_weights else "",
        "loading": LOADING if with_weights else "",
    }
    header = HEADER.substitute(values | {"inputs": ", ".join(f"x{place}" for place in range(len(task.inputs)))})
    text = re.sub(r"\bkernelwright\.runtime\b", RUNTIME, body)
    return header + _with_imports(text, with_weights) + FOOTER.substitute(values)


def _parted(source: str) -> tuple[str, str]:
    """A file's docstring, and its text without it."""
    with blame(UsageError, "the kernel is not Python"):
        tree = ast.parse(source)
    about = ast.get_docstring(tree)
    if about is None:
        return "", source.strip("\n")
    return about, "\n".join(source.splitlines()[tree.body[0].end_lineno :]).strip("\n")


def _with_imports(text: str, with_weights: bool) -> str:
    """The text with the imports that the footer needs, below its `from __future__` ones."""
    wanted = ["import torch"]
    if with_weights:
        wanted = ["from pathlib import Path", "import torch", "from safetensors.torch import load_file"]
    lines = text.splitlines()
    at = max((node.end_lineno or 0 for node in ast.parse(text).body
              if isinstance(node, ast.ImportFrom) and node.module == "__future__"), default=0)  # fmt: skip
    missing = [line for line in wanted if line not in lines]
    return "\n".join([*lines[:at], *missing, *lines[at:]])


def _init_arguments(task: Task) -> str | None:
    """The reference's constructor arguments as text; None where they cannot be written down."""
    values = load(task.reference).get_init_inputs()
    text = ", ".join(map(repr, values))
    try:
        return text if ast.literal_eval(f"[{text}]") == list(values) else None
    except (ValueError, SyntaxError):
        return None


def _described(spec: InputSpec) -> str:
    return repr((spec.dtype, spec.shape, spec.strides, spec.device) if isinstance(spec, TensorSpec) else spec.value)


def _told(spec: InputSpec) -> str:
    if not isinstance(spec, TensorSpec):
        return f"the number {spec.value}"
    return f"{spec.dtype} of shape {spec.shape} with strides {spec.strides} on {spec.device}"


def _needs(source: str, with_weights: bool) -> str:
    needs: Sequence[str] = ["torch"]
    if _uses_runtime(source):
        needs = [*needs, f"a C++ compiler, and the folder {RUNTIME} beside it"]
    if with_weights:
        needs = [*needs, f"safetensors, and {WEIGHTS} beside it"]
    return ", ".join(needs)


def _uses_runtime(source: str) -> bool:
    return re.search(r"\bkernelwright\.runtime\b", source) is not None


def _copy_runtime(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for file in Path(kernelwright.runtime.__file__).parent.iterdir():
        if file.suffix in (".py", ".h"):
            shutil.copyfile(file, folder / file.name)


def _save(state: Mapping[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, path)
