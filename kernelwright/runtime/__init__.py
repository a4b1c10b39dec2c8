"""What a candidate file may import: C++ compiled at import and called without copying, and memory for outputs.

Needs the standard library and torch only, and no other part of kernelwright: this folder works as it is beside an
exported model.
"""

from __future__ import annotations

from .build import BuildFailed, CompilerMissing, Library, configure, cpp
from .memory import empty, release

__all__ = ["BuildFailed", "CompilerMissing", "Library", "configure", "cpp", "empty", "release"]
