"""Kernels built and called, memory recycled: what a candidate file may use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from kernelwright import runtime
from kernelwright.runtime import BuildFailed, CompilerMissing, build, configure, cpp, empty, memory

DOUBLE = """
#include "simd.h"
// extern "C" void not_this_one(long n);
extern "C" void doubled(const float* x, float* out, long n, double factor)
{
    each<2>(0, n, [&](long i, int, auto lanes) { store(out + i, load(x + i, lanes) * float(factor), lanes); });
}
"""

LARGE = (memory.THRESHOLD // 4) + 1  # floats: the smallest block that is recycled


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path) -> Iterator[None]:
    before = dict(build._configured)
    configure(cache=tmp_path / "kernels")
    yield
    build._configured.update(before)
    runtime.release()


def built(folder: Path) -> list[Path]:
    return list((folder / "kernels").glob("*.so"))


# ---- building and calling


def test_tensors_pass_as_pointers_and_numbers_as_numbers() -> None:
    x, out = torch.arange(21.0), torch.empty(21)
    cpp(DOUBLE).doubled(x, out, 21, 2.5)
    assert torch.equal(out, x * 2.5)


def test_the_same_text_is_built_once_and_other_text_again(tmp_path: Path) -> None:
    cpp(DOUBLE)
    first = built(tmp_path)
    cpp(DOUBLE)
    assert built(tmp_path) == first
    cpp(DOUBLE + "// other\n")
    assert len(built(tmp_path)) == 2


def test_two_processes_may_build_the_same_text_at_once(tmp_path: Path) -> None:
    cache = f"Path({str(tmp_path / 'kernels')!r})"
    script = f"from pathlib import Path; from kernelwright.runtime import *; configure(cache={cache}); cpp({DOUBLE!r})"
    racing = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in racing] == [0, 0, 0]
    assert [path.suffix for path in (tmp_path / "kernels").iterdir()] == [".so"]


def test_text_that_does_not_compile_shows_what_the_compiler_said(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="no_such_function"):
        cpp('extern "C" void f(float* x) { no_such_function(x); }')
    assert not list((tmp_path / "kernels").iterdir())


def test_text_without_a_function_says_how_to_declare_one() -> None:
    with pytest.raises(BuildFailed, match='extern "C" void name'):
        cpp("void f(float* x) {}")


def test_a_parameter_that_cannot_be_passed_is_named() -> None:
    with pytest.raises(BuildFailed, match="short n"):
        cpp('extern "C" void f(float* x, short n) {}')


def test_a_missing_compiler_says_what_to_install() -> None:
    configure(compiler="no-such-compiler")
    with pytest.raises(CompilerMissing, match=r"no-such-compiler.*install"):
        cpp(DOUBLE)


def test_a_broken_compiler_is_no_build_failure(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    configure(compiler=str(broken))
    with pytest.raises(CompilerMissing, match="does not run"):
        cpp(DOUBLE)


def test_a_cache_that_cannot_be_written_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    configure(cache=tmp_path / "file" / "kernels")
    out = torch.empty(3)
    cpp(DOUBLE).doubled(torch.ones(3), out, 3, 3.0)
    assert out.tolist() == [3.0, 3.0, 3.0]


def test_the_folder_works_alone(tmp_path: Path) -> None:
    """As an exported model has it: copied, with no kernelwright to import."""
    shutil.copytree(Path(runtime.__file__).parent, tmp_path / "beside", ignore=shutil.ignore_patterns("__pycache__"))
    script = tmp_path / "use.py"
    script.write_text(
        "import sys; sys.modules['kernelwright'] = None\nfrom pathlib import Path\nimport torch\n"
        f"from beside import configure, cpp, empty\nconfigure(cache=Path({str(tmp_path)!r}))\n"
        f"out = empty((4,), torch.float32); cpp({DOUBLE!r}).doubled(torch.ones(4), out, 4, 2.0)\nprint(out.tolist())"
    )
    answer = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.strip() == "[2.0, 2.0, 2.0, 2.0]"


def test_threads_of_torch_are_the_kernels_threads() -> None:
    text = '#include <omp.h>\nextern "C" void threads(long long* out) { *out = omp_get_max_threads(); }'
    before, out = torch.get_num_threads(), torch.zeros(1, dtype=torch.int64)
    threads = cpp(text).threads
    try:
        torch.set_num_threads(1)
        threads(out)
    finally:
        torch.set_num_threads(before)
    assert out.item() == 1


# ---- memory


def address_then_free() -> int:
    return empty((LARGE,), torch.float32).data_ptr()


def test_a_large_block_comes_back_once_nobody_sees_it() -> None:
    assert address_then_free() == address_then_free()


def test_a_small_tensor_is_torchs_own() -> None:
    tensor = empty((3, 5), torch.float32)
    assert (tensor.shape, tensor.dtype) == ((3, 5), torch.float32)
    assert not memory._pool.blocks


SEERS = {
    "the tensor": lambda tensor: tensor,
    "a view": lambda tensor: tensor[5:7],
    "a view of a view": lambda tensor: tensor.view(-1, 1)[3].detach(),
    "the storage": lambda tensor: tensor.untyped_storage(),
    "a numpy array": lambda tensor: tensor.numpy()[::2],
    "a closure": lambda tensor: lambda: tensor,
    "a parameter": lambda tensor: torch.nn.Parameter(tensor),
    "a graph of autograd": lambda tensor: torch.ones(LARGE, requires_grad=True) * tensor,
}


@pytest.mark.parametrize("name", SEERS)
def test_a_block_that_anyone_sees_is_not_given_again(name: str) -> None:
    address = empty((LARGE,), torch.float32).data_ptr()
    seer = SEERS[name](empty((LARGE,), torch.float32))
    assert empty((LARGE,), torch.float32).data_ptr() != address, f"{name} still sees it"
    del seer
    assert any(address == tensor.data_ptr() for tensor in [empty((LARGE,), torch.float32) for _ in range(2)])


def test_shapes_strides_and_types() -> None:
    last = empty((4, 3, 1024, 1024), torch.float32, (3 << 20, 1, 3 << 10, 3))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert last.fill_(2.0).sum().item() == 2.0 * last.numel()
    whole = empty((LARGE,), torch.int64)
    assert (whole.dtype, whole.is_contiguous()) == (torch.int64, True)


def test_the_pool_keeps_a_bounded_number_of_blocks() -> None:
    held = [empty((LARGE,), torch.float32) for _ in range(memory.BLOCKS_A_SIZE + 3)]
    assert len({tensor.data_ptr() for tensor in held}) == len(held)
    assert len(memory._pool.blocks) <= memory.BLOCKS_A_SIZE
    for number, tensor in enumerate(held):
        tensor[-1] = number
    assert [int(tensor[-1]) for tensor in held] == list(range(len(held)))


def test_the_pool_keeps_a_bounded_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LIMIT", 100 << 20)
    for count in range(1, 5):
        empty((LARGE + count * memory.GRAIN // 4,), torch.float32)
    assert sum(map(len, memory._pool.blocks)) <= 100 << 20


def test_threads_never_share_a_block() -> None:
    barrier = threading.Barrier(4)

    def write_and_look(mark: int) -> bool:
        for _ in range(40):
            tensor = empty((LARGE,), torch.float32)
            tensor[:: LARGE // 8] = mark
            barrier.wait(timeout=60)
            if not bool((tensor[:: LARGE // 8] == mark).all()):
                return False
            barrier.wait(timeout=60)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(write_and_look, range(4)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_blocks_of_its_own() -> None:
    tensor = empty((LARGE,), torch.float32)
    tensor[0] = 1.0
    memory._pool.lock.acquire()
    child = os.fork()
    if child == 0:  # the child must not return into pytest
        other = empty((LARGE,), torch.float32)
        other[0] = 2.0
        os._exit(0 if float(tensor[0]) == 1.0 and other.data_ptr() != tensor.data_ptr() else 1)
    memory._pool.lock.release()
    assert os.waitpid(child, 0)[1] == 0
    assert float(tensor[0]) == 1.0
