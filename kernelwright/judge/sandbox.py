"""What a worker may not do, and by what means: Landlock and seccomp, else bubblewrap; sandbox-exec on macOS.

sandlock      Landlock in the worker itself: files, signals, other processes; seccomp for the rest
bubblewrap    namespaces round the template and once more round each worker; seccomp for the rest
sandbox-exec  a profile round the template; workers are not kept from each other
none          limits and a scrubbed environment only
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kernelwright.core.errors import MachineError, UsageError
from kernelwright.judge import limits, reach, seccomp
from kernelwright.judge.limits import Limits

Kind = Literal["sandlock", "bubblewrap", "sandbox-exec", "none"]
PREFERRED: tuple[Kind, ...] = ("sandlock", "bubblewrap", "sandbox-exec")
AUTO = "auto"

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
CAPABILITIES_V3 = 0x20080522
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_NOSUID, MS_NODEV, MS_BIND = 2, 4, 4096
LOOK = ("bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--", "true")


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a worker's reach ends, on a machine that computes on `device`.

    hidden: writable places of others, which the template itself can see.
    """

    kind: Kind
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    device: str = "cpu"


def choose(wanted: str = AUTO) -> Kind:
    """The sandbox of that name, else the best that this machine has. Raises UsageError, or MachineError for none."""
    known = get_args(Kind)
    if wanted not in (AUTO, *known):
        raise UsageError(f"sandbox {wanted!r} is not known; known: {', '.join((AUTO, *known))}")
    reasons: list[str] = []
    for kind in PREFERRED if wanted == AUTO else [kind for kind in known if kind == wanted]:
        reason = lacks(kind)
        if not reason:
            return kind
        reasons.append(f"{kind}: {reason}")
    raise MachineError(
        f"no sandbox to run candidates in ({'; '.join(reasons)}); mend one of these, "
        "or judge only files that you would run yourself, with --no-sandbox"
    )


def lacks(kind: Kind) -> str:
    """Why this machine cannot have that sandbox; "" where it can."""
    if kind == "none":
        return ""
    if kind == "sandbox-exec":
        return "" if sys.platform == "darwin" and shutil.which("sandbox-exec") else "only on macOS"
    if sys.platform != "linux":
        return "only on Linux"
    return seccomp.missing() or (_lacks_landlock() if kind == "sandlock" else _lacks_bubblewrap())


def _lacks_landlock() -> str:
    if not importlib.util.find_spec("sandlock"):
        return "not installed: pip install sandlock"
    import sandlock

    has, needs = sandlock.landlock_abi_version(), sandlock.min_landlock_abi()
    return (
        ""
        if has >= needs
        else f"needs Landlock {needs}, which comes with Linux 6.12, and this kernel has {max(has, 0)}"
    )


def _lacks_bubblewrap() -> str:
    if not shutil.which("bwrap"):
        return "not installed: apt install bubblewrap, or dnf install bubblewrap"
    tried = subprocess.run(LOOK, capture_output=True, text=True, check=False, timeout=20)
    return "" if tried.returncode == 0 else f"bwrap fails: {tried.stderr.strip()[:200]}"


# Round the template


def prepare(kind: Kind) -> None:
    """In the template, before any worker: what all of them will need, and custody of their orphans."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if kind == "bubblewrap":  # as the first process of its namespace it is deaf to what it has no handler for
        prctl(PR_SET_DUMPABLE, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if kind == "sandlock":
        importlib.import_module("sandlock")


def wrapped(command: Sequence[str], boundary: Boundary, folder: str) -> list[str]:
    """The command that starts the template within the boundary, where that is drawn round the template."""
    if boundary.kind == "bubblewrap":
        return [*bubblewrap(boundary), "--chdir", folder, "--", *command]
    if boundary.kind == "sandbox-exec":
        return ["sandbox-exec", "-p", profile(boundary), *command]
    return list(command)


def bubblewrap(boundary: Boundary) -> list[str]:
    """bwrap with its options: namespaces of its own, and a file system that has these places only."""
    own = ("/proc", "/dev")
    binds = [("--ro-bind", path) for path in boundary.readable if not path.startswith(own)]
    binds += [("--dev-bind" if path.startswith(own) else "--bind", path) for path in boundary.writable]
    options = ["bwrap", "--unshare-pid", "--as-pid-1", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    options += [word for option, path in binds for word in (option, path, path)]
    return [*options, "--remount-ro", "/", "--remount-ro", "/dev"]


def profile(boundary: Boundary) -> str:
    """The boundary in the language of sandbox-exec: what is not allowed here is denied."""
    lines = [
        "(version 1)", "(deny default)", "(allow process-fork process-exec sysctl-read mach-lookup iokit-open)",
        "(allow signal (target same-sandbox))", "(allow file-read-metadata)", "(deny network*)",
    ]  # fmt: skip
    lines += [f"(allow file-read* (subpath {quoted(path)}))" for path in (*boundary.readable, "/System", "/Library")]
    lines += [f"(allow file-read* file-write* (subpath {quoted(path)}))" for path in boundary.writable]
    return "\n".join(lines)


def quoted(path: str) -> str:
    return '"' + os.path.realpath(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


# In the worker


def enter(folder: str, variables: Mapping[str, str], log: int, limit: Limits, threads: int) -> None:
    """Make this freshly forked process a worker: own session, `folder` as home, limits, output to `log`, no stdin."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.platform == "linux":
        limits.impose(limit, threads)
    os.chdir(folder)
    own = {"HOME": folder, "TMPDIR": folder, "TRITON_CACHE_DIR": f"{folder}/triton",
           "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor"}  # fmt: skip
    os.environ.clear()
    os.environ.update(own | dict(variables))
    tempfile.tempdir = folder
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)


def confine(boundary: Boundary) -> None:
    """Close this process in for good. Raises, and the worker must not go on then."""
    if boundary.kind == "bubblewrap":
        _withdraw(boundary)
        prctl(PR_SET_DUMPABLE, 0)  # siblings have the same user: no looking into each other's memory
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if boundary.kind == "sandlock":
        _confine_by_landlock(boundary)
    if boundary.kind in ("sandlock", "bubblewrap"):
        _drop_capabilities()
        alone = boundary.kind == "bubblewrap"
        limited = seccomp.LIMITED + (seccomp.signals_to(os.getpid()) if alone else ())
        if boundary.device == "cuda":
            seccomp.refuse_calls(limited + seccomp.LOCAL, spared=seccomp.CUDA)
        else:
            seccomp.refuse_calls(limited)


def _confine_by_landlock(boundary: Boundary) -> None:
    import sandlock

    own = f"/proc/{os.getpid()}"  # CUDA names its threads there
    readable = (*boundary.readable, *reach.mapped())
    sandlock.confine(sandlock.Sandbox(fs_readable=readable, fs_writable=(*boundary.writable, own)))


def _withdraw(boundary: Boundary) -> None:
    """Into a mount namespace where the hidden places are empty but for what this worker may write to."""
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    _succeed(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare")
    prctl(PR_SET_DUMPABLE, 1)  # else the next three files are root's
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    kept = [path for path in boundary.writable if path.startswith(boundary.hidden)]
    handles = [os.open(path, os.O_PATH) for path in kept]
    for place in boundary.hidden:
        _succeed(libc.mount(b"none", os.fsencode(place), b"tmpfs", MS_NOSUID | MS_NODEV, b"mode=755,size=64k"), "mount")
    for path, handle in zip(kept, handles, strict=True):
        Path(path).mkdir(parents=True, exist_ok=True)
        _succeed(libc.mount(b"/proc/self/fd/%d" % handle, os.fsencode(path), None, MS_BIND, None), "mount")
        os.close(handle)
    os.chdir(boundary.writable[0])


def _drop_capabilities() -> None:
    """Root is then a user like any other."""
    header, none = struct.pack("Ii", CAPABILITIES_V3, 0), bytes(24)
    _succeed(ctypes.CDLL(None, use_errno=True).capset(header, none), "capset")


def _succeed(status: int, call: str) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")


def prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
