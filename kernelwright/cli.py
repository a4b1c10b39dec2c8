"""The commands: parse, call one function, print."""

from __future__ import annotations


def main() -> None:
    """Entry point of `kernelwright` and `kw`."""
