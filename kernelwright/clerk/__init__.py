"""One open task for an author outside, agent or person: what may be seen of it, tried on it and told about it.

The tools of `kernelwright mcp` and the commands of `kernelwright task` are both made of this.
"""

from __future__ import annotations

from kernelwright.clerk.clerk import Clerk, Submission
from kernelwright.clerk.opening import candidate_text, contract, from_store, is_path, open_file, open_text, small_text

__all__ = [
    "Clerk",
    "Submission",
    "candidate_text",
    "contract",
    "from_store",
    "is_path",
    "open_file",
    "open_text",
    "small_text",
]
