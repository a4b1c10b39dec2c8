"""C++ text to callable functions: compiled once, cached by content, called through ctypes.

    kernels = cpp(r'''
    #include "simd.h"
    extern "C" void double_it(const float* x, float* out) { ... }
    ''')
    kernels.double_it(x, out)

A call passes each tensor as its data pointer, and nothing else is looked at: 0.5 us for three tensors. Whoever calls
sees to dtype, shape, strides and device, as the guard of a deployed module does.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
COMPILERS = ("c++", "g++", "clang++")
FLAGS = (
    "-std=c++17", "-O3", "-fopenmp", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
    "-Wno-psabi", "-Wno-unknown-pragmas",
)  # fmt: skip
C_TYPES = {
    "long": ctypes.c_int64, "int64_t": ctypes.c_int64, "long long": ctypes.c_int64, "int": ctypes.c_int,
    "double": ctypes.c_double, "float": ctypes.c_float,
}  # fmt: skip

_FUNCTION = re.compile(r'extern\s+"C"\s+void\s+(\w+)\s*\(([^)]*)\)')
_configured: dict[str, str | Path] = {"compiler": "", "cache": Path.home() / ".cache" / "kernelwright" / "kernels"}

Library = SimpleNamespace


class CompilerMissing(RuntimeError):
    """This machine has no C++ compiler that runs. The message says what to install."""


class BuildFailed(RuntimeError):
    """The compiler refused the text. The message is what it said."""


def configure(*, compiler: str | None = None, cache: Path | None = None) -> None:
    """Which compiler builds, by name or path, and which folder keeps the libraries. None leaves a setting as it is."""
    if compiler is not None:
        _configured["compiler"] = compiler
    if cache is not None:
        _configured["cache"] = cache


def cpp(source: str) -> Library:
    """The functions that `source` declares as `extern "C" void name(...)`, built now.

    Parameters are pointers (pass tensors), `long` or `double` (pass numbers). Raises CompilerMissing or BuildFailed.
    """
    declared = {name: _parameters(name, text) for name, text in _FUNCTION.findall(_without_comments(source))}
    if not declared:
        raise BuildFailed('no function found: declare one as extern "C" void name(const float* x, float* out)')
    library = ctypes.CDLL(str(build(source)))
    return SimpleNamespace(**{name: _caller(library, name, types) for name, types in declared.items()})


def build(source: str) -> Path:
    """The shared library of this text, from the cache where it is there. Two processes may build at once."""
    compiler, *flags = command()
    name = hashlib.sha256(
        "\0".join((source, _headers(), *flags[:-1], _version(compiler), _processor())).encode()
    ).hexdigest()
    library = _cache() / f"{name}.so"
    if not library.exists():
        _compile([compiler, *flags], source, library)
    return library


def command() -> list[str]:
    """The compiler and its flags, the headers' folder last; the text and the output are to follow."""
    return [find_compiler(str(_configured["compiler"])), *FLAGS, *_machine_flags(), f"-I{HERE}"]


def find_compiler(named: str = "") -> str:
    """The path of the compiler of that name, else of the first that this machine has."""
    for name in (named,) if named else COMPILERS:
        if path := shutil.which(name):
            return path
    remedy = "xcode-select --install" if platform.system() == "Darwin" else "apt install g++, or dnf install gcc-c++"
    raise CompilerMissing(
        f"no C++ compiler: looked for {named or ', '.join(COMPILERS)} on the PATH; install one: {remedy}"
    )


def _compile(command: list[str], source: str, library: Path) -> None:
    handle, unfinished = tempfile.mkstemp(dir=library.parent, suffix=".so")
    os.close(handle)
    try:
        reading = [*command, "-x", "c++", "-", "-o", unfinished]
        done = subprocess.run(reading, input=source, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BuildFailed(f"{Path(command[0]).name} refused the kernel:\n{done.stderr.strip()}")
        Path(unfinished).replace(library)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _cache() -> Path:
    """The folder for built libraries; a private one where the configured one cannot be written."""
    folder = Path(_configured["cache"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = _private_cache()
    return folder if os.access(folder, os.W_OK) else _private_cache()


@functools.cache
def _private_cache() -> Path:
    return Path(tempfile.mkdtemp(prefix="kernelwright-"))


def _without_comments(source: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)


def _parameters(function: str, text: str) -> list[type]:
    """ctypes types of a parameter list: 'const float* x, long n' -> [c_void_p, c_int64]."""
    return [_c_type(function, part.strip()) for part in text.split(",") if part.strip() not in ("", "void")]


def _c_type(function: str, parameter: str) -> type:
    if "*" in parameter:
        return ctypes.c_void_p
    kind = re.sub(r"\bconst\b|\w+$", "", parameter).strip()
    if kind not in C_TYPES:
        raise BuildFailed(f"{function}: cannot pass {parameter!r}; known: pointers, {', '.join(C_TYPES)}")
    return C_TYPES[kind]


def _caller(library: ctypes.CDLL, name: str, types: list[type]) -> Callable[..., None]:
    """A Python function of the parameters, written out for speed: f(a0.data_ptr(), a1)."""
    function = getattr(library, name)
    function.argtypes, function.restype = types, None
    names = [f"a{position}" for position in range(len(types))]
    passed = [f"{a}.data_ptr()" if kind is ctypes.c_void_p else a for a, kind in zip(names, types, strict=True)]
    scope: dict[str, Callable[..., None]] = {"function": function}
    exec(f"def {name}({', '.join(names)}): function({', '.join(passed)})", scope)
    return scope[name]


def _machine_flags() -> tuple[str, ...]:
    return ("-mcpu=native",) if platform.machine() in ("arm64", "aarch64") else ("-march=native",)


@functools.cache
def _headers() -> str:
    return "".join(header.read_text() for header in sorted(HERE.glob("*.h")))


@functools.cache
def _version(compiler: str) -> str:
    try:
        said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CompilerMissing(
            f"the C++ compiler {compiler} does not run: {error}; install another or name it"
        ) from error
    return said.stdout


@functools.cache
def _processor() -> str:
    """What -march=native depends on: a cache may be shared between machines."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() + platform.machine()
    wanted = ("model name", "flags", "CPU part", "Features")
    return "".join(line for line in cpuinfo.read_text().split("\n\n")[0].splitlines() if line.startswith(wanted))
