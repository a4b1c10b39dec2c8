"""The deterministic search: rewrite (tricks), cover (skeletons), tune (parameters), print."""

from __future__ import annotations

from kernelwright.engines.search.plan import captured
from kernelwright.engines.search.search import Search

__all__ = ["Search", "captured"]
