"""The targets that the judge must be the same judge on.

A new target plugs in here: add one `Kind` to KINDS, with the mark of tests/conftest.py that says when it can run. It
takes the device's name as `targets.detect` knows it, and one small kernel in the language that candidates for it are
written in. Everything else that the suite asks is plain PyTorch, and the same for all targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

COUNT = 256 * 96  # elements of the output of tests/conformance/test_conformance.py's first task


@dataclass(frozen=True, slots=True)
class Kind:
    """One target, and what its candidates look like.

    kernel: text that defines `tail(linear, x)`: a new tensor, relu(linear) + x, written by a kernel in this target's
        own language. COUNT in it is the number of elements that are written, and SHIFT is added to where they go.
    far: a SHIFT that leads out of all memory; "" where the device lets such a write fall to nothing.
    patience: seconds that one call may take, a first call with a compiler in it included.
    """

    device: str
    kernel: str
    far: str
    patience: float

    def written(self, count: int = COUNT, shift: str = "0") -> str:
        return self.kernel.replace("COUNT", str(count)).replace("SHIFT", shift)


CPU = Kind(
    "cpu",
    '''
from kernelwright.runtime import cpp

kernels = cpp(r"""
extern "C" void tail(const float* linear, const float* x, float* out) {
    #pragma omp parallel for
    for (long i = 0; i < COUNT; i++) out[i + SHIFT] = (linear[i] > 0 ? linear[i] : 0) + x[i];
}
""")

def tail(linear, x):
    out = torch.empty_like(x)
    kernels.tail(linear, x, out)
    return out
''',
    far="(1L << 44)",
    patience=2.0,
)

CUDA = Kind(
    "cuda",
    """
import triton
import triton.language as tl

@triton.jit
def tail_kernel(linear, x, out, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < COUNT
    value = tl.maximum(tl.load(linear + at, inside), 0.0) + tl.load(x + at, inside)
    tl.store(out + at.to(tl.int64) + SHIFT, value, inside)

def tail(linear, x):
    out = torch.empty_like(x)
    tail_kernel[(triton.cdiv(x.numel(), 1024),)](linear, x, out, BLOCK=1024)
    return out
""",
    far="(1 << 44)",
    patience=15.0,
)

MPS = Kind(
    "mps",
    '''
library = torch.mps.compile_shader("""
kernel void tail(device const float* linear, device const float* x, device float* out,
                 uint at [[thread_position_in_grid]]) {
    if (at < COUNT) out[at + SHIFT] = max(linear[at], 0.0f) + x[at];
}
""")

def tail(linear, x):
    out = torch.empty_like(x)
    library.tail(linear, x, out, threads=x.numel())
    return out
''',
    far="",
    patience=10.0,
)

KINDS = (
    pytest.param(CPU, marks=pytest.mark.cpu, id="cpu"),
    pytest.param(CUDA, marks=pytest.mark.cuda, id="cuda"),
    pytest.param(MPS, marks=pytest.mark.metal, id="mps"),
)
