"""What a person can do wrong, and what a machine can lack.

    KernelwrightError
    ├── UsageError      the caller asked for something that cannot be: a file, an option, a reference that fails
    ├── CaptureError    the module cannot be turned into a task; names the op or the graph break
    ├── MachineError    this machine lacks something (a compiler, a device, room) or has it broken
    └── StoreError      the store cannot be opened, read or written

A candidate that fails is no error: it is data (`outcome.Rejected`). A bug of ours is an uncaught exception.
"""

from __future__ import annotations


class KernelwrightError(Exception):
    """Base of all errors that a person can act on. The message says wanted, seen, what to do."""


class UsageError(KernelwrightError):
    """The caller asked for something that cannot be."""


class CaptureError(KernelwrightError):
    """The module cannot be turned into a task. The message names the op or the graph break."""


class MachineError(KernelwrightError):
    """This machine lacks something, or has it broken."""


class StoreError(KernelwrightError):
    """The store cannot be opened, read or written."""


class blame:
    """Foreign code runs inside; whatever it raises becomes one of our errors, once, here.

    with blame(UsageError, "get_inputs() fails"): ...
    """

    def __init__(self, error: type[KernelwrightError], what: str) -> None:
        self.error, self.what = error, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        if isinstance(raised, KernelwrightError) or not isinstance(raised, (Exception, SystemExit)):
            return
        raise self.error(f"{self.what}: {type(raised).__name__}: {first_line(raised)}") from raised


def first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else "no message"
