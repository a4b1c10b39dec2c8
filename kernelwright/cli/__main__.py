"""`python -m kernelwright.cli` is `kernelwright`."""

from __future__ import annotations

from kernelwright.cli.entry import main

main()
