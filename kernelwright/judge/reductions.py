"""How many terms the longest sum of a forward has: rounding errors grow with its square root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MATMULS = frozenset({"mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "dot", "vdot", "linear", "mkldnn_linear"})
ALONG_A_DIMENSION = frozenset({"_softmax", "_log_softmax", "cumsum", "cumprod", "logcumsumexp"})
PICKS = frozenset({
    "index", "index_select", "gather", "embedding", "slice", "select", "narrow", "masked_select", "take", "topk",
    "sort", "unfold", "clone", "copy_", "_to_copy", "max", "min", "amax", "amin", "argmax", "argmin",
})  # fmt: skip


class LongestReduction(TorchDispatchMode):
    """Watches a forward; `length` is the largest number of terms that one output element of one operator sums."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 1

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True has torch import all of Dynamo, 1.3 s, to wrap the method below

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:  # fmt: skip
        result = func(*args, **(kwargs or {}))
        self.length = max(self.length, terms(func, args, result))
        return result


def terms(func: Any, args: tuple[Any, ...], result: Any) -> int:
    """Terms summed for one output element of this call; 1 where nothing is summed."""
    name = func.overloadpacket.__name__
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    if name in PICKS or func.is_view or not tensors:
        return 1
    if name in MATMULS:
        return tensors[-2].shape[-1] if name not in ("linear", "mkldnn_linear") else tensors[0].shape[-1]
    if name == "convolution":
        return _window(args[1], transposed=args[6], groups=args[8])
    if "scaled_dot_product" in name:
        return max(tensors[0].shape[-1], tensors[1].shape[-2])
    if name in ALONG_A_DIMENSION:
        return tensors[0].shape[args[1]] if tensors[0].dim() else 1
    return _ratio(tensors, result)


def _window(weight: Tensor, *, transposed: bool, groups: int) -> int:
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    return max(weight.numel() // outputs, 1)


def _ratio(tensors: list[Tensor], result: Any) -> int:
    """Inputs an output element: of a mean, its length; of a layer norm, through its statistics, the row's length."""
    outputs = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor) and leaf.numel()]
    return max(max(tensor.numel() for tensor in tensors) // min(outputs), 1) if outputs else 1
