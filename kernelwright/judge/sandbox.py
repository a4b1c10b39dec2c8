"""What a worker may not do. Today: limits, a private folder, a scrubbed environment, death with its parent.

Files and the network are not yet closed off; Landlock and seccomp will enter through `enter`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping

FILE_LIMIT = 256 << 20  # bytes that a worker may write to one file
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def enter(folder: str, variables: Mapping[str, str], log: int) -> None:
    """Close this freshly forked process in: own session, `folder` as home, output to `log`, nothing on stdin."""
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(dict(variables) | {"HOME": folder, "TMPDIR": folder, "TRITON_CACHE_DIR": f"{folder}/triton"})
    tempfile.tempdir = folder
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)


def adopt_orphans() -> None:
    """Make this process the parent of its descendants whose parent died, so that it can end them. Linux only."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
