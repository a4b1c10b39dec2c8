"""What a candidate file may be written in, for each kind of machine, as a prompt says it."""

from __future__ import annotations

from kernelwright.core.spec import Target

FORM = """\
A candidate is one Python file. It defines class ModelNew(nn.Module) with the constructor's parameters of Model, the
same parameter and buffer names, shapes and dtypes (state_dicts are exchanged), and the same forward signature and
result: number of outputs, shapes, dtypes, devices. The simplest way is to construct the same submodules and to read
their weights in forward.

forward is a function of the current bytes of its inputs and parameters, on every call: nothing is kept from call to
call, weights may be changed in place at any time. Inputs, parameters and buffers are left as they are, unless the
reference changes them. Outputs are new memory. It is called without gradients.

It may import torch, math, functools, itertools, dataclasses, typing, contextlib, {more}; not os, sys, ctypes,
subprocess, pathlib or anything else, and it may not call open, exec, eval, compile, __import__, globals or vars.
It gets no files and no network.
"""

CPP = """\
Language: C++17 through kernelwright.runtime, for single loops over everything instead of one pass for each operator.

    from kernelwright.runtime import cpp, empty

    kernels = cpp(r'''
    #include <cmath>
    extern "C" void scaled_relu(const float* x, const float* scale, float* out, long rows, long columns)
    {
    #pragma omp parallel for
        for (long r = 0; r < rows; ++r)
            for (long c = 0; c < columns; ++c)
                out[r * columns + c] = std::fmax(x[r * columns + c], 0.0f) * scale[c];
    }
    ''')

    class ModelNew(nn.Module):
        ...
        def forward(self, x):
            out = empty((1024, 512), torch.float32)
            kernels.scaled_relu(x, self.scale, out, 1024, 512)
            return out

- cpp(text) compiles at import and gives an object with each function declared extern "C" void. Flags: -O3, native
  instruction set, OpenMP, -ffp-contract=fast, -fno-math-errno, -fno-trapping-math; not -ffast-math.
- Parameters: pointers (pass tensors; the data pointer goes over as it is), long or int (pass int), double or float
  (pass float). Nothing checks dtype, shape, strides or contiguity: forward does, or relies on the shapes in the task.
- int64 tensors are long long*, bool tensors bool*. No PyTorch headers. Standard headers are there.
- empty(shape, dtype, strides=None) gives an output faster than torch.empty where it is large.
- #include "simd.h" gives namespace simd: vec (a vector of simd::width floats with + - * / and comparisons), all(f),
  load(p, lanes), store(p, v, lanes), each<unroll>(begin, end, [&](long i, int slot, auto lanes) {...}) which covers
  the tail with masked lanes, sum(v), select(mask, a, b), max, min, abs, sqrt, exp, log, tanh, erf, sigmoid, sin, cos,
  pow.
  The compiler vectorises plain loops over restrict pointers too, but not calls of std::exp and the like: use simd's.
- PyTorch's own calls stay allowed in forward: keep F.linear and convolutions where they are near the roofline.
"""

TRITON = """\
Language: Triton. `import triton` and `import triton.language as tl` at the top; @triton.jit kernels at module level,
launched from forward as kernel[grid](...) on the current stream. Fixed block sizes: no autotuning at run time. Masks
for tails. tl.dot on float32 uses TF32 unless input_precision="ieee" is given; the judge allows about the error that
PyTorch's own result has. PyTorch's own calls stay allowed in forward: keep cuBLAS and cuDNN where they are near the
roofline.
"""

METAL = """\
Language: Metal through torch. At module level `library = torch.mps.compile_shader(text)`, where text holds `kernel void
name(device const float* x, device float* out, constant uint& n, uint i [[thread_position_in_grid]])`; in forward
`library.name(x, out, n, threads=[...], group_size=[...])`. Outputs by torch.empty on device "mps". PyTorch's own calls
stay allowed in forward.
"""

LANGUAGE = {
    "cpu": ("kernelwright.runtime", CPP),
    "cuda": ("triton", TRITON),
    "mps": ("kernelwright.runtime", METAL),
}


def rules(target: Target) -> str:
    """The form of a candidate, and the language that kernels for that machine are written in."""
    more, language = LANGUAGE[target.kind]
    return FORM.format(more=more) + "\n" + language
