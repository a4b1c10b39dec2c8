"""What every problem's process needs, imported once in the process that they are forked from.

torch.export imports some of it when first used, which takes half a second each time. Nothing here touches a tensor.
"""

from __future__ import annotations

import torch._functorch.partitioners
import torch._inductor
import torch.export._trace  # noqa: F401

from kernelwright import api  # noqa: F401
