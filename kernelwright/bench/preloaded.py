"""What every problem's process needs, imported once in the process that they are forked from."""

from __future__ import annotations

import torch._inductor  # noqa: F401  # imported lazily by torch.export, at half a second each time

from kernelwright import api  # noqa: F401
