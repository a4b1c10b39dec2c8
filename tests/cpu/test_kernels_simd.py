"""simd.h against float64, over all of float32, at every width that this machine runs."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from kernelwright.runtime import build

# ulp each function promises in simd.h; where it is 0, the result is exactly rounded.
PROMISED = {
    "exp": 1, "expm1": 2, "log": 1, "log1p": 2, "sigmoid": 3, "tanh": 3, "erf": 2, "sqrt": 0.5, "rsqrt": 1.5,
    "floor": 0, "ceil": 0, "trunc": 0, "round": 0, "abs": 0, "relu": 0, "sin": 2, "cos": 3, "exp2": 1, "log2": 1,
}  # fmt: skip

WIDTHS = {"native": (), "256 bits": ("-mno-avx512f",), "128 bits": ("-mno-avx2", "-mno-avx512f")}
PORTABLE = "plain x86-64"

EDGES = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, 88.72, 89, -87.4, -103.9, -104.1, 1e-45, -1e-45], np.float32
)

TEXT = """
#include "simd.h"
#define FUNCTION(name) extern "C" void of_##name(const float* x, float* out, long n) \\
    { each<1>(0, n, [&](long i, int, auto lanes) { store(out + i, name(load(x + i, lanes)), lanes); }); } \\
    extern "C" void scalar_##name(const float* x, float* out, long n) \\
    { for (long i = 0; i < n; ++i) out[i] = name(x[i]); }
extern "C" void lanes_in_a_vector(float* out) { *out = width; }
extern "C" void reduced(const float* x, float* out, long n)
{
    Sum sum; Product product; Largest largest; Smallest smallest;
    each<4>(0, n, [&](long i, int slot, auto lanes) {
        const vec here = load(x + i, lanes);
        sum.take(here, slot, lanes); product.take(here, slot, lanes);
        largest.take(here, slot, lanes); smallest.take(here, slot, lanes);
    });
    out[0] = sum.result(); out[1] = product.result(); out[2] = largest.result(); out[3] = smallest.result();
}
extern "C" void strided(const float* x, float* out, long n, long stride)
{
    each<2>(0, n, [&](long i, int, auto lanes) {
        store(out + i * stride, stride, load(x + i * stride, stride, lanes) + 1.0f, lanes);
    });
}
extern "C" void streamed(const float* x, float* out, long n)
{
    each<2>(0, n, [&](long i, int, auto lanes) { stream(out + i, load(x + i, lanes), lanes); });
    stream_end();
}
extern "C" void compared(const float* a, const float* b, float* out, long n)
{
    each<1>(0, n, [&](long i, int, auto lanes) {
        const vec x = load(a + i, lanes), y = load(b + i, lanes);
        store(out + i, max(x, y), lanes); store(out + n + i, min(x, y), lanes);
        store(out + 2 * n + i, select(x < y, x, 7.0f), lanes);
        store(out + 3 * n + i, mask_to_float(isnan(x)), lanes);
    });
}
""" + "\n".join(f"FUNCTION({name})" for name in PROMISED)


def flags(width: str) -> tuple[str, ...]:
    if width == PORTABLE:
        return build.FLAGS
    return (*build.FLAGS, *build._machine_flags(), *WIDTHS[width])


def widths() -> list[str]:
    return [*WIDTHS, PORTABLE] if platform.machine() in ("x86_64", "AMD64") else ["native"]


@pytest.fixture(scope="module", params=widths())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("simd") / "simd.so"
    command = [
        build.find_compiler(),
        *flags(request.param),
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{build.HERE}",
        "-x",
        "c++",
        "-",
        "-o",
        str(path),
    ]
    done = subprocess.run(command, input=TEXT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(path))


@cache
def all_over() -> np.ndarray:
    """Every 4099th float32 there is, and the edges; a length that no vector divides."""
    every = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = np.linspace(-30, 30, 200_001, dtype=np.float32)
    return np.ascontiguousarray(np.concatenate([every, usual, EDGES, EDGES[:3]])[:-1])


def called(function: object, *arrays: np.ndarray, numbers: tuple[int, ...] = ()) -> None:
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    function(*pointers, *map(ctypes.c_long, numbers))  # type: ignore[operator]


def exact(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return getattr(torch, name)(torch.from_numpy(x.astype(np.float64))).numpy()


@pytest.mark.parametrize("name", PROMISED)
def test_functions_keep_their_promise(library: ctypes.CDLL, name: str) -> None:
    x = all_over()
    found = np.empty_like(x)
    called(getattr(library, f"of_{name}"), x, found, numbers=(len(x),))
    with np.errstate(all="ignore"):
        right = exact(name, x)
        nearest = right.astype(np.float32)
        assert np.array_equal(np.isnan(found), np.isnan(nearest))
        finite = np.isfinite(nearest) & np.isfinite(found)
        assert (found[~finite & ~np.isnan(found)] == nearest[~finite & ~np.isnan(found)]).all()
        known = finite if name != "sigmoid" else finite & (np.abs(right) > 1e-37)
        ulp = np.spacing(np.maximum(np.abs(nearest[known]), np.float32(1e-45))).astype(np.float64)
        error = np.abs(found[known] - right[known]) / ulp
    assert error.max() <= max(PROMISED[name], 0.5), f"{error.max():.2f} ulp at {x[known][error.argmax()]!r}"


@pytest.mark.parametrize("name", ["exp", "tanh", "erf", "sqrt", "relu", "log1p"])
def test_a_number_alone_gives_what_it_gives_in_a_vector(library: ctypes.CDLL, name: str) -> None:
    x = np.ascontiguousarray(np.concatenate([all_over()[::5000], EDGES]))
    alone, together = np.empty_like(x), np.empty_like(x)
    called(getattr(library, f"scalar_{name}"), x, alone, numbers=(len(x),))
    called(getattr(library, f"of_{name}"), x, together, numbers=(len(x),))
    assert np.allclose(alone, together, rtol=2e-7, atol=0, equal_nan=True)  # the compiler fuses other additions


def test_zero_keeps_its_sign(library: ctypes.CDLL) -> None:
    x, found = np.array([0.0, -0.0], np.float32), np.empty(2, np.float32)
    for name in ("tanh", "erf", "expm1", "log1p", "sqrt", "sin"):
        called(getattr(library, f"of_{name}"), x, found, numbers=(2,))
        assert np.array_equal(np.signbit(found), np.signbit(x)), name


@pytest.mark.parametrize("length", [1, 3, 4, 15, 16, 17, 63, 64, 65, 1000])
def test_reductions_of_any_length(library: ctypes.CDLL, length: int) -> None:
    x = (1 + 0.1 * np.random.default_rng(length).standard_normal(length)).astype(np.float32)
    found, wide = np.empty(4, np.float32), x.astype(np.float64)
    called(library.reduced, x, found, numbers=(length,))
    assert np.allclose(found[0], wide.sum(), rtol=1e-6)
    assert np.allclose(found[1], wide.prod(), rtol=1e-4)
    assert (found[2], found[3]) == (x.max(), x.min())


def test_nan_anywhere_is_the_result_of_a_reduction(library: ctypes.CDLL) -> None:
    for place in (0, 5, 70, 99):
        x, found = np.ones(100, np.float32), np.empty(4, np.float32)
        x[place] = np.nan
        called(library.reduced, x, found, numbers=(100,))
        assert np.isnan(found).all(), place


@pytest.mark.parametrize("length", [1, 15, 16, 33])
def test_strided_and_streamed_memory_stays_inside(library: ctypes.CDLL, length: int) -> None:
    x = np.arange(3 * length + 40, dtype=np.float32)
    out = np.full_like(x, -1)
    called(library.strided, x, out, numbers=(length, 3))
    assert np.array_equal(out[: 3 * length : 3], x[: 3 * length : 3] + 1)
    assert (np.delete(out, np.arange(0, 3 * length, 3)) == -1).all()
    for start in (0, 1, 16):
        out = np.full_like(x, -1)
        called(library.streamed, x, out[start:], numbers=(length,))
        assert np.array_equal(out[start : start + length], x[:length])
        assert (np.delete(out, np.arange(start, start + length)) == -1).all()


def test_comparisons_with_nan(library: ctypes.CDLL) -> None:
    values = np.array([1.0, np.nan, -2.0, np.inf, -np.inf, 0.0], np.float32)
    a, b = (np.ascontiguousarray(side.ravel()) for side in np.meshgrid(values, values))
    out = np.empty((4, len(a)), np.float32)
    called(library.compared, a, b, out, numbers=(len(a),))
    assert np.array_equal(out[0], np.maximum(a, b), equal_nan=True)
    assert np.array_equal(out[1], np.minimum(a, b), equal_nan=True)
    assert np.array_equal(out[2], np.where(a < b, a, np.float32(7)), equal_nan=True)
    assert np.array_equal(out[3], np.isnan(a).astype(np.float32))


def test_the_header_is_self_contained(tmp_path: Path) -> None:
    """It compiles beside the standard headers that a kernel may include."""
    headers = '#include <cmath>\n#include <algorithm>\n#include "matmul.h"\n'
    text = headers + 'extern "C" void f(float* x) { x[0] = simd::exp(x[0]); }'
    command = [build.find_compiler(), *build.FLAGS, f"-I{build.HERE}", "-x", "c++", "-", "-o", str(tmp_path / "f.so")]
    assert subprocess.run(command, input=text, text=True, check=False).returncode == 0
