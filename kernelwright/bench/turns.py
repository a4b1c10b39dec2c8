"""Whose turn it is: several processes build at once, and only one of them measures, while nobody builds.

One file, locked: shared by whoever works, alone by whoever measures. A process gives its share up only when it wants
to measure or is done, so nobody waits for another that waits; the system gives up the locks of a process that dies.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """One process's part in it: shared while the block runs, alone where `alone` says so. A context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._alone = 0
        self._waited = 0.0

    def __enter__(self) -> Turns:
        self._lock(fcntl.LOCK_SH)
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else works or measures in this block. Blocks may nest."""
        if not self._alone:
            self._lock(fcntl.LOCK_UN)
            self._lock(fcntl.LOCK_EX)
        self._alone += 1
        try:
            yield
        finally:
            self._alone -= 1
            if not self._alone:
                self._lock(fcntl.LOCK_SH)

    def clock(self) -> float:
        """Seconds on a monotonic clock that stands still while this process waits for its turn."""
        return time.monotonic() - self._waited

    def _lock(self, kind: int) -> None:
        began = time.monotonic()
        fcntl.flock(self._file, kind)
        self._waited += time.monotonic() - began
