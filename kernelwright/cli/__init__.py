"""The commands: each parses, calls one function, prints. Results go to stdout, all else to stderr."""

from __future__ import annotations

from kernelwright.cli.entry import main

__all__ = ["main"]
