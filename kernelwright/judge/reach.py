"""Which files a worker can reach: the interpreter, PyTorch, the compiler and the system's libraries, and no user's."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix/store", "/run/opengl-driver",
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/sys/devices/system", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
)  # fmt: skip
# Of its own process alone: command lines, and more where the user is the same, stand in the other folders of /proc.
PROCESS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems", "/proc/sys")
PREFIX = ("bin", "lib", "lib64", "libexec", "include", "pyvenv.cfg")  # of a prefix, which may be the user's home
GPU = ("/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/sys/bus/pci", "/sys/class", "/sys/devices")
WRITABLE = ("/dev/null",)


def readable(packages: Iterable[Path], compiler: str, device: str) -> tuple[str, ...]:
    """What exists of all that a worker may read and execute, wider places first."""
    named = shutil.which(compiler) if compiler else None
    prefixes = [Path(sys.prefix), Path(sys.base_prefix), *(Path(named).parents[1:2] if named else ())]
    prefixes += [Path(named).resolve().parents[1]] if named else []
    own = (path for prefix in prefixes for path in within(prefix))
    system = (path for root in SYSTEM for path in around(Path(root), Path.home()))
    gpu = GPU if device == "cuda" else ()
    found = {str(path) for path in (*own, *system, *packages, *map(Path, (*PROCESS, *gpu))) if path.exists()}
    return tuple(sorted(found))


def writable(device: str) -> tuple[str, ...]:
    """Devices that are written to. A worker's folder comes on top."""
    nvidia = map(str, Path("/dev").glob("nvidia*")) if device == "cuda" else ()
    return tuple(path for path in (*WRITABLE, *sorted(nvidia)) if Path(path).exists())


def mapped() -> tuple[str, ...]:
    """Folders of the libraries that this process has loaded: a driver's may lie anywhere."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return ()
    files = {Path(line[line.index("/") :]) for line in lines if "/" in line and ".so" in line}
    return tuple(sorted({str(file.parent) for file in files if not contains(file.parent, Path.home())}))


def within(prefix: Path) -> Iterator[Path]:
    """The parts of a prefix that programs need; conda's compilers keep theirs in a folder named like their machine."""
    yield from (prefix / name for name in PREFIX)
    yield from prefix.glob("*-linux-gnu")


def around(root: Path, home: Path) -> Iterator[Path]:
    """The root itself, or where it contains the home, what stands beside the home in it."""
    if not contains(root, home):
        yield root
    elif root != home:
        for child in root.iterdir():
            yield from around(child, home)


def contains(folder: Path, home: Path) -> bool:
    return os.path.realpath(home).startswith(f"{os.path.realpath(folder).rstrip('/')}/") or folder == home
